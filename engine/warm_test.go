package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// checkWarm checks that readers of the current version see each flush once: in a
// warm memtable or in its files, and every memtable is newer than every file read.
func checkWarm(t *testing.T, db *DB) (warm int) {
	t.Helper()
	v := db.acquire()
	defer v.release()
	shadowed := v.shadowed()
	if len(v.data)+len(v.catalog)+len(shadowed) != len(v.all) {
		t.Fatalf("%d files of data, %d of the catalog, %d shadowed of %d", len(v.data), len(v.catalog), len(shadowed), len(v.all))
	}
	if len(v.warm()) > maxWarm || v.frozen > 1 && len(v.warm()) > 0 {
		t.Fatalf("%d warm memtables beside %d frozen ones", len(v.warm()), v.frozen)
	}
	for _, m := range v.warm() {
		for _, t2 := range append(v.data, v.catalog...) {
			if t2.file.MaxSeq >= m.FirstSeq() {
				t.Fatalf("file %d up to %d is read beside a warm memtable from %d on", t2.file.ID, t2.file.MaxSeq, m.FirstSeq())
			}
		}
	}
	return len(v.warm())
}

// TestWarmModel runs random histories with many flushes and merges, and checks the
// version and some reads after every step.
func TestWarmModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			d := &driver{t: t, rng: rand.New(rand.NewPCG(seed, 13)), m: newModel()}
			d.now.Store(d.m.clock)
			opt := testOptions(disktest.New())
			opt.Now = func() time.Time { return time.UnixMilli(int64(d.now.Load())) }
			opt.Sync = SyncOS
			d.db = open(t, opt)
			defer func() { d.must(d.db.Close()) }()
			seen := [maxWarm + 1]int{}
			for i := range 300 {
				d.step()
				if i%3 == 0 {
					d.must(d.db.Flush())
				}
				seen[checkWarm(t, d.db)]++
				if i%5 == 0 {
					d.compare()
				}
			}
			t.Log("versions by number of warm memtables:", seen)
			if seen[0] == 0 || seen[1] == 0 {
				t.Error("too few kinds of versions were seen")
			}
		})
	}
}

// TestWarmOrder walks through the life of warm memtables.
func TestWarmOrder(t *testing.T) {
	s := newScript(t)
	put := func(key string, time uint64, value string) {
		t.Helper()
		var b Batch
		b.Put([]byte(key), kv.ID{Time: time}, []byte(value))
		if err := s.db.Apply(&b); err != nil || b.Ops[0].Err != nil {
			t.Fatal(err, b.Ops[0].Err)
		}
	}
	flush := func() {
		t.Helper()
		s.db.compactMu.Lock() // so that nothing is merged
		defer s.db.compactMu.Unlock()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		checkWarm(t, s.db)
		if st := s.db.Stats(); st.WarmMemtables == 0 || st.WarmBytes == 0 || st.FrozenMemtables != 0 {
			t.Fatalf("after a flush: %+v", st)
		}
	}
	want := func(key string, time uint64, value string) {
		t.Helper()
		rec, ok, err := s.db.Get([]byte(key), kv.ID{Time: time}, nil)
		if err != nil || ok != (value != "") || string(rec.Value) != value {
			t.Fatalf("%s at %d: %q %v %v, want %q", key, time, rec.Value, ok, err, value)
		}
	}
	put("a", 1, "one")
	put("gone", 5, "x")
	flush()
	put("a", 1, "two")
	if err := s.db.Update(func(tx *Tx) error { _, err := tx.Delete([]byte("gone")); return err }, []byte("gone")); err != nil {
		t.Fatal(err)
	}
	flush()
	want("a", 1, "two")
	want("gone", 9, "")
	put("a", 1, "three")
	put("gone", 6, "back")
	want("a", 1, "three")
	flush()
	want("a", 1, "three")
	want("gone", 5, "")
	want("gone", 9, "back")
	if err := s.db.Compact(); err != nil {
		t.Fatal(err)
	}
	checkWarm(t, s.db)
	want("a", 1, "three")
	want("gone", 5, "")
	want("gone", 9, "back")
	put("b", 1, "only tombstones follow")
	flush()
	if err := s.db.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	want("b", 1, "")
	s.reopen()
	if n := checkWarm(t, s.db); n != 0 {
		t.Errorf("%d warm memtables after a start", n)
	}
	want("b", 1, "")
}

// TestWarmYields: warm memtables go when two frozen ones wait, and are not kept
// beyond their share.
func TestWarmYields(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	list := func(n int, files ...uint64) []*memory {
		var mem []*memory
		for range n {
			m := db.newMemory(1, 1)
			t.Cleanup(m.Unref)
			m.files = files
			mem = append(mem, m)
		}
		return mem
	}
	for _, c := range []struct {
		mem    []*memory
		frozen int
		gone   map[uint64]bool
		want   int
	}{
		{list(5, 7), 0, nil, 1 + maxWarm},
		{list(5, 7), 1, nil, 2 + maxWarm},
		{list(5, 7), 2, nil, 3},
		{list(3, 7), 0, map[uint64]bool{7: true}, 1},
		{append(list(2, 8), list(2, 7)...), 0, map[uint64]bool{7: true}, 2},
		{append(list(1, 8), append(list(1), list(2, 7)...)...), 0, nil, 1},
	} {
		if got := db.keepWarm(c.mem, c.frozen, c.gone); len(got) != c.want {
			t.Errorf("%d memtables, %d frozen: %d stay, want %d", len(c.mem), c.frozen, len(got), c.want)
		}
	}
}
