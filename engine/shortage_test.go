package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
	"tskv/metrics"
)

// await polls until ok or 10 s.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond) // until somebody else has done it
	}
}

// leave limits a disk so that exactly so much is free.
func leave(t *testing.T, fs *disktest.Disk, free int64) {
	t.Helper()
	const large = 1 << 40
	fs.Capacity(large)
	left, _, err := fs.Free()
	if err != nil {
		t.Fatal(err)
	}
	fs.Capacity(large - int64(left) + free)
}

// noise is a value that no codec makes smaller.
func noise(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return string(b)
}

// TestReserve: it is made where there is room, survives a restart, goes when the
// disk is full, keeps writers out as long as it is gone, and comes back.
func TestReserve(t *testing.T) {
	fs := disktest.New()
	fs.Capacity(64 << 20)
	opt := faultOptions(fs)
	opt.MinFreeBytes = 1 << 20
	db := open(t, opt)
	want := opt.MemtableBytes / 4 * 5
	await(t, "the reserve", func() bool { size, err := fs.Stat(disk.ReserveName); return err == nil && size == want })
	mustPut(t, db, "k", 1, "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	opt.Metrics = metrics.NewEngine()
	db = open(t, opt)
	if s := db.Stats(); s.ReserveBytes != want || s.ReserveWanted != want {
		t.Errorf("after a restart %d of %d bytes are held", s.ReserveBytes, s.ReserveWanted)
	}
	leave(t, fs, 0)
	if !db.giveBack("test", 1000) || db.Stats().ReserveBytes != want-1000 {
		t.Errorf("a piece was not given back: %d of %d are left", db.Stats().ReserveBytes, want)
	}
	for db.giveBack("test", math.MaxInt64) { // the spares, then the reserve
	}
	if _, err := fs.Stat(disk.ReserveName); err == nil || db.Stats().ReserveBytes != 0 || opt.Metrics.ReserveSpent.Value() != 2 {
		t.Errorf("it was not given back: %v, %d bytes, %d times", err, db.Stats().ReserveBytes, opt.Metrics.ReserveSpent.Value())
	}
	await(t, "writes refused", func() bool { return db.ReadOnly() != nil })
	var why *ReadOnlyError
	if !errors.As(db.ReadOnly(), &why) || why.Reason != ReasonDiskFull || opt.Metrics.ReadOnlyFull.Value() != 1 || opt.Metrics.ReadOnly.Value() != 1 {
		t.Errorf("the reason is %v", db.ReadOnly())
	}
	fs.Capacity(64 << 20)
	await(t, "the reserve again", func() bool { return db.Stats().ReserveBytes == want && db.ReadOnly() == nil })
	mustPut(t, db, "k", 2, "v")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if opt.Metrics.ReadOnlyFull.Value() != 0 || opt.Metrics.ReadOnly.Value() != 0 {
		t.Error("the metric still says read-only")
	}
}

// killed returns a disk as kill -9 leaves it: a history whose last part is in the
// log only, a little more than fits into one memtable.
func killed(t *testing.T, h history, extra int) *disktest.Disk {
	t.Helper()
	fs := disktest.New()
	opt := testOptions(fs)
	opt.MinFreeBytes = 1
	db := open(t, opt)
	if n := h.run(db, 0); n != h.ops {
		t.Fatal(n)
	}
	fs.Fail(disktest.FailRule{Op: disktest.OpCreate, Name: "sst/*", Sticky: true}) // no more flushes
	for i := range extra {
		mustPut(t, db, "noise", uint64(i), noise(byte(i), 4000))
	}
	after := fs.Clone()
	fs.Heal()
	db.stop(0)
	return after
}

// afterKill is what killed leaves.
func afterKill(h history, extra int) *model {
	states := h.states()
	m := states[h.ops]
	for i := range extra {
		m.put("noise", kv.ID{Time: uint64(i)}, show([]byte(noise(byte(i), 4000)), nil))
	}
	return m
}

// TestOpenOnFullDisk starts a store that was killed with from nothing to plenty of
// free disk, with and without what may be given back. It always opens, shows all
// that was acknowledged, takes writes only when what it replayed is safe, and by
// itself.
func TestOpenOnFullDisk(t *testing.T) {
	h := history{seed: 31, ops: 60}
	const extra = 40
	want := afterKill(h, extra)
	base := killed(t, h, extra)
	postponed, ready := 0, 0
	for free := int64(0); free < 420<<10; free += 9000 {
		for _, bare := range []bool{false, true} {
			fs := base.Clone()
			if bare {
				removeAll(t, fs)
			}
			leave(t, fs, free)
			opt := faultOptions(fs)
			opt.MinFreeBytes = 1 << 10
			db := open(t, opt)
			where := fmt.Sprintf("%d bytes free, bare %t", free, bare)
			checkHistory(t, db, want)
			if db.short.unfinished.Load() != nil {
				postponed++
				checkPostponed(t, db)
			} else {
				ready++
			}
			fs.Capacity(-1)
			resume(t, db, "resumed", 1)
			safe := fs.Crash(disktest.CrashOptions{})
			if err := db.Close(); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			checkNoStrays(t, db, fs)
			db = open(t, testOptions(safe))
			wantNewest(t, db, "resumed", 1, "resumed")
			db.stop(0)
			db = open(t, testOptions(fs))
			wantNewest(t, db, "resumed", 1, "resumed")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d starts had to wait for room, %d had enough", postponed, ready)
	if postponed < 5 || ready < 5 {
		t.Error("void: one of the two was hardly tried")
	}
}

// checkNoStrays wants a closed store to leave no table that nobody lists.
func checkNoStrays(t *testing.T, db *DB, fs *disktest.Disk) {
	t.Helper()
	names, err := fs.List(disk.TableDir)
	if err != nil || len(names) != len(db.state.Load().Files) {
		t.Errorf("%d tables are on disk, %d are live: %v", len(names), len(db.state.Load().Files), err)
	}
}

// removeAll removes what could be given back.
func removeAll(t *testing.T, fs *disktest.Disk) {
	t.Helper()
	for _, name := range fs.Files() {
		if kind, _, _ := disk.ParseName(name); kind == disk.KindReserve || kind == disk.KindTemp {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkHistory wants what a history left in a store.
func checkHistory(t *testing.T, db *DB, want *model) {
	t.Helper()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	want.check(t, snap, rand.New(rand.NewPCG(1, 1)))
}

// checkPostponed wants all that writes refused, with the reason.
func checkPostponed(t *testing.T, db *DB) {
	t.Helper()
	var del Batch
	del.Update(func(tx *Tx) error { _, err := tx.Delete([]byte("log")); return err }, []byte("log"))
	del.Ops[0].Frees = true
	for what, err := range map[string]error{
		"put": put(db, "k", 1, "v"), "delete": db.Apply(&del), "clear": db.Clear(),
		"flush": db.Flush(), "sync": db.Sync(), "compact": db.Compact(), "state": db.ReadOnly(), "stats": db.Stats().ReadOnly,
	} {
		var why *ReadOnlyError
		if !errors.As(err, &why) || why.Reason != ReasonRecovery || !errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.ENOSPC) ||
			!strings.Contains(err.Error(), "disk is full") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if db.metrics.ReadOnly.Value() != 1 || db.metrics.ReadOnlyRecovery.Value() != 1 {
		t.Error("the metrics do not say read-only")
	}
}

// TestCloseOnFullDisk: a store whose recovery waits for room can be closed, and
// nothing is lost.
func TestCloseOnFullDisk(t *testing.T) {
	h := history{seed: 32, ops: 40}
	fs := killed(t, h, 20)
	removeAll(t, fs)
	for range 3 {
		leave(t, fs, 0)
		db := open(t, faultOptions(fs))
		checkPostponed(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n := fs.Handles(); n != 0 {
			t.Errorf("%d handles are left", n)
		}
	}
	fs.Capacity(-1)
	db := open(t, testOptions(fs))
	checkHistory(t, db, afterKill(h, 20))
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestDeleteFreesFullDisk: on a disk without a free byte a key can be deleted, and
// its room comes back without a restart, though it shares its files.
func TestDeleteFreesFullDisk(t *testing.T) {
	fs := disktest.New()
	fs.Capacity(64 << 20)
	opt := faultOptions(fs)
	opt.MinFreeBytes = 200 << 10
	db := open(t, opt)
	await(t, "the reserve", func() bool {
		return db.Stats().ReserveBytes == db.Stats().ReserveWanted && db.Stats().ReserveWanted > 0
	})
	for i := range 300 {
		mustPut(t, db, "goes", uint64(i), noise(byte(i), 2000))
		mustPut(t, db, "stays", uint64(i), noise(byte(i+1), 200))
	}
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	await(t, "writes refused", func() bool {
		leave(t, fs, 0) // what background work has given back meanwhile is taken as well
		return errors.Is(put(db, "stays", 1000, "v"), ErrReadOnly)
	})
	var b Batch
	b.Update(func(tx *Tx) error { _, err := tx.Delete([]byte("goes")); return err }, []byte("goes"))
	b.Ops[0].Frees = true
	if err := errors.Join(db.Apply(&b), b.Ops[0].Err); err != nil {
		t.Fatal(err)
	}
	await(t, "writes accepted", func() bool { return put(db, "stays", 1000, "v") == nil })
	await(t, "the reserve is back", func() bool { s := db.Stats(); return s.ReserveBytes == s.ReserveWanted })
	wantNewest(t, db, "goes", 0, "")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	db = open(t, testOptions(fs))
	wantNewest(t, db, "goes", 0, "")
	wantNewest(t, db, "stays", 1000, "v")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestCleanEnd: only a store that was closed in order says so, and not any more
// once it is open again.
func TestCleanEnd(t *testing.T) {
	fs := disktest.New()
	clean := func() bool {
		t.Helper()
		s, err := manifest.Load(fs)
		if err != nil {
			t.Fatal(err)
		}
		return s.Clean
	}
	for i := range 3 {
		db := open(t, testOptions(fs))
		if clean() {
			t.Fatal("an open store is said to have ended")
		}
		mustPut(t, db, "k", uint64(i+1), "v")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if !clean() {
			t.Fatal("a clean end is not noted")
		}
	}
	reads := fs.Calls(disktest.OpRead)
	db := open(t, testOptions(fs))
	db.stop(0)
	if n := fs.Calls(disktest.OpRead) - reads; n > 40 { // manifest, sections of four small tables, one segment
		t.Errorf("a start after a clean end read %d times", n)
	}
	fs = fs.Clone()
	if clean() {
		t.Error("a store that was killed is said to have ended in order")
	}
}
