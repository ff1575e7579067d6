package engine

import (
	"fmt"
	"testing"

	"tskv/compaction"
	"tskv/disk/disktest"
	"tskv/kv"
)

// dataFiles returns the rows of the data files by ID.
func dataFiles(db *DB) map[uint64]uint64 {
	rows := make(map[uint64]uint64)
	for _, f := range db.state.Load().Files {
		if f.Class == compaction.ClassData {
			rows[f.ID] = f.Rows
		}
	}
	return rows
}

// TestCompactKey: what was deleted of one key leaves the files, and files without the
// key are not touched.
func TestCompactKey(t *testing.T) {
	opt := testOptions(disktest.New())
	opt.MemtableBytes = 1 << 20
	db := heldOpen(t, opt) // nothing compacts by itself
	db.compactMu.Unlock()
	other := flushRows(t, db, "other", 0, 0, 500)
	big := flushRows(t, db, "k", 1, 0, 1000)
	remove := func(from, to uint64) {
		t.Helper()
		err := db.Update(func(tx *Tx) error {
			return tx.DeleteRange([]byte("k"), kv.ID{Time: hugeWindow + from}, kv.ID{Time: hugeWindow + to})
		}, []byte("k"))
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(20) {
		remove(i*40, i*40+4)
	}
	remove(990, 2000)
	if err := db.CompactKey([]byte("k")); err != nil {
		t.Fatal(err)
	}
	ids := dataFiles(db)
	if ids[other] != 500 || ids[big] != 0 {
		t.Errorf("files and rows are %v; %d should be there, %d not", ids, other, big)
	}
	if s := db.Stats(); s.FileRows != 500+1000-20*5-10 || s.Tombstones != 0 {
		t.Errorf("%d rows in files, %d tombstones", s.FileRows, s.Tombstones)
	}
	wantCount(t, db, "k", 890)
	before := fmt.Sprint(dataFiles(db))
	for _, key := range []string{"k", "other", "absent"} {
		if err := db.CompactKey([]byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if after := fmt.Sprint(dataFiles(db)); after != before {
		t.Errorf("nothing was left to do, but files changed:\n%s\n%s", before, after)
	}
	if err := db.CompactKey(nil); err == nil {
		t.Error("no error for an empty key")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
