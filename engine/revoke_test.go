package engine

import (
	"errors"
	"fmt"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestRevoke takes a snapshot before each of many flushes and releases none: the
// oldest ones are revoked, so that they keep a bounded number of memtables once
// their readers have let go; a single old one stays.
func TestRevoke(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	var snaps []*Snapshot
	flush := func(i int) {
		t.Helper()
		var b Batch
		b.Put([]byte("key"), kv.ID{Time: uint64(i)}, fmt.Appendf(nil, "%d", i))
		if err := errors.Join(db.Apply(&b), b.Ops[0].Err, db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := func() *Snapshot {
		t.Helper()
		s, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		snaps = append(snaps, s)
		return s
	}
	flush(0)
	alone := snapshot()
	for i := range 20 {
		flush(1 + i)
	}
	if rec, ok, err := alone.Get([]byte("key"), kv.MaxID, nil); err != nil || !ok || string(rec.Value) != "0" {
		t.Fatalf("a snapshot alone: %q, %v, %v", rec.Value, ok, err)
	}
	var scans []*Scan
	for i := range 20 {
		scan, err := snapshot().Scan([]byte("key"), ScanOptions{To: kv.MaxID})
		if err != nil {
			t.Fatal(err)
		}
		scans = append(scans, scan)
		flush(100 + i)
	}
	revoked := 0
	for i, scan := range scans {
		_, err := scan.Next()
		switch {
		case errors.Is(err, ErrSnapshotTooOld):
			if revoked++; revoked <= i {
				t.Errorf("snapshot %d is revoked and an older one is not", i)
			}
		case err != nil:
			t.Error(err)
		}
		scan.Close()
	}
	if revoked == 0 || revoked > 20-keptMemtables/4 {
		t.Errorf("%d of 20 snapshots are revoked", revoked)
	}
	if _, _, err := alone.Get([]byte("key"), kv.MaxID, nil); !errors.Is(err, ErrSnapshotTooOld) {
		t.Errorf("the oldest snapshot: %v", err)
	}
	if n := db.metrics.RevokedSnapshots.Value(); n == 0 {
		t.Error("not counted")
	}
	keys, err := snapshot().Keys(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := keys.Next(); !ok || err != nil {
		t.Errorf("a new snapshot: %v, %v", ok, err)
	}
	keys.Close()
	for _, s := range snaps {
		s.Release()
	}
	flush(1000)
	if db.versionMu.Lock(); len(db.retired) > keptMemtables {
		t.Errorf("%d memtables are kept without snapshots", len(db.retired))
	}
	db.versionMu.Unlock()
}
