package compaction

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tskv/kv"
	"tskv/manifest"
)

// memRow is one row in memory, with the key and sequence that files do not hold.
type memRow struct {
	key string
	row kv.Row
	seq uint64
}

func compareRows(a, b memRow) int {
	return cmp.Or(cmp.Compare(a.key, b.key), a.row.ID.Compare(b.row.ID), cmp.Compare(b.seq, a.seq))
}

// rowsIterator is a series iterator over rows in the order of compareRows.
type rowsIterator struct {
	rows  []memRow
	n     int // rows of the current series
	batch int // rows per batch
}

func (it *rowsIterator) Next() ([]byte, error) {
	it.rows = it.rows[it.n:]
	it.n = 0
	if len(it.rows) == 0 {
		return nil, nil
	}
	for it.n < len(it.rows) && it.rows[it.n].key == it.rows[0].key {
		it.n++
	}
	return []byte(it.rows[0].key), nil
}

func (it *rowsIterator) Rows(kv.Range) (kv.Source, error) {
	return &rowsSource{rows: it.rows[:it.n], batch: it.batch}, nil
}
func (it *rowsIterator) Close() {}

type rowsSource struct {
	rows  []memRow
	batch int
	out   kv.Rows
}

func (s *rowsSource) Next() (*kv.Rows, error) {
	s.out.Reset()
	n := min(s.batch, len(s.rows))
	for i := range n {
		s.out.Append(s.rows[i].row)
	}
	s.rows = s.rows[n:]
	if n == 0 {
		return nil, nil
	}
	return &s.out, nil
}
func (s *rowsSource) Close() {}

// store is where a world keeps the content of its files.
type store interface {
	// flush builds files; rows are sorted and unique by key and ID.
	flush(rows []memRow, minSeq, maxSeq uint64) []manifest.File
	merge(plan Plan, tombs *kv.Tombstones) []manifest.File
	read(f *manifest.File) []memRow // seq is not known
}

// world plays a random history of writes, flushes and compactions against a
// model in which the last write wins.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	store  store
	opt    PickOptions
	seq    uint64
	times  func() uint64
	buffer []memRow       // not flushed, in the order of writing
	ranges []kv.Tombstone // not flushed
	files  []manifest.File
	tombs  []kv.Tombstone
	model  map[string]map[kv.ID]int64 // value of the newest living row
	plans  map[string]int
}

func newWorld(t *testing.T, seed uint64, s store, times func(rng *rand.Rand) uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	return &world{
		t: t, rng: rng, store: s, times: func() uint64 { return times(rng) },
		model: make(map[string]map[kv.ID]int64), plans: make(map[string]int),
	}
}

func (w *world) key() string { return fmt.Sprintf("key%02d", w.rng.IntN(12)) }

func (w *world) write() {
	w.seq++
	m := memRow{key: w.key(), seq: w.seq}
	m.row.ID = kv.ID{Time: w.times(), Seq: w.rng.Uint64N(2)}
	if w.rng.IntN(8) == 0 {
		m.row.Form = kv.FormDelete
		delete(w.model[m.key], m.row.ID)
	} else {
		m.row.Num = int64(w.seq)
		if w.model[m.key] == nil {
			w.model[m.key] = make(map[kv.ID]int64)
		}
		w.model[m.key][m.row.ID] = m.row.Num
	}
	w.buffer = append(w.buffer, m)
}

// deleteRange removes a range of a key, of some keys or of all of them.
func (w *world) deleteRange() {
	w.seq++
	ts := kv.Tombstone{Key: []byte(w.key()), To: kv.MaxID, Seq: w.seq}
	if n := w.rng.IntN(3); n > 0 {
		ts.Prefix = true
		ts.Key = ts.Key[:[]int{0, 0, 4}[n]]
	}
	if a, b := w.times(), w.times(); w.rng.IntN(3) > 0 {
		ts.From.Time, ts.To = min(a, b), kv.ID{Time: max(a, b), Seq: 0}
	}
	hits := func(key string, id kv.ID) bool { return covers(&ts, key, id) }
	for key, rows := range w.model {
		for id := range rows {
			if hits(key, id) {
				delete(rows, id)
			}
		}
	}
	w.buffer = slices.DeleteFunc(w.buffer, func(m memRow) bool { return hits(m.key, m.row.ID) })
	w.ranges = append(w.ranges, ts)
}

