package sstable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"tskv/kv"
)

// blockCounter counts the blocks that a reader opens.
type blockCounter struct{ n atomic.Int64 }

func (c *blockCounter) Inc() { c.n.Add(1) }

// TestWalk makes random walks: what is skipped must be what its span said, what
// is entered must come.
func TestWalk(t *testing.T) {
	rng := seeded(t)
	d := newDisk()
	model := randomModel(rng, []int{1, 300, 9000, 40_000}, 5)
	long := make([]kv.Row, 0, 200_000) // tiny blocks under a root, by values of 1 KiB
	for i := range 5000 {
		long = append(long, kv.Row{ID: kv.ID{Time: uint64(i)}, Form: kv.FormRaw, Raw: randomBytes(rng, 1024), Tags: randomTags(rng)})
	}
	model = sortModel(append(model, series{key: []byte("root"), rows: long}))
	p := build(t, d, WriterOptions{FileID: 1}, model, 500)
	r := openTable(t, d, p, ReaderOptions{})
	for i := range model {
		s := &model[i]
		for range 12 {
			rg := s.randomRange(rng)
			if err := randomWalk(r, s, rg, rng); err != nil {
				t.Fatalf("%s %+v: %v", s.key, rg, err)
			}
		}
	}
}

// randomWalk skips and enters spans by chance.
func randomWalk(r *Reader, s *series, rg kv.Range, rng *rand.Rand) error {
	want := s.expect(rg)
	withTags := rng.IntN(2) == 0
	tags := randomTags(rng)
	if rg.KeysOnly && withTags {
		want = s.expect(kv.Range{From: rg.From, To: rg.To, Reverse: rg.Reverse})
		for i := range want {
			want[i] = kv.Row{ID: want[i].ID, Form: want[i].Form, Tags: want[i].Tags}
		}
	}
	w, err := r.Walk(s.key, rg, withTags)
	if err != nil || w == nil {
		if len(want) > 0 || err != nil {
			return fmt.Errorf("no walk, want %d rows: %w", len(want), err)
		}
		return nil
	}
	defer w.Close()
	enter := rng.IntN(10)
	for span := w.Span(); span != nil; span = w.Span() {
		switch {
		case rng.IntN(10) >= enter:
			n, err := skipped(span, want, tags)
			if err != nil {
				return err
			}
			want = want[n:]
			err = w.Skip()
			if err != nil {
				return err
			}
		case !w.Opened():
			if err := w.Enter(); err != nil {
				return err
			}
		default:
			rows, err := w.Next()
			if err != nil {
				return err
			}
			for i := range rows.Len() {
				row := rows.Row(i)
				if len(want) == 0 || !sameRow(&row, &want[0]) {
					return fmt.Errorf("got %+v, want one of %d rows", row, len(want))
				}
				want = want[1:]
			}
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("%d rows did not come", len(want))
	}
	return w.Skip()
}

// skipped returns how many of the wanted rows lie in a span, which must agree.
func skipped(span *Span, want []kv.Row, tags kv.TagSet) (int, error) {
	n, deletes := 0, 0
	for n < len(want) && !want[n].ID.Less(span.Min) && !span.Max.Less(want[n].ID) {
		if want[n].Form == kv.FormDelete {
			deletes++
		}
		if want[n].Tags != nil && want[n].Tags.HasAll(tags) && !span.MayHold(TagBitsOf(tags)) {
			return 0, fmt.Errorf("%+v denies a row with tags %q", *span, tags)
		}
		n++
	}
	if span.Counted && (uint64(n) != span.Rows || uint64(deletes) != span.Deletes) {
		return 0, fmt.Errorf("%+v has %d rows, %d deletes", *span, n, deletes)
	}
	return n, nil
}

// TestTaggedWalk: only the block that may have a row with the tag is entered.
func TestTaggedWalk(t *testing.T) {
	one, _ := kv.MakeTagSet([][]byte{[]byte("error")})
	s := series{key: []byte("k")}
	for i := range 3 * maxBlockRows {
		row := kv.Row{ID: kv.ID{Time: uint64(i)}, Num: 1}
		if i == maxBlockRows+5 {
			row.Tags = one
		}
		s.rows = append(s.rows, row)
	}
	d := newDisk()
	r := openTable(t, d, build(t, d, WriterOptions{FileID: 1}, []series{s}, 999), ReaderOptions{})
	w, err := r.Walk(s.key, kv.Everything, true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var rows []kv.Row
	for span := w.Span(); span != nil && err == nil; span = w.Span() {
		switch {
		case !span.MayHold(TagBitsOf(one)):
			err = w.Skip()
		case !w.Opened():
			err = w.Enter()
		default:
			var batch *kv.Rows
			batch, err = w.Next()
			for i := range batch.Len() {
				rows = append(rows, batch.Row(i))
			}
		}
	}
	if err != nil || len(rows) != maxBlockRows || !bytes.Equal(rows[5].Tags, one) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
}

// TestWalkDecodes: a walk opens no block that it does not enter.
func TestWalkDecodes(t *testing.T) {
	d := newDisk()
	p := buildRows(t, d, gaugeRows(1_000_000), 1)
	var blocks blockCounter
	r := openTable(t, d, p, ReaderOptions{Blocks: &blocks})
	rows := gaugeRows(1_000_000)
	it := r.Iterator(nil)
	key, err := it.Next()
	if err != nil {
		t.Fatal(err)
	}
	key = bytes.Clone(key)
	it.Close()
	for _, rg := range []kv.Range{
		kv.Everything,
		{From: rows.ID(12_345), To: rows.ID(987_654)},
		{From: rows.ID(12_345), To: rows.ID(987_654), Reverse: true},
	} {
		blocks.n.Store(0)
		w, err := r.Walk(key, rg, false)
		if err != nil {
			t.Fatal(err)
		}
		n, spans := uint64(0), 0
		for span := w.Span(); span != nil; span = w.Span() {
			spans++
			step := w.Enter
			if span.Counted {
				n += span.Rows - span.Deletes
				step = w.Skip
			}
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		want, most := uint64(987_654-12_345+1), int64(2)
		if rg == kv.Everything {
			want, most = 1_000_000, 0
		}
		if n != want || blocks.n.Load() != most || spans > 300 {
			t.Errorf("%+v: %d rows, want %d; %d blocks opened, want %d; %d spans", rg, n, want, blocks.n.Load(), most, spans)
		}
	}
}

// TestDictionary: a file says that it holds no row with some tags only if that
// is so.
func TestDictionary(t *testing.T) {
	set := func(tags ...string) kv.TagSet {
		var list [][]byte
		for _, tag := range tags {
			list = append(list, []byte(tag))
		}
		s, err := kv.MakeTagSet(list)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	long := string(bytes.Repeat([]byte("x"), kv.MaxTag-8))
	for _, c := range []struct {
		sets   int
		prefix string
		absent bool // known to be
	}{{3, "", true}, {maxSearchedSets, "", true}, {maxSearchedSets + 1, "", false}, {maxTagSetBytes / kv.MaxTag, long, false}} {
		rows := make([]kv.Row, c.sets)
		for i := range rows {
			rows[i] = kv.Row{ID: kv.ID{Time: uint64(i)}, Tags: set("both", c.prefix+fmt.Sprint(i))}
		}
		d := newDisk()
		r := openTable(t, d, build(t, d, WriterOptions{FileID: 1}, []series{{key: []byte("k"), rows: rows}}, 100), ReaderOptions{})
		for i := range rows {
			if !r.MayHoldTags(rows[i].Tags) {
				t.Fatalf("%d sets: set %d denied", c.sets, i)
			}
		}
		if got := r.MayHoldTags(set("both", "none")); got == c.absent {
			t.Errorf("%d sets of %q: may hold an absent one: %v", c.sets, c.prefix, got)
		}
	}
}
