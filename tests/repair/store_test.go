package repair

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/kv"
)

// day is the distance of the windows that the stores are spread over.
const day = 24 * 3600 * 1000

// contents is what a store holds: value and tags by key and ID.
type contents map[string]map[kv.ID]string

func (c contents) clone() contents {
	out := contents{}
	for k, rows := range c {
		out[k] = maps.Clone(rows)
	}
	return out
}

// store is a store under construction, and what it should hold.
type store struct {
	t     *testing.T
	disk  *disktest.Disk
	db    *engine.DB
	want  contents
	rng   *rand.Rand
	clock time.Time

	base    contents // what it held at the last flush
	actions []action // since then
}

// action is one write and the sequences that it took.
type action struct {
	first, last uint64
	apply       func(c contents)
}

// did notes a write that was acknowledged; before is the sequence before it.
func (s *store) did(before uint64, apply func(c contents)) {
	apply(s.want)
	s.actions = append(s.actions, action{before + 1, s.sequence(), apply})
}

func (s *store) sequence() uint64 { return s.db.Stats().VisibleSeq }

func (c contents) put(key string, id kv.ID, value string) {
	if c[key] == nil {
		c[key] = map[kv.ID]string{}
	}
	c[key][id] = value
}

func newStore(t *testing.T, seed uint64) *store {
	t.Helper()
	s := &store{
		t: t, disk: disktest.New(), want: contents{}, rng: rand.New(rand.NewPCG(seed, 7)),
		clock: time.UnixMilli(1_700_000_000_000), base: contents{},
	}
	s.open()
	return s
}

func options(d disk.FS, clock *time.Time) engine.Options {
	o := engine.Options{FS: d, MemtableBytes: 64 << 10, SegmentBytes: 64 << 10, MinFreeBytes: 1}
	if clock != nil {
		o.Now = func() time.Time { return *clock }
	}
	return o
}

