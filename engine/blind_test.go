package engine

import (
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestBlindUpdate writes keys that are hot, cold and new through one blind Update: it
// does what an ordinary one does, and reads no block of a key that is in use.
func TestBlindUpdate(t *testing.T) {
	opt := testOptions(disktest.New())
	db := open(t, opt)
	mustPut(t, db, "cold", 1, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, opt)
	t.Cleanup(func() { _ = db.Close() })
	mustPut(t, db, "hot", 1, "a")
	write := func(time uint64) {
		t.Helper()
		var b Batch
		b.Update(func(tx *Tx) error {
			for _, key := range []string{"hot", "cold", "new"} {
				if err := tx.Put(&Op{Key: []byte(key), ID: kv.ID{Time: time}, Value: []byte("b")}); err != nil {
					return err
				}
			}
			return nil
		}, []byte("hot"), []byte("cold"), []byte("new"))
		b.Ops[0].Blind = true
		if err := db.Apply(&b); err != nil || b.Ops[0].Err != nil {
			t.Fatal(err, b.Ops[0].Err)
		}
	}
	write(2)
	db.compactMu.Lock() // merges decode blocks, too
	defer db.compactMu.Unlock()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	before := db.metrics.BlocksDecoded.Value()
	write(3)
	if n := db.metrics.BlocksDecoded.Value() - before; n != 0 {
		t.Errorf("%d blocks were read for keys in use", n)
	}
	if n := db.Keys(); n != 3 {
		t.Errorf("%d keys", n)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	for key, want := range map[string]uint64{"hot": 3, "cold": 3, "new": 2} {
		if n, err := snap.Count([]byte(key), ScanOptions{To: kv.MaxID}); err != nil || n != want {
			t.Errorf("%s: %d records, want %d (%v)", key, n, want, err)
		}
	}
}
