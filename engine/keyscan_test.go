package engine

import (
	"fmt"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestKeyPages: a page of a key scan costs the same wherever it starts and however
// many keys there are.
func TestKeyPages(t *testing.T) {
	const keys = 300_000
	opt := testOptions(disktest.New())
	opt.MemtableBytes, opt.SegmentBytes, opt.Sync = 256<<20, 64<<20, SyncOS
	db := open(t, opt)
	var b Batch
	for i := range keys {
		b.Put(fmt.Appendf(nil, "key:%07d", i), kv.ID{Time: 1}, []byte("1"))
		if len(b.Ops) == 10_000 {
			apply(t, db, &b)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, opt) // without warm memtables
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	for _, start := range []int{0, 1, keys / 2, keys - 11} {
		before := db.metrics.BlocksDecoded.Value()
		it, err := snap.Keys(fmt.Appendf(nil, "key:%07d", start), false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			info, ok, err := it.Next()
			if want := fmt.Sprintf("key:%07d", start+1+i); err != nil || !ok || string(info.Key) != want {
				t.Fatalf("key %q %v %v, want %q", info.Key, ok, err, want)
			}
		}
		it.Close()
		if n := db.metrics.BlocksDecoded.Value() - before; n > 2*uint64(len(snap.v.catalog)) {
			t.Errorf("page from %d: %d blocks of %d files opened", start, n, len(snap.v.catalog))
		}
	}
}
