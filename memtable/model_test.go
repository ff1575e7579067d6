package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tskv/kv"
)

// model is the naive reference: every version and every tombstone in a list.
type model struct {
	rows    map[string][]version
	deletes []kv.Tombstone
	aborted []seqRange
}

type version struct {
	seq uint64
	row kv.Row
}

func newModel() *model { return &model{rows: map[string][]version{}} }

// covered reports whether a tombstone visible at maxSeq hides a version.
func (m *model) covered(key string, v *version, maxSeq uint64) bool {
	for _, d := range m.deletes {
		match := string(d.Key) == key || d.Prefix && bytes.HasPrefix([]byte(key), d.Key)
		if match && d.Seq > v.seq && d.Seq <= maxSeq && !isAborted(m.aborted, d.Seq) &&
			!v.row.ID.Less(d.From) && !d.To.Less(v.row.ID) {
			return true
		}
	}
	return false
}

// visible returns one version per ID, ascending.
func (m *model) visible(key string, maxSeq uint64) []version {
	best := map[kv.ID]version{}
	for _, v := range m.rows[key] {
		if v.seq <= maxSeq && !isAborted(m.aborted, v.seq) && !m.covered(key, &v, maxSeq) {
			best[v.row.ID] = v // rows are in order of sequence
		}
	}
	var out []version
	for _, v := range best {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b version) int { return a.row.ID.Compare(b.row.ID) })
	return out
}

// clip applies a range to ascending versions.
func clip(all []version, r kv.Range) []kv.Row {
	var out []kv.Row
	for _, v := range all {
		if r.Contains(v.row.ID) {
			row := v.row
			if r.KeysOnly {
				row = kv.Row{ID: row.ID, Form: row.Form}
			}
			out = append(out, row)
		}
	}
	if r.Reverse {
		slices.Reverse(out)
	}
	return out
}

func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// drain reads a source to its end, copies its rows and checks the batches.
func drain(t testing.TB, src kv.Source) []kv.Row {
	t.Helper()
	defer src.Close()
	var out []kv.Row
	for {
		b, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return out
		}
		n := b.Len()
		if n == 0 || n > batchRows || len(b.Seq) != n || len(b.Form) != n {
			t.Fatalf("batch of %d, %d, %d", n, len(b.Seq), len(b.Form))
		}
		for _, column := range []int{len(b.Num), len(b.Raw), len(b.Tags)} {
			if column != 0 && column != n {
				t.Fatalf("column of %d in a batch of %d", column, n)
			}
		}
		for i := range n {
			row := b.Row(i)
			row.Raw, row.Tags = bytes.Clone(row.Raw), bytes.Clone(row.Tags)
			out = append(out, row)
		}
	}
}

func sameRow(a, b kv.Row) bool {
	return a.ID == b.ID && a.Form == b.Form && a.Num == b.Num &&
		bytes.Equal(a.Raw, b.Raw) && bytes.Equal(a.Tags, b.Tags)
}