func covers(t *kv.Tombstone, key string, id kv.ID) bool {
	return (key == string(t.Key) || t.Prefix && bytes.HasPrefix([]byte(key), t.Key)) &&
		!id.Less(t.From) && !t.To.Less(id)
}

func (w *world) flush() {
	first := uint64(1)
	for i := range w.files {
		first = max(first, w.files[i].MaxSeq+1)
	}
	for i := range w.tombs {
		first = max(first, w.tombs[i].Seq+1)
	}
	slices.SortFunc(w.buffer, compareRows)
	rows := slices.CompactFunc(w.buffer, func(a, b memRow) bool { return a.key == b.key && a.row.ID == b.row.ID })
	if len(rows) > 0 {
		w.install(nil, w.store.flush(rows, first, w.seq), w.ranges)
	} else {
		w.tombs = append(w.tombs, w.ranges...)
	}
	w.buffer, w.ranges = nil, nil
}

func (w *world) install(inputs, outputs []manifest.File, tombs []kv.Tombstone) {
	w.t.Helper()
	w.files = slices.DeleteFunc(w.files, func(f manifest.File) bool {
		return slices.ContainsFunc(inputs, func(in manifest.File) bool { return in.ID == f.ID })
	})
	w.files = append(w.files, outputs...)
	w.tombs = LiveTombstones(w.files, append(w.tombs, tombs...))
	if err := CheckOrder(w.files); err != nil {
		w.t.Fatal(err)
	}
}

// compact does one compaction; false if there is none to do.
func (w *world) compact() bool {
	w.t.Helper()
	index := kv.NewTombstones(w.tombs)
	w.opt.Tombstones = index
	plan, ok := Pick(w.files, w.opt)
	if !ok {
		return false
	}
	w.plans[plan.Reason]++
	w.install(plan.Inputs, w.store.merge(plan, index), nil)
	return true
}

// check reads all rows as an engine would, newest file first, and compares.
func (w *world) check() {
	w.t.Helper()
	index := kv.NewTombstones(w.tombs)
	files := slices.Clone(w.files)
	slices.SortFunc(files, func(a, b manifest.File) int { return cmp.Compare(b.MaxSeq, a.MaxSeq) })
	type place struct {
		key string
		id  kv.ID
	}
	seen := make(map[place]uint64)
	found := 0
	for i := range files {
		f := &files[i]
		for _, m := range w.store.read(f) {
			if hidden(index, m, f.MaxSeq) {
				continue
			}
			at := place{m.key, m.row.ID}
			if before, ok := seen[at]; ok {
				if before == f.MaxSeq {
					w.t.Fatalf("%s %v is in two files with sequence %d", m.key, m.row.ID, before)
				}
				continue
			}
			seen[at] = f.MaxSeq
			if m.row.Form == kv.FormDelete {
				continue
			}
			found++
			if want, ok := w.model[m.key][m.row.ID]; !ok || want != m.row.Num {
				w.t.Fatalf("%s %v in file %d is %d, want %d (%t)", m.key, m.row.ID, f.ID, m.row.Num, want, ok)
			}
		}
	}
	want := 0
	for _, rows := range w.model {
		want += len(rows)
	}
	if found != want {
		w.t.Fatalf("%d rows in files, want %d", found, want)
	}
}

func hidden(index *kv.Tombstones, m memRow, maxSeq uint64) bool {
	for _, r := range index.Hidden([]byte(m.key), maxSeq, nil) {
		if !m.row.ID.Less(r.From) && !r.To.Less(m.row.ID) {
			return true
		}
	}
	return false
}

// play runs a history of flushes.
func (w *world) play(flushes, writes int) {
	w.t.Helper()
	for range flushes {
		for range 1 + w.rng.IntN(writes) {
			if w.rng.IntN(writes*2) == 0 {
				w.deleteRange()
			} else {
				w.write()
			}
		}
		w.flush()
		w.check()
		for n := w.rng.IntN(6); n > 0 && w.compact(); n-- {
			w.check()
		}
	}
	w.opt.Now = math.MaxUint64
	steps := 0
	for w.compact() {
		if steps++; steps > 10_000 {
			w.t.Fatal("compaction does not come to an end")
		}
	}
	w.check()
}
