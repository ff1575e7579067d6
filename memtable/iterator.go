package memtable

import (
	"bytes"

	"tskv/kv"
)

// Iterator walks, in key order from the first key >= from, the series that have
// a row with a sequence <= maxSeq that is neither aborted nor hidden by a
// tombstone of this table (rows of FormDelete count). The caller holds a
// reference until Close; from is not kept. The iterator belongs to one goroutine.
func (t *Table) Iterator(from []byte, maxSeq uint64) *Iterator {
	return &Iterator{t: t, maxSeq: maxSeq, probe: bucket{low: bytes.Clone(from)}}
}

// Iterator copies one bucket after the other, each under the lock. Between two
// of them buckets may split, so it goes on from a key and not from an element:
// from the bound of the bucket that followed.
type Iterator struct {
	t       *Table
	maxSeq  uint64
	probe   bucket // low: where to go on; series: the copied ones
	i       int
	last    bool
	current *Series
}

// Next implements kv.SeriesIterator.
func (it *Iterator) Next() ([]byte, error) {
	it.current = nil
	for {
		for it.i < it.probe.n {
			s := it.probe.series[it.i]
			it.i++
			if _, _, ok := it.t.Newest(s, kv.MaxID, it.maxSeq); ok {
				it.current = s
				return s.key, nil
			}
		}
		if it.last {
			return nil, nil
		}
		it.fill()
	}
}

// fill copies the series >= probe.low of the bucket that holds probe.low.
func (it *Iterator) fill() {
	it.t.mu.RLock()
	defer it.t.mu.RUnlock()
	e := floorBucket(it.t.index.order, &it.probe)
	b := e.Value.(*bucket)
	it.i = 0
	it.probe.n = copy(it.probe.series[:], b.series[b.search(it.probe.low):b.n])
	if next := e.Next(); next != nil {
		it.probe.low = next.Value.(*bucket).low
	} else {
		it.last = true
	}
}

// Label returns the label of the current series, under the rules of Series.Label.
func (it *Iterator) Label() uint8 { return it.current.label }

// Rows opens the rows of the current series.
func (it *Iterator) Rows(r kv.Range) (kv.Source, error) {
	if it.current == nil {
		panic("BUG: memtable: Rows without a current series")
	}
	return it.t.Source(it.current, r, it.maxSeq), nil
}

// Close implements kv.SeriesIterator.
func (it *Iterator) Close() {
	it.probe.n, it.i, it.last, it.current = 0, 0, true, nil
}