func compareRows(t testing.TB, what string, got, want []kv.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !sameRow(got[i], want[i]) {
			t.Fatalf("%s: row %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// player writes the same random operations into a table and a model.
type player struct {
	rng   *rand.Rand
	table *Table
	model *model
	keys  []string
	seq   uint64
	clock uint64
	times uint64 // spread of random times
}

func (p *player) id() kv.ID {
	if p.rng.IntN(3) > 0 {
		p.clock += p.rng.Uint64N(2)
		return kv.ID{Time: p.clock, Seq: p.rng.Uint64N(2)}
	}
	return kv.ID{Time: p.rng.Uint64N(p.clock + p.times), Seq: p.rng.Uint64N(3)}
}

func (p *player) row() kv.Row {
	row := kv.Row{ID: p.id(), Form: kv.Form(p.rng.IntN(kv.MaxScale + 1)), Num: p.rng.Int64() - 1<<62}
	switch p.rng.IntN(10) {
	case 0:
		row.Form, row.Num = kv.FormDelete, 0
		return row
	case 1:
		row.Form, row.Num = kv.FormRaw, 0
		row.Raw = fmt.Appendf([]byte{}, "%0*d", p.rng.IntN(300), p.seq)[:p.rng.IntN(2)*p.rng.IntN(2)]
	case 2:
		row.Form, row.Num, row.Raw = kv.FormRaw, 0, fmt.Appendf(nil, "%0*d", p.rng.IntN(300), p.seq)
	}
	if p.rng.IntN(6) == 0 {
		row.Tags = kv.TagSet(fmt.Sprintf("\x01%c", 'a'+p.rng.IntN(26)))
	}
	return row
}

func (p *player) add() {
	key := p.keys[p.rng.IntN(len(p.keys))]
	row := p.row()
	p.seq += 1 + p.rng.Uint64N(2)
	copied := row
	copied.Raw, copied.Tags = bytes.Clone(row.Raw), bytes.Clone(row.Tags)
	p.table.Add(p.table.Series([]byte(key)), p.seq, &copied)
	clear(copied.Raw) // the table must have its own
	clear(copied.Tags)
	p.model.rows[key] = append(p.model.rows[key], version{p.seq, row})
}

func (p *player) deleteRange() {
	key := p.keys[p.rng.IntN(len(p.keys))]
	d := kv.Tombstone{Key: []byte(key), From: p.id(), To: p.id(), Prefix: p.rng.IntN(4) == 0}
	if d.Prefix {
		d.Key = d.Key[:p.rng.IntN(len(d.Key)+1)]
	}
	if d.To.Less(d.From) {
		d.From, d.To = d.To, d.From
	}
	switch p.rng.IntN(6) {
	case 0:
		d.From = kv.MinID
	case 1:
		d.To = kv.MaxID
	case 2:
		d.From, d.To = kv.MinID, kv.MaxID
	}
	p.seq++
	d.Seq = p.seq
	p.table.AddTombstone(d)
	p.model.deletes = append(p.model.deletes, d)
}

func (p *player) abort() {
	from := p.seq - min(p.rng.Uint64N(6), p.seq-1)
	p.table.Abort(from, p.seq)
	p.model.aborted = append(p.model.aborted, seqRange{from, p.seq})
}

func (p *player) check(t *testing.T, maxSeq uint64) {
	t.Helper()
	var seen []string
	for _, key := range p.keys {
		want := p.model.visible(key, maxSeq)
		s := p.table.Find([]byte(key))
		if s == nil {
			if len(p.model.rows[key]) > 0 {
				t.Fatalf("series %q is missing", key)
			}
			continue
		}
		if len(want) > 0 {
			seen = append(seen, key)
		}
		for _, reverse := range []bool{false, true} {
			r := kv.Range{From: kv.MinID, To: kv.MaxID, Reverse: reverse}
			compareRows(t, key, drain(t, p.table.Source(s, r, maxSeq)), clip(want, r))
			r.From, r.To, r.KeysOnly = p.id(), p.id(), p.rng.IntN(2) == 0
			compareRows(t, key, drain(t, p.table.Source(s, r, maxSeq)), clip(want, r))
		}
		p.checkNewest(t, s, want, maxSeq)
	}
	slices.Sort(seen)
	from := p.keys[p.rng.IntN(len(p.keys))]
	i, _ := slices.BinarySearch(seen, from)
	p.checkIterator(t, "", seen, maxSeq)
	p.checkIterator(t, from, seen[i:], maxSeq)
}

func (p *player) checkNewest(t *testing.T, s *Series, want []version, maxSeq uint64) {
	t.Helper()
	ats := []kv.ID{kv.MaxID, kv.MinID, p.id(), p.id()}
	if len(want) > 0 {
		ats = append(ats, want[p.rng.IntN(len(want))].row.ID)
	}
	for _, at := range ats {
		var best *version
		for i := range want {
			if !at.Less(want[i].row.ID) {
				best = &want[i]
			}
		}
		row, seq, ok := p.table.Newest(s, at, maxSeq)
		if ok != (best != nil) {
			t.Fatalf("newest of %q at %v: %v, want %v", s.Key(), at, ok, best)
		}
		if ok && (seq != best.seq || !sameRow(row, best.row)) {
			t.Fatalf("newest of %q at %v: %v seq %d, want %v", s.Key(), at, row, seq, *best)
		}
	}
}

func (p *player) checkIterator(t *testing.T, from string, want []string, maxSeq uint64) {
	t.Helper()
	it := p.table.Iterator([]byte(from), maxSeq)
	defer it.Close()
	for _, key := range want {
		got, err := it.Next()
		if err != nil || string(got) != key {
			t.Fatalf("iterator: %q, %v, want %q", got, err, key)
		}
		src, err := it.Rows(kv.Everything)
		if err != nil {
			t.Fatal(err)
		}
		compareRows(t, key, drain(t, src), clip(p.model.visible(key, maxSeq), kv.Everything))
	}
	if got, err := it.Next(); got != nil || err != nil {
		t.Fatalf("iterator: %q, %v after the end", got, err)
	}
}

func TestModel(t *testing.T) {
	rng := newRand(t)
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	pool := NewPool(8 << 20)
	for round := range rounds {
		p := &player{rng: rng, table: New(Options{Pool: pool}, 5), model: newModel(), seq: 5, times: 1 + rng.Uint64N(300)}
		if round%4 == 0 {
			p.table.index.mask = 3 // long collision chains
		}
		for i := range 1 + rng.IntN(12) {
			p.keys = append(p.keys, fmt.Sprintf("%c%d", 'a'+rng.IntN(3), i))
		}
		ops := 200 + rng.IntN(3000)
		for i := range ops {
			switch n := rng.IntN(1000); {
			case n < 10 && round%3 > 0:
				p.deleteRange()
			case n < 15 && round%3 == 2:
				p.abort()
			default:
				p.add()
			}
			if i%(ops/4+1) == 0 {
				p.check(t, p.seq)
			}
		}
		p.check(t, p.seq)
		p.check(t, p.seq+1000)
		p.check(t, 0)
		for range 3 {
			p.check(t, rng.Uint64N(p.seq+1))
		}
		p.checkCounters(t)
		p.table.Unref()
	}
}

func (p *player) checkCounters(t *testing.T) {
	t.Helper()
	var rows int64
	lowest, highest := kv.MaxID.Time, uint64(0)
	for _, list := range p.model.rows {
		rows += int64(len(list))
		for _, v := range list {
			lowest, highest = min(lowest, v.row.ID.Time), max(highest, v.row.ID.Time)
		}
	}
	if got := p.table.Rows(); got != rows {
		t.Errorf("%d rows, want %d", got, rows)
	}
	if got := p.table.SeriesCount(); got != len(p.model.rows) {
		t.Errorf("%d series, want %d", got, len(p.model.rows))
	}
	if a, b := p.table.Bounds(); a != lowest || b != highest {
		t.Errorf("bounds %d, %d, want %d, %d", a, b, lowest, highest)
	}
	if got := p.table.LastSeq(); got != p.seq {
		t.Errorf("last sequence %d, want %d", got, p.seq)
	}
	if min := rows * recordBytes; p.table.Bytes() < min {
		t.Errorf("%d bytes, below %d of the records", p.table.Bytes(), min)
	}
}

// TestLongSeries reaches full chunks, windows of chunks and merged runs.
func TestLongSeries(t *testing.T) {
	rng := newRand(t)
	for _, late := range []int{0, 3, 50, 95} {
		p := &player{rng: rng, table: New(Options{}, 0), model: newModel(), keys: []string{"k"}}
		s := p.table.Series([]byte("k"))
		for i := range uint64(25000) {
			id := kv.ID{Time: i / 3, Seq: i % 3}
			if rng.IntN(100) < late {
				id = kv.ID{Time: rng.Uint64N(9000)}
			}
			p.seq++
			row := kv.Row{ID: id, Num: int64(i)}
			p.table.Add(s, p.seq, &row)
			p.model.rows["k"] = append(p.model.rows["k"], version{p.seq, row})
		}
		p.clock, p.times = 8000, 1000
		for range 4 {
			p.check(t, p.seq)
			p.check(t, rng.Uint64N(p.seq))
		}
		p.deleteRange()
		p.check(t, p.seq)
		p.check(t, p.seq-1)
		p.table.Unref()
	}
}
