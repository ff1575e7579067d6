package kv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomSources makes sources with overlapping and separate parts, and the rows
// that their merge must yield.
func randomSources(rng *rand.Rand, count int, reverse bool) ([]Source, []string) {
	keysOnly := rng.IntN(4) == 0
	numbersOnly := rng.IntN(2) == 0
	longest := []int{1, 5, 40, 3000}[rng.IntN(4)]
	merged := map[ID]Row{}
	sources := make([]Source, count)
	for s := range sources {
		own := map[ID]Row{}
		for range rng.IntN(4) {
			start, step := rng.Uint64N(4000), 1+rng.Uint64N(3)
			for i := range rng.Uint64N(uint64(longest)) + 1 {
				// The ends of the number space must sort right too.
				id := ID{start + i*step - 2000, rng.Uint64N(2)}
				row := randomRow(rng, id)
				if numbersOnly {
					row.Form, row.Num, row.Raw, row.Tags = 2, int64(s), nil, nil
				}
				if keysOnly {
					row.Num, row.Raw, row.Tags = 0, nil, nil
				}
				own[id] = row
			}
		}
		rows := sortedRows(own, reverse)
		if keysOnly {
			rows.Num, rows.Raw, rows.Tags = nil, nil, nil
		}
		sources[s] = &sliceSource{rows: rows, size: []int{1, 3, 100, 5000}[rng.IntN(4)], rng: rng, poison: true}
		for id, row := range own {
			if _, newer := merged[id]; !newer {
				merged[id] = row
			}
		}
	}
	rows := sortedRows(merged, reverse)
	return sources, texts(&rows)
}

func sortedRows(rows map[ID]Row, reverse bool) Rows {
	ids := make([]ID, 0, len(rows))
	for id := range rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ID.Compare)
	if reverse {
		slices.Reverse(ids)
	}
	var out Rows
	for _, id := range ids {
		out.Append(rows[id])
	}
	return out
}

func TestMergeAgainstMap(t *testing.T) {
	rng := newRand(t)
	for round := range 120 {
		reverse := rng.IntN(2) == 0
		sources, want := randomSources(rng, rng.IntN(8), reverse)
		given := slices.Clone(sources)
		got := collect(t, Merge(sources, reverse))
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: %s", round, firstDifference(got, want))
		}
		for i, s := range given {
			if s.(*sliceSource).closed == 0 {
				t.Fatalf("round %d: source %d is open", round, i)
			}
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d is %s, want %s", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d rows, want %d", len(got), len(want))
}

// span makes plain rows with the times from to to-1.
func span(from, to int) Rows {
	var r Rows
	for i := from; i < to; i++ {
		r.Append(Row{ID: ID{Time: uint64(i)}, Num: int64(i)})
	}
	return r
}

func TestMergePassesBatchesWhole(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		var spans []*sliceSource
		var sources []Source
		for i := range 5 {
			rows := span(i*1000, i*1000+1000)
			if reverse {
				rows.Reverse()
			}
			s := &sliceSource{rows: rows, size: 1 + 300*i}
			spans, sources = append(spans, s), append(sources, s)
		}
		m := Merge(sources, reverse)
		seen := map[*Rows]bool{}
		for {
			rows, err := m.Next()
			if err != nil {
				t.Fatal(err)
			}
			if rows == nil {
				break
			}
			seen[rows] = true
		}
		for i, s := range spans {
			for j, batch := range s.batches {
				if !seen[batch] {
					t.Errorf("reverse %v: batch %d of source %d was copied", reverse, j, i)
				}
			}
		}
	}
}

// TestMergeViews checks that long parts of overlapping batches are not copied.
func TestMergeViews(t *testing.T) {
	a, b := span(0, 5000), span(4000, 9000)
	m := Merge([]Source{&sliceSource{rows: a, size: 5000}, &sliceSource{rows: b, size: 5000}}, false)
	first, err := m.Next()
	if err != nil || first.Len() != 4000 || &first.Time[0] != &a.Time[0] {
		t.Fatalf("first part: %v, %v", first, err)
	}
	n := first.Len()
	for {
		rows, err := m.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			break
		}
		n += rows.Len()
		if last := rows.ID(rows.Len() - 1).Time; last == 8999 && &rows.Time[0] != &b.Time[5000-rows.Len()] {
			t.Error("the last part was copied")
		}
	}
	if n != 9000 {
		t.Errorf("%d rows", n)
	}
}

func TestMergeEdges(t *testing.T) {
	if got := collect(t, Merge(nil, false)); got != nil {
		t.Errorf("no sources: %q", got)
	}
	one := &sliceSource{rows: span(0, 3), size: 2}
	if m := Merge([]Source{one}, true); m != Source(one) {
		t.Error("one source is not returned as it is")
	}
	empty := []Source{&sliceSource{size: 1}, &sliceSource{size: 1}, &sliceSource{size: 1}}
	if got := collect(t, Merge(empty, false)); got != nil {
		t.Errorf("empty sources: %q", got)
	}
	m := Merge([]Source{&sliceSource{rows: span(0, 9), size: 2}, &sliceSource{rows: span(0, 9), size: 2}}, false)
	if _, err := m.Next(); err != nil {
		t.Fatal(err)
	}
	m.Close()
	if rows, err := m.Next(); rows != nil || err != nil {
		t.Errorf("Next after Close: %v, %v", rows, err)
	}
}

// TestMergeSmallStart checks that the first rows do not wait for many.
func TestMergeSmallStart(t *testing.T) {
	var a, b Rows
	for i := range 4000 {
		row := Row{ID: ID{Time: uint64(i)}}
		if i%2 == 0 {
			a.Append(row)
		} else {
			b.Append(row)
		}
	}
	m := Merge([]Source{&sliceSource{rows: a, size: 4000}, &sliceSource{rows: b, size: 4000}}, false)
	var sizes []int
	for {
		rows, err := m.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			break
		}
		sizes = append(sizes, rows.Len())
	}
	if sizes[0] != firstMergeRows || slices.Max(sizes) != mergeRows {
		t.Errorf("batches of %v rows", sizes)
	}
}

func TestMergeErrors(t *testing.T) {
	rng := newRand(t)
	for range 300 {
		var sources []Source
		failing := rng.IntN(3)
		for i := range 3 {
			s := &sliceSource{rows: span(i, 500+i), size: 50, rng: rng, poison: true}
			if i == failing {
				s.failAt = 1 + rng.IntN(400)
			}
			sources = append(sources, s)
		}
		m := Merge(sources, false)
		var err error
		var rows *Rows
		next := uint64(0)
		for err == nil {
			if rows, err = m.Next(); rows == nil {
				break
			}
			for i := range rows.Len() {
				if rows.Time[i] != next || rows.Num[i] != int64(next) {
					t.Fatalf("row %v of number %d, want %d", rows.ID(i), rows.Num[i], next)
				}
				next++
			}
		}
		if _, again := m.Next(); !errors.Is(err, errBroken) || !errors.Is(again, errBroken) {
			t.Fatalf("errors %v, %v", err, again)
		}
		m.Close()
	}
}
