package kv

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// mapIterator walks a map of series. The memory of its key changes with every
// Next, as the contract allows.
type mapIterator struct {
	series map[string]Rows
	keys   []string
	at     int // keys given
	key    []byte
	failAt int // keys after which Next fails; 0 is never
	noRows bool
	open   []*sliceSource
	closed int
}

func newMapIterator(series map[string]Rows) *mapIterator {
	return &mapIterator{series: series, keys: slices.Sorted(maps.Keys(series))}
}

func (it *mapIterator) Next() ([]byte, error) {
	for i := range it.key {
		it.key[i] = '#'
	}
	if it.failAt > 0 && it.at >= it.failAt {
		return nil, errBroken
	}
	if it.at == len(it.keys) {
		return nil, nil
	}
	it.key = append(it.key[:0], it.keys[it.at]...)
	it.at++
	return it.key, nil
}

func (it *mapIterator) Rows(r Range) (Source, error) {
	if it.noRows {
		return nil, errBroken
	}
	rows := it.series[it.keys[it.at-1]]
	var out Rows
	for i := range rows.Len() {
		if r.Contains(rows.ID(i)) {
			out.Append(rows.Row(i))
		}
	}
	if r.Reverse {
		out.Reverse()
	}
	s := &sliceSource{rows: out, size: 7, poison: true}
	it.open = append(it.open, s)
	return s, nil
}

func (it *mapIterator) Close() { it.closed++ }

func randomSeries(rng *rand.Rand) map[string]Rows {
	series := map[string]Rows{}
	for range rng.IntN(8) {
		own := map[ID]Row{}
		for range rng.IntN(30) {
			id := ID{Time: rng.Uint64N(50)}
			own[id] = randomRow(rng, id)
		}
		series[fmt.Sprintf("key-%d", rng.IntN(12))] = sortedRows(own, false)
	}
	return series
}

func TestMergeSeriesAgainstModel(t *testing.T) {
	rng := newRand(t)
	for range 500 {
		model := map[string]map[ID]Row{}
		var iters []SeriesIterator
		for range rng.IntN(6) {
			series := randomSeries(rng)
			for key, rows := range series {
				if model[key] == nil {
					model[key] = map[ID]Row{}
				}
				for i := range rows.Len() {
					if _, newer := model[key][rows.ID(i)]; !newer {
						model[key][rows.ID(i)] = rows.Row(i)
					}
				}
			}
			iters = append(iters, newMapIterator(series))
		}
		merged := MergeSeries(iters)
		r := Range{From: ID{Time: rng.Uint64N(20)}, To: ID{Time: 20 + rng.Uint64N(40)}, Reverse: rng.IntN(2) == 0}
		for _, want := range slices.Sorted(maps.Keys(model)) {
			key, err := merged.Next()
			if err != nil || string(key) != want {
				t.Fatalf("key %q, %v, want %q", key, err, want)
			}
			if rng.IntN(4) == 0 {
				continue // a series may be skipped
			}
			maps.DeleteFunc(model[want], func(id ID, _ Row) bool { return !r.Contains(id) })
			rows := sortedRows(model[want], r.Reverse)
			s, err := merged.Rows(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := collect(t, s); !slices.Equal(got, texts(&rows)) {
				t.Fatalf("%s: %s", want, firstDifference(got, texts(&rows)))
			}
		}
		for range 2 {
			if key, err := merged.Next(); key != nil || err != nil {
				t.Fatalf("after the end: %q, %v", key, err)
			}
		}
		merged.Close()
		merged.Close()
		for _, it := range iters {
			checkClosed(t, it.(*mapIterator))
		}
	}
}

func checkClosed(t *testing.T, it *mapIterator) {
	t.Helper()
	if it.closed == 0 {
		t.Error("an iterator is open")
	}
	for _, s := range it.open {
		if s.closed == 0 {
			t.Error("a source is open")
		}
	}
}

func TestMergeSeriesEdges(t *testing.T) {
	if key, err := MergeSeries(nil).Next(); key != nil || err != nil {
		t.Errorf("no iterators: %q, %v", key, err)
	}
	one := newMapIterator(nil)
	if MergeSeries([]SeriesIterator{one}) != SeriesIterator(one) {
		t.Error("one iterator is not returned as it is")
	}
}

func TestMergeSeriesErrors(t *testing.T) {
	rows := span(0, 3)
	series := map[string]Rows{"a": rows, "b": rows}
	broken := newMapIterator(series)
	broken.failAt = 1
	m := MergeSeries([]SeriesIterator{newMapIterator(series), broken})
	if key, err := m.Next(); string(key) != "a" || err != nil {
		t.Fatalf("%q, %v", key, err)
	}
	for range 2 {
		if key, err := m.Next(); key != nil || !errors.Is(err, errBroken) {
			t.Errorf("%q, %v", key, err)
		}
	}
	good, bad := newMapIterator(series), newMapIterator(series)
	bad.noRows = true
	m = MergeSeries([]SeriesIterator{good, bad})
	if _, err := m.Next(); err != nil {
		t.Fatal(err)
	}
	if s, err := m.Rows(Everything); s != nil || !errors.Is(err, errBroken) {
		t.Errorf("%v, %v", s, err)
	}
	m.Close()
	checkClosed(t, good)
}

func BenchmarkMergeSeries(b *testing.B) {
	const keys = 10_000
	for b.Loop() {
		var iters []SeriesIterator
		for i := range 4 {
			it := &mapIterator{}
			for k := i % 2; k < keys; k += 2 {
				it.keys = append(it.keys, fmt.Sprintf("%08d", k))
			}
			iters = append(iters, it)
		}
		m := MergeSeries(iters)
		for n := 0; ; n++ {
			key, err := m.Next()
			if err != nil {
				b.Fatal(err)
			}
			if key == nil {
				if n != keys {
					b.Fatal(n)
				}
				break
			}
		}
	}
	reportRows(b, 2*keys)
}
