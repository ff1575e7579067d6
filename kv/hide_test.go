package kv

import (
	"errors"
	"slices"
	"testing"
)

func TestDropDeletes(t *testing.T) {
	rng := newRand(t)
	for range 500 {
		var rows Rows
		var want []string
		for i := range rng.IntN(300) {
			row := randomRow(rng, ID{Time: uint64(i)})
			if rng.IntN(3) == 0 {
				row = Row{ID: row.ID, Form: FormDelete}
			}
			rows.Append(row)
			if row.Form != FormDelete {
				want = append(want, text(row))
			}
		}
		got := collect(t, DropDeletes(&sliceSource{rows: rows, size: 1 + rng.IntN(50), rng: rng, poison: true}))
		if !slices.Equal(got, want) {
			t.Fatal(firstDifference(got, want))
		}
	}
}

func TestDropDeletesPassesWhole(t *testing.T) {
	s := &sliceSource{rows: span(0, 100), size: 30}
	d := DropDeletes(s)
	for {
		rows, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			break
		}
		if rows != s.batches[len(s.batches)-1] {
			t.Error("a batch was copied")
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for name, wrap := range map[string]func(Source) Source{
		"DropDeletes": DropDeletes,
		"Hide":        func(s Source) Source { return Hide(s, []IDRange{{ID{}, ID{Time: 3}}}) },
	} {
		f := wrap(&sliceSource{rows: span(0, 10), size: 5, failAt: 5})
		if rows, err := f.Next(); rows == nil || err != nil {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
		for range 2 {
			if rows, err := f.Next(); rows != nil || !errors.Is(err, errBroken) {
				t.Errorf("%s: %v, %v", name, rows, err)
			}
		}
	}
}

func TestHideAgainstModel(t *testing.T) {
	rng := newRand(t)
	for range 500 {
		ids := rng.Uint64N(200) + 1
		own := map[ID]Row{}
		for range rng.IntN(300) {
			id := ID{rng.Uint64N(ids), rng.Uint64N(3)}
			own[id] = randomRow(rng, id)
		}
		reverse := rng.IntN(2) == 0
		rows := sortedRows(own, reverse)
		var ranges []IDRange
		for range rng.IntN(6) {
			from := ID{rng.Uint64N(ids), rng.Uint64N(3)}
			to := ID{from.Time + rng.Uint64N(20), rng.Uint64N(3)}
			if rng.IntN(10) == 0 {
				to.Time = rng.Uint64N(ids) // some are empty
			}
			ranges = append(ranges, IDRange{from, to})
		}
		given := slices.Clone(ranges)
		var want []string
		for i := range rows.Len() {
			id := rows.ID(i)
			if !slices.ContainsFunc(ranges, func(r IDRange) bool { return !id.Less(r.From) && !r.To.Less(id) }) {
				want = append(want, text(rows.Row(i)))
			}
		}
		got := collect(t, Hide(&sliceSource{rows: rows, size: 1 + rng.IntN(100), rng: rng, poison: true}, ranges))
		if !slices.Equal(got, want) {
			t.Fatalf("reverse %v, ranges %v: %s", reverse, ranges, firstDifference(got, want))
		}
		if !slices.Equal(given, ranges) {
			t.Fatal("the list of ranges was changed")
		}
	}
}

func TestHideEdges(t *testing.T) {
	s := &sliceSource{rows: span(0, 10), size: 5}
	if Hide(s, nil) != Source(s) || Hide(s, []IDRange{{ID{Time: 2}, ID{Time: 1}}}) != Source(s) {
		t.Error("no ranges: the source is not returned as it is")
	}
	if got := collect(t, Hide(&sliceSource{rows: span(0, 10), size: 5}, []IDRange{{MinID, MaxID}})); got != nil {
		t.Errorf("all hidden: %q", got)
	}
	h := Hide(s, []IDRange{{ID{Time: 7}, ID{Time: 8}}})
	first, err := h.Next()
	if err != nil || first != s.batches[0] {
		t.Errorf("an untouched batch was copied: %v, %v", first, err)
	}
	second, err := h.Next()
	if err != nil || second.Len() != 3 {
		t.Errorf("second batch: %v, %v", second, err)
	}
}

func TestHideBetweenRows(t *testing.T) {
	var rows Rows
	rows.Append(Row{ID: ID{Time: 1}})
	rows.Append(Row{ID: ID{Time: 9}})
	s := &sliceSource{rows: rows, size: 2}
	h := Hide(s, []IDRange{{ID{Time: 3}, ID{Time: 5}}})
	if got, err := h.Next(); err != nil || got != s.batches[0] {
		t.Errorf("a batch around a range was copied: %v, %v", got, err)
	}
}
