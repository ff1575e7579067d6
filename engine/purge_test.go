package engine

import (
	"fmt"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestPurge deletes keys that lie in old files: their rows and their tombstones
// go although no merge by size would touch those files.
func TestPurge(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.MemtableBytes = 1 << 20
	opt.purgeAfter = 300
	db := open(t, opt)
	fill := func(from, to int) {
		var b Batch
		for i := from; i < to; i++ {
			b.Put(fmt.Appendf(nil, "key:%04d", i), kv.ID{Time: uint64(i)}, []byte("value"))
		}
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	fill(0, 1000)
	remove := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Appendf(nil, "key:%04d", i)
			err := db.Update(func(tx *Tx) error {
				_, err := tx.Delete(key)
				return err
			}, key)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Compact(); err != nil {
			t.Fatal(err)
		}
	}
	remove(0, 200)
	if n := db.Stats().Tombstones; n != 200 {
		t.Fatalf("%d tombstones before there are enough for a purge", n)
	}
	remove(200, 600)
	if s := db.Stats(); s.Tombstones != 0 || s.FileRows != 400 {
		t.Fatalf("after the purge: %d tombstones, %d rows in files", s.Tombstones, s.FileRows)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, testOptions(fs))
	defer func() { _ = db.Close() }()
	for i := range 1000 {
		_, ok, err := db.Get(fmt.Appendf(nil, "key:%04d", i), kv.MaxID, nil)
		if err != nil || ok != (i >= 600) {
			t.Fatalf("key %d: %v %v", i, ok, err)
		}
	}
	if db.Keys() != 400 {
		t.Fatalf("%d keys", db.Keys())
	}
}

// TestSubsume: a key trimmed again and again keeps one tombstone, and what a newer
// one does not cover stays.
func TestSubsume(t *testing.T) {
	id := func(n uint64) kv.ID { return kv.ID{Time: n} }
	var list []kv.Tombstone
	for i := uint64(1); i <= 50; i++ {
		list = append(list, kv.Tombstone{Key: []byte("topic"), To: id(i * 10), Seq: i})
	}
	list = append(list,
		kv.Tombstone{Key: []byte("topic"), From: id(900), To: id(950), Seq: 60},
		kv.Tombstone{Key: []byte("other"), To: id(5), Seq: 61},
		kv.Tombstone{Key: []byte("topic"), Prefix: true, To: id(5), Seq: 2})
	got := fmt.Sprint(seqs(subsume(list)))
	if want := "[2 50 60 61]"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	list = append(list, kv.Tombstone{Key: []byte("topic"), Prefix: true, To: kv.MaxID, Seq: 70})
	if got := fmt.Sprint(seqs(subsume(list))); got != "[61 70]" {
		t.Errorf("under a prefix: kept %s", got)
	}
}

func seqs(list []kv.Tombstone) []uint64 {
	var out []uint64
	for _, t := range list {
		out = append(out, t.Seq)
	}
	return out
}
