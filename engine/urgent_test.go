package engine

import (
	"math/rand/v2"
	"testing"

	"tskv/compaction"
	"tskv/disk/disktest"
	"tskv/kv"
)

// TestUrgentMerge lets small merges go before the end of a large one: the files of
// both are right afterwards, the newest row of each ID wins, and so it is after a
// restart.
func TestUrgentMerge(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.MemtableBytes = 8 << 20
	db := open(t, opt)
	db.compactMu.Lock() // nothing else merges
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[kv.ID]string{}
	flush := func(rows, size int) {
		t.Helper()
		var b Batch
		for range rows {
			id := kv.ID{Time: uint64(rng.IntN(4000))}
			value := make([]byte, size)
			for i := range value {
				value[i] = byte('a' + rng.IntN(26))
			}
			want[id] = string(value)
			b.Put([]byte("k"), id, value)
		}
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		flush(2000, 900)
	}
	large := db.acquire()
	defer large.release()
	plan := compaction.Plan{Class: compaction.ClassData, DropDeletes: true, Reason: "tiered"}
	for i := len(large.stored()) - 1; i >= 0; i-- {
		plan.Inputs = append(plan.Inputs, large.stored()[i].file)
	}
	for range urgentFiles + 4 {
		flush(50, 20)
	}
	before := len(db.state.Load().Files)
	merges := db.metrics.Compactions.Value()
	if err := db.carryOut(large, plan); err != nil {
		t.Fatal(err)
	}
	if n := db.metrics.Compactions.Value() - merges; n < 2 {
		t.Errorf("%d merges: no small one went first", n)
	}
	if after := len(db.state.Load().Files); after > before-3-5 {
		t.Errorf("%d files of %d are left", after, before)
	}
	check := func() {
		t.Helper()
		snap, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Release()
		for id, value := range want {
			if rec, ok, err := snap.Get([]byte("k"), id, nil); err != nil || !ok || rec.ID != id || string(rec.Value) != value {
				t.Fatalf("%v: %v %v %.20q, want %.20q", id, ok, err, rec.Value, value)
			}
		}
		if n, err := snap.Count([]byte("k"), ScanOptions{To: kv.MaxID}); err != nil || n != uint64(len(want)) {
			t.Errorf("%d records, want %d (%v)", n, len(want), err)
		}
	}
	check()
	db.compactMu.Unlock()
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, opt)
	check()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
