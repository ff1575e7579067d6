package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"slices"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
	"tskv/wal"
)

// copyTree copies files between disks, as a backup does.
func copyTree(t *testing.T, from, to *disktest.Disk, names []string, rename func(string) string) {
	t.Helper()
	for _, name := range names {
		b, err := from.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		to.WriteFile(rename(name), b)
	}
}

// archiveOf returns the archived segments of a disk.
func archiveOf(d *disktest.Disk) []string {
	names, _ := d.List(disk.ArchiveDir)
	for i := range names {
		names[i] = path.Join(disk.ArchiveDir, names[i])
	}
	return names
}

// TestRestoreToEveryPosition archives the log over several lives of a store, clean
// and not, and restores a checkpoint of the beginning to every position.
func TestRestoreToEveryPosition(t *testing.T) {
	h := history{seed: 41, ops: 120}
	states := h.states()
	d := disktest.New()
	opt := testOptions(d)
	opt.ArchiveBytes = 1 << 30
	db := open(t, opt)
	start, err := db.Checkpoint(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	ends := []uint64{start.Position} // sequence after each operation
	for i := range h.ops {
		b, _ := h.op(i)
		if err := errors.Join(db.Apply(b), firstError(b)); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, db.Stats().VisibleSeq)
		switch i % 30 {
		case 9: // killed: the next life replays
			killed := d.Clone()
			db.stop(0)
			d = killed
			opt.FS = d
			db = open(t, opt)
		case 19:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, opt)
		case 29:
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := db.Checkpoint(t.Context(), "end"); err != nil { // the log up to here is in the archive
		t.Fatal(err)
	}
	archive := archiveOf(d)
	if len(archive) < 8 {
		t.Fatalf("void: %q", archive)
	}
	step := 3
	if testing.Short() {
		step = 20
	}
	for i := 0; i < len(ends); i += step {
		for _, to := range []uint64{ends[i], ends[i] + 1} { // ends, and the middle of groups
			h.restores(t, d, archive, states, ends, to)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// restores rebuilds the state at a position from the first checkpoint and the
// archive.
func (h history) restores(t *testing.T, d *disktest.Disk, archive []string, states []*model, ends []uint64, to uint64) {
	t.Helper()
	n, exact := slices.BinarySearch(ends, to)
	if !exact {
		n--
	}
	fresh := disktest.New()
	files := []string{disk.ManifestName}
	names, err := d.List("checkpoints/start/sst")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		files = append(files, path.Join(disk.TableDir, name))
	}
	sub := func(name string) string { return path.Join("checkpoints/start", name) }
	for _, name := range files {
		copyTree(t, d, fresh, []string{sub(name)}, func(string) string { return name })
	}
	copyTree(t, d, fresh, archive, func(name string) string { return path.Join(disk.SegmentDir, path.Base(name)) })
	old := setDatabase(t, d, fresh)
	reached, err := Restore("test", testOptions(fresh), to)
	if err != nil {
		t.Fatalf("restore to %d: %v", to, err)
	}
	if reached > to || reached < ends[n] && states[n] != nil && reached+8 < ends[n] {
		t.Errorf("restore to %d reached %d", to, reached)
	}
	after := open(t, testOptions(fresh))
	if after.state.Load().DBID == old {
		t.Error("the restored store has the old database's ID")
	}
	snap, err := after.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := snap.Count([]byte("log"), ScanOptions{To: kv.MaxID}); got != uint64(n) {
		t.Fatalf("restored to %d of %v: %d operations, want %d", to, ends, got, n)
	}
	states[n].check(t, snap, rand.New(rand.NewPCG(h.seed, to)))
	snap.Release()
	if after.Keys() != uint64(len(states[n].keys)) {
		t.Errorf("restored to %d: %d keys, want %d", to, after.Keys(), len(states[n].keys))
	}
	mustPut(t, after, "more", 1, "v") // it goes on
	if err := after.Close(); err != nil {
		t.Fatal(err)
	}
}

// setDatabase gives a copied checkpoint the ID of its origin, whose log follows.
func setDatabase(t *testing.T, from, to *disktest.Disk) uint64 {
	t.Helper()
	origin, err := manifest.Load(from)
	if err != nil {
		t.Fatal(err)
	}
	state, err := manifest.Load(to)
	if err != nil {
		t.Fatal(err)
	}
	if state.DBID == origin.DBID {
		t.Error("a checkpoint has the ID of its origin")
	}
	state.DBID = origin.DBID
	if err := manifest.Store(to, state); err != nil {
		t.Fatal(err)
	}
	return origin.DBID
}

// TestArchiveBound: over the bound the oldest segments go, and ReleaseArchive takes
// what is asked for; without an archive nothing is kept.
func TestArchiveBound(t *testing.T) {
	d := disktest.New()
	opt := testOptions(d)
	opt.ArchiveBytes = 20 << 10
	db := open(t, opt)
	value := string(make([]byte, 3000))
	for i := range uint64(20) {
		mustPut(t, db, "k", i+1, value)
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	db.releaseLog(0) // waits for the one of the last flush
	if len(archiveOf(d)) == 0 || db.metrics.ArchiveDropped.Value() == 0 {
		t.Fatalf("%q, %d dropped", archiveOf(d), db.metrics.ArchiveDropped.Value())
	}
	db.archiveMu.Lock()
	list, err := db.archive()
	db.archiveMu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for i, s := range list {
		bytes += s.size
		info, err := wal.ReadSegmentInfo(d, disk.ArchivedName(s.no))
		if err != nil || info.Segment != s.no || info.DBID != db.state.Load().DBID || i > 0 && info.PrevSegment != list[i-1].no {
			t.Errorf("segment %d: %+v %v", s.no, info, err)
		}
		if s.size > 8<<10 {
			t.Errorf("segment %d has not been cut: %d bytes", s.no, s.size)
		}
	}
	if bytes > opt.ArchiveBytes || bytes < opt.ArchiveBytes/2 {
		t.Errorf("%d bytes in the archive", bytes)
	}
	if n, err := db.ReleaseArchive(list[1].no); n != 2 || err != nil {
		t.Errorf("released %d %v", n, err)
	}
	if left := archiveOf(d); len(left) != len(list)-2 {
		t.Errorf("left: %q", left)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ReleaseArchive(1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := Open("test", Options{FS: disktest.New(), ArchiveBytes: -1}); err == nil {
		t.Error("a negative bound is taken")
	}
}

// TestFlushAfterTakenBack: the last operations of the log were taken back, so the
// recovered store has a sequence that no table holds: Flush must not wait for it.
func TestFlushAfterTakenBack(t *testing.T) {
	d := disktest.New()
	db := open(t, testOptions(d))
	var b Batch
	b.Put([]byte("k"), kv.ID{Time: 1}, []byte("v"))
	b.Update(func(tx *Tx) error {
		return errors.Join(tx.Put(&Op{Key: []byte("k"), ID: kv.ID{Time: 2}, Value: []byte("w")}), errors.New("no"))
	}, []byte("k"))
	if err := db.Apply(&b); err != nil || b.Ops[1].Err == nil {
		t.Fatal(err, b.Ops[1].Err)
	}
	killed := d.Clone()
	db.stop(0)
	db = open(t, testOptions(killed))
	done := make(chan error, 1)
	go func() { done <- db.Flush() }() // ends with Close at the latest
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("Flush hangs: visible %d, flushed %d", db.visible.Load(), db.state.Load().FlushedSeq)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// archiveRun takes a checkpoint of an empty store and runs the history.
func (h history) archiveRun(d *disktest.Disk) (acked int, ready bool) {
	opt := testOptions(d)
	opt.ArchiveBytes = 1 << 30
	db, err := Open("test", opt)
	if err != nil {
		return 0, false
	}
	_, err = db.Checkpoint(context.Background(), "start")
	acked = h.run(db, 0)
	db.stop(0)
	return acked, err == nil
}

// TestArchiveCrash cuts the power after disk operations of a run with an archive.
// The recovered store archives what it replayed: from the checkpoint of the
// beginning and the archive alone follows the same state, without a gap.
func TestArchiveCrash(t *testing.T) {
	h := history{seed: 42, ops: 90}
	states := h.states()
	count := disktest.New()
	h.archiveRun(count)
	step := 7
	if testing.Short() {
		step = 60
	}
	tried := 0
	for stop := 20; stop < count.Ops(); stop += step {
		d := disktest.New()
		d.StopAfter(stop)
		acked, ready := h.archiveRun(d)
		if !ready {
			continue
		}
		matrix := disktest.CrashMatrix(uint64(stop))
		for _, how := range []disktest.CrashOptions{matrix[0], matrix[stop%len(matrix)], matrix[len(matrix)-1]} {
			after := d.Crash(how)
			opt := testOptions(after)
			opt.ArchiveBytes = 1 << 30
			db, err := Open("crashed", opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.run(db, countOps(t, db)); got != h.ops { // it goes on
				t.Fatalf("%d operations", got)
			}
			end, err := db.Checkpoint(t.Context(), "end")
			if err != nil {
				t.Fatal(err)
			}
			h.rebuild(t, after, states, end.Position)
			db.stop(0)
			tried++
			if t.Failed() {
				t.Fatalf("power cut after %s, %d acknowledged, %s", d.LastOp(), acked, how)
			}
		}
	}
	if tried == 0 {
		t.Fatal("void")
	}
	t.Logf("%d crash states", tried)
}

func countOps(t *testing.T, db *DB) int {
	t.Helper()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	n, err := snap.Count([]byte("log"), ScanOptions{To: kv.MaxID})
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// rebuild restores the whole history from the first checkpoint and the archive.
func (h history) rebuild(t *testing.T, d *disktest.Disk, states []*model, to uint64) {
	t.Helper()
	ends := make([]uint64, h.ops+1)
	ends[h.ops] = to
	for i := range h.ops {
		ends[i] = uint64(i) // below to, whatever they were
	}
	h.restores(t, d, archiveOf(d), states, ends, to)
}
