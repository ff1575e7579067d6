package engine

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"tskv/compaction"
	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
)

// hugeWindow is longer than a time window.
const hugeWindow = 1e12

// flushRows writes n records of 400 bytes of a key into window w, in a file of
// their own, and returns its ID.
func flushRows(t *testing.T, db *DB, key string, w, from, n int) uint64 {
	t.Helper()
	var b Batch
	for i := from; i < from+n; i++ {
		b.Put([]byte(key), kv.ID{Time: uint64(w)*hugeWindow + uint64(i)}, fmt.Appendf(nil, "value %d %0390d", i, i*7919))
	}
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	var newest uint64
	for _, f := range db.state.Load().Files {
		if f.Class == compaction.ClassData {
			newest = max(newest, f.ID)
		}
	}
	return newest
}

// heldOpen opens a store in which no compaction runs until the lock is given back.
func heldOpen(t *testing.T, opt Options) *DB {
	t.Helper()
	db := open(t, opt)
	db.compactMu.Lock()
	return db
}

// TestDamagedFileIsSetAside: a file that cannot be read holds up neither the merges of
// other windows nor those of its neighbours, is tried once and not again and again,
// and no row of another file is lost.
func TestDamagedFileIsSetAside(t *testing.T) {
	for _, how := range []string{"corrupt", "EIO"} {
		t.Run(how, func(t *testing.T) {
			d := disktest.New()
			db := heldOpen(t, testOptions(d))
			var bad uint64
			for i := range 9 {
				id := flushRows(t, db, "a", 0, i*50, 50)
				if i == 4 {
					bad = id
				}
				flushRows(t, db, "b", 1, i*50, 50)
			}
			before := len(db.state.Load().Files)
			name := disk.TableName(bad)
			if how == "corrupt" {
				d.Corrupt(name, flip(400))
			} else {
				d.Fail(disktest.FailRule{Op: disktest.OpRead, Name: name, Sticky: true, Err: syscall.EIO})
			}
			db.compactMu.Unlock()
			err := db.Compact()
			if err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), fmt.Sprint("file ", bad)) {
				t.Errorf("compact: %v, want an error that names %s", err, name)
			}
			if n := db.Stats().DamagedFiles; n != 1 || db.metrics.DamagedFiles.Value() != 1 {
				t.Errorf("%d damaged files", n)
			}
			var windows [2]int
			there := false
			for _, f := range db.state.Load().Files {
				if f.Class == compaction.ClassData {
					windows[f.MinTime/hugeWindow]++
					there = there || f.ID == bad
				}
			}
			// The four files before the damaged one, itself, and the four after it;
			// beside them eight of nine, as far as one merge goes.
			if !there || windows != [2]int{3, 2} {
				t.Errorf("%d files became %v, the damaged one is there: %t", before, windows, there)
			}
			reads, errs := d.Calls(disktest.OpRead), db.metrics.CompactionErrors.Value()
			for range 3 {
				if err := db.compactAll(); err != nil {
					t.Error(err)
				}
			}
			if n := d.Calls(disktest.OpRead); n != reads || db.metrics.CompactionErrors.Value() != errs {
				t.Errorf("%d more reads, %d errors: it is tried again and again", n-reads, db.metrics.CompactionErrors.Value())
			}
			wantCount(t, db, "b", 450)
			flushRows(t, db, "a", 0, 1000, 50)
			for i := range 450 {
				rec, ok, err := db.Get([]byte("a"), kv.ID{Time: uint64(i)}, nil)
				inBad := i >= 200 && i < 250
				if err != nil && !inBad || err == nil && (!ok || !strings.HasPrefix(string(rec.Value), fmt.Sprintf("value %d ", i))) {
					t.Fatalf("record %d: %v %v %.12q", i, ok, err, rec.Value)
				}
			}
			d.Heal()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnsoundOrder: a manifest whose files leave open which record is the newest is
// refused, though its checksum is right.
func TestUnsoundOrder(t *testing.T) {
	d := disktest.New()
	db := open(t, testOptions(d))
	flushRows(t, db, "a", 0, 0, 10)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	state, err := manifest.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range state.Files {
		if f.Class == compaction.ClassData {
			f.ID, f.MaxSeq = state.NextFile, f.MaxSeq+1
			state.Files = append(state.Files, f)
			state.NextFile++
			break
		}
	}
	if err := manifest.Store(d, state); err != nil {
		t.Fatal(err)
	}
	_, err = Open("test", testOptions(d))
	if !errors.Is(err, disk.ErrCorrupt) || !errors.Is(err, compaction.ErrOrder) || !strings.Contains(err.Error(), disk.ManifestName) {
		t.Fatal(err)
	}
}

// TestDamageGoesAway: a file is tried again after its pause, and is merged if it can
// be read then.
func TestDamageGoesAway(t *testing.T) {
	d := disktest.New()
	db := heldOpen(t, testOptions(d))
	id := flushRows(t, db, "a", 0, 0, 50)
	flushRows(t, db, "a", 0, 50, 50)
	d.Fail(disktest.FailRule{Op: disktest.OpRead, Name: disk.TableName(id), Sticky: true, Err: syscall.EIO})
	db.compactMu.Unlock()
	if err := db.Compact(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.Heal()
	if err := db.compactAll(); err != nil || !db.damaged.avoid(id) {
		t.Fatalf("no pause: %v", err)
	}
	db.damaged.mu.Lock()
	db.damaged.files[id].until = db.damaged.files[id].until.Add(-damagePause)
	db.damaged.mu.Unlock()
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	if n := db.metrics.DamagedFiles.Value(); n != 0 {
		t.Errorf("%d damaged files", n)
	}
	wantCount(t, db, "a", 100)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestDeletedDamageIsDropped: a damaged file whose rows are all deleted goes unread.
func TestDeletedDamageIsDropped(t *testing.T) {
	d := disktest.New()
	db := open(t, testOptions(d))
	id := flushRows(t, db, "a", 0, 0, 50)
	d.Corrupt(disk.TableName(id), flip(400))
	if err := db.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().FileRows; n != 0 || db.metrics.FilesDropped.Value() == 0 {
		t.Errorf("%d rows in files, %d files dropped", n, db.metrics.FilesDropped.Value())
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
