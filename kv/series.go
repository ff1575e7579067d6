package kv

import (
	"bytes"
	"container/heap"
	"slices"
)

// MergeSeries walks the series of all iterators in one key order. The iterators
// stand newest first; Rows merges the rows of those that have the key, as Merge
// does. Close closes all of them. One iterator is returned as it is.
//
// An error of an iterator ends the walk: Next yields it from then on.
func MergeSeries(iters []SeriesIterator) SeriesIterator {
	if len(iters) == 1 {
		return iters[0]
	}
	return &seriesMerger{iters: slices.Clone(iters)}
}

// seriesCursor is an iterator at a key.
type seriesCursor struct {
	iter SeriesIterator
	key  []byte
	rank int
}

// seriesHeap orders cursors by key, of equal keys the newer iterator first.
type seriesHeap []*seriesCursor

func (h seriesHeap) Len() int      { return len(h) }
func (h seriesHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h seriesHeap) Less(i, j int) bool {
	c := bytes.Compare(h[i].key, h[j].key)
	return c < 0 || c == 0 && h[i].rank < h[j].rank
}
func (h *seriesHeap) Push(x any) { *h = append(*h, x.(*seriesCursor)) }
func (h *seriesHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

type seriesMerger struct {
	iters   []SeriesIterator
	heap    seriesHeap      // iterators at keys after the current one
	current []*seriesCursor // iterators at the current key, newest first
	started bool
	err     error
}

func (m *seriesMerger) Close() {
	for _, it := range m.iters {
		it.Close()
	}
	m.iters, m.heap, m.current, m.started = nil, nil, nil, true
}

func (m *seriesMerger) Next() ([]byte, error) {
	if m.err == nil {
		m.err = m.step()
	}
	if m.err != nil || len(m.current) == 0 {
		return nil, m.err
	}
	return m.current[0].key, nil
}

// step moves the iterators at the current key on and collects those at the
// smallest key.
func (m *seriesMerger) step() error {
	if !m.started {
		m.started = true
		for i, it := range m.iters {
			m.current = append(m.current, &seriesCursor{iter: it, rank: i})
		}
	}
	for _, c := range m.current {
		key, err := c.iter.Next()
		if err != nil {
			return err
		}
		if key != nil {
			c.key = key
			heap.Push(&m.heap, c)
		}
	}
	m.current = m.current[:0]
	for len(m.heap) > 0 && (len(m.current) == 0 || bytes.Equal(m.heap[0].key, m.current[0].key)) {
		m.current = append(m.current, heap.Pop(&m.heap).(*seriesCursor))
	}
	return nil
}

func (m *seriesMerger) Rows(r Range) (Source, error) {
	sources := make([]Source, 0, len(m.current))
	for _, c := range m.current {
		s, err := c.iter.Rows(r)
		if err != nil {
			for _, open := range sources {
				open.Close()
			}
			return nil, err
		}
		sources = append(sources, s)
	}
	return Merge(sources, r.Reverse), nil
}
