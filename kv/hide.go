package kv

import "slices"

// DropDeletes yields the rows of s without its FormDelete rows. Batches that
// have none are passed on whole.
func DropDeletes(s Source) Source { return &deleteFilter{source: s} }

type deleteFilter struct {
	source Source
	out    Rows
}

func (d *deleteFilter) Close() { d.source.Close() }

func (d *deleteFilter) Next() (*Rows, error) {
	for {
		rows, err := d.source.Next()
		if rows == nil || err != nil {
			return nil, err
		}
		i := slices.Index(rows.Form, FormDelete)
		if i < 0 {
			return rows, nil
		}
		d.out.Reset()
		d.out.AppendRows(rows, 0, i)
		for i < rows.Len() {
			if rows.Form[i] == FormDelete {
				i++
				continue
			}
			end := rows.Len()
			if n := slices.Index(rows.Form[i:], FormDelete); n >= 0 {
				end = i + n
			}
			d.out.AppendRows(rows, i, end)
			i = end
		}
		if d.out.Len() > 0 {
			return &d.out, nil
		}
	}
}

// Hide yields the rows of s, in either direction, that lie in none of the
// ranges, which may overlap and stand in any order. Batches that no range
// touches are passed on whole. The list is not kept.
func Hide(s Source, ranges []IDRange) Source {
	ranges = JoinRanges(ranges)
	if len(ranges) == 0 {
		return s
	}
	return &rangeFilter{source: s, ranges: ranges}
}

// JoinRanges returns the ranges ascending and without overlap. The list is copied.
func JoinRanges(ranges []IDRange) []IDRange {
	sorted := make([]IDRange, 0, len(ranges))
	for _, r := range ranges {
		if !r.To.Less(r.From) {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, func(a, b IDRange) int { return a.From.Compare(b.From) })
	joined := sorted[:0]
	for _, r := range sorted {
		if n := len(joined); n > 0 && !joined[n-1].To.Less(r.From) {
			if joined[n-1].To.Less(r.To) {
				joined[n-1].To = r.To
			}
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// rangeFilter removes ranges from a source. The ranges ascend and do not overlap.
type rangeFilter struct {
	source Source
	ranges []IDRange
	view   Rows
	out    Rows
}

func (h *rangeFilter) Close() { h.source.Close() }

func (h *rangeFilter) Next() (*Rows, error) {
	for {
		rows, err := h.source.Next()
		if rows == nil || err != nil {
			return nil, err
		}
		if rows = h.filter(rows); rows.Len() > 0 {
			return rows, nil
		}
	}
}

// filter returns the rows that stay: the batch itself, a view of it, or a copy.
func (h *rangeFilter) filter(rows *Rows) *Rows {
	n := rows.Len()
	low, high := rows.ID(0), rows.ID(n-1)
	flip := uint64(0)
	if high.Less(low) {
		low, high, flip = high, low, ^uint64(0)
	}
	from, _ := slices.BinarySearchFunc(h.ranges, low, func(r IDRange, id ID) int { return r.To.Compare(id) })
	to := from
	for to < len(h.ranges) && !high.Less(h.ranges[to].From) {
		to++
	}
	if from == to {
		return rows
	}
	h.out.Reset()
	kept := 0 // rows before it are dealt with
	for i := range to - from {
		r := h.ranges[from+i]
		if flip != 0 {
			r = h.ranges[to-1-i]
			r.From, r.To = r.To, r.From
		}
		start := rows.search(r.From, kept, n, flip)
		end := rows.searchAfter(r.To, start, n, flip)
		if start == end {
			continue
		}
		if kept < start {
			h.out.AppendRows(rows, kept, start)
		}
		kept = end
	}
	switch {
	case kept == 0:
		return rows
	case h.out.Len() == 0:
		h.view = rows.Slice(kept, n)
		return &h.view
	}
	h.out.AppendRows(rows, kept, n)
	return &h.out
}

// searchAfter returns the first index in [i, j) whose ID lies after id in the
// order of the batch; j if there is none.
func (r *Rows) searchAfter(id ID, i, j int, flip uint64) int {
	i = r.search(id, i, j, flip)
	if i < j && r.ID(i) == id {
		i++
	}
	return i
}