func (s *store) open() {
	s.t.Helper()
	var err error
	if s.db, err = engine.Open("test", options(s.disk, &s.clock)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) put(key string, id kv.ID, value string, tags ...string) {
	s.t.Helper()
	var set kv.TagSet
	if len(tags) > 0 {
		var list [][]byte
		for _, tag := range tags {
			list = append(list, []byte(tag))
		}
		var err error
		set, err = kv.MakeTagSet(list)
		s.must(err)
	}
	var b engine.Batch
	b.Ops = append(b.Ops, engine.Op{Key: []byte(key), ID: id, Value: []byte(value), Tags: set})
	before := s.sequence()
	s.must(s.db.Apply(&b))
	s.must(b.Ops[0].Err)
	s.did(before, func(c contents) { c.put(key, id, show([]byte(value), set)) })
}

// fill puts n numeric rows from a time on in one batch.
func (s *store) fill(key string, start uint64, n int) {
	s.t.Helper()
	var b engine.Batch
	values := make([]string, n)
	for i := range n {
		values[i] = fmt.Sprintf("%.2f", s.rng.Float64()*10)
		b.Put([]byte(key), kv.ID{Time: start + uint64(i)*1000}, []byte(values[i]))
	}
	before := s.sequence()
	s.must(s.db.Apply(&b))
	s.did(before, func(c contents) {
		for i, v := range values {
			c.put(key, kv.ID{Time: start + uint64(i)*1000}, v)
		}
	})
}

func (s *store) deleteRange(key string, from, to kv.ID) {
	s.t.Helper()
	before := s.sequence()
	s.must(s.db.Update(func(tx *engine.Tx) error { return tx.DeleteRange([]byte(key), from, to) }, []byte(key)))
	s.did(before, func(c contents) {
		for id := range c[key] {
			if !id.Less(from) && !to.Less(id) {
				delete(c[key], id)
			}
		}
	})
}

func (s *store) delete(key string) {
	s.t.Helper()
	before := s.sequence()
	s.must(s.db.Update(func(tx *engine.Tx) error {
		_, err := tx.Delete([]byte(key))
		return err
	}, []byte(key)))
	s.did(before, func(c contents) { delete(c, key) })
}

func (s *store) flush() {
	s.t.Helper()
	s.must(s.db.Flush())
	s.base, s.actions = s.want.clone(), nil
}

// close ends the store in order; kill ends it as kill -9 does, on a copy of the
// disk.
func (s *store) close() { s.t.Helper(); s.must(s.db.Close()) }

func (s *store) kill() {
	s.t.Helper()
	d := s.disk.Clone()
	s.close()
	s.disk = d
}

func show(value []byte, tags kv.TagSet) string {
	if len(tags) == 0 {
		return string(value)
	}
	return string(value) + "|" + string(tags)
}

// read opens a store with the engine and returns everything in it. The number of
// keys must be what the store says.
func read(t *testing.T, d disk.FS) contents {
	t.Helper()
	clock := time.UnixMilli(1_700_000_000_000)
	db, err := engine.Open("test", options(d, &clock))
	if err != nil {
		t.Fatal(err)
	}
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
	got := contents{}
	it, err := snap.Keys(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for {
		info, ok, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got[string(info.Key)] = scan(t, snap, info.Key)
	}
	if n := db.Keys(); n != uint64(len(got)) {
		t.Errorf("the store says %d keys and has %d", n, len(got))
	}
	return got
}

func scan(t *testing.T, snap *engine.Snapshot, key []byte) map[kv.ID]string {
	t.Helper()
	rows := map[kv.ID]string{}
	sc, err := snap.Scan(key, engine.ScanOptions{To: kv.MaxID})
	if err != nil {
		t.Fatalf("scan %q: %v", key, err)
	}
	defer sc.Close()
	for {
		batch, err := sc.Next()
		if err != nil {
			t.Fatalf("scan %q: %v", key, err)
		}
		if batch == nil {
			return rows
		}
		for i := range batch.Len() {
			row := batch.Row(i)
			rows[row.ID] = show(row.AppendValue(nil), row.Tags)
		}
	}
}

// compare fails unless two stores hold the same.
func compare(t *testing.T, what string, got, want contents) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		rows, ok := got[key]
		if !ok {
			t.Fatalf("%s: key %q is gone", what, key)
		}
		for id, value := range want[key] {
			if rows[id] != value {
				t.Fatalf("%s: %q at %v is %q, want %q", what, key, id, rows[id], value)
			}
		}
		if len(rows) != len(want[key]) {
			t.Fatalf("%s: %q has %d rows, want %d", what, key, len(rows), len(want[key]))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Fatalf("%s: key %q with %d rows should not be there", what, key, len(got[key]))
		}
	}
}

// small makes a store with a bit of everything: packed and own blocks, numbers,
// bytes, tags, replaced rows, deletes of both kinds, several windows, and a log.
func small(t *testing.T, seed uint64) *store {
	t.Helper()
	s := newStore(t, seed)
	for i := range 6 {
		key := fmt.Sprintf("short:%d", i)
		for n := range 3 {
			s.put(key, kv.ID{Time: uint64(n) * 1000}, fmt.Sprint(i*10+n))
			s.put(key, kv.ID{Time: uint64(n) * 1000, Seq: 1}, fmt.Sprintf("text %d", n), "tag:"+fmt.Sprint(i%2))
		}
	}
	s.fill("long", 0, 300)
	s.flush()
	s.put("short:1", kv.ID{Time: 1000}, "replaced")
	s.put("short:7", kv.ID{Time: 30 * day}, "other window")
	s.delete("short:2")
	s.deleteRange("long", kv.ID{Time: 50_000}, kv.ID{Time: 60_000})
	s.flush()
	s.put("short:1", kv.ID{Time: 2000}, "in the log")
	s.put("late", kv.ID{Time: 60 * day}, "1.5")
	s.delete("short:3")
	s.put("short:0", kv.ID{Time: 0}, "0.125", "x", "y")
	return s
}
