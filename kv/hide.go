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
	if h := NewHider(ranges); h != nil {
		return &rangeFilter{source: s, hider: h}
	}
	return s
}

// Hider leaves rows out that lie in one of some ranges. It belongs to one
// goroutine. A nil *Hider hides nothing.
type Hider struct {
	ranges []IDRange // ascending, without overlap
	view   Rows
	out    Rows
}

// NewHider makes a hider of ranges that may overlap and stand in any order; nil
// if none of them holds an ID. The list is not kept.
func NewHider(ranges []IDRange) *Hider {
	if ranges = JoinRanges(ranges); len(ranges) == 0 {
		return nil
	}
	return &Hider{ranges: ranges}
}

// Covers reports whether some of the IDs from first to last are hidden, and
// whether all of them are.
func (h *Hider) Covers(first, last ID) (some, all bool) {
	if h == nil {
		return false, false
	}
	i := h.at(first)
	if i == len(h.ranges) || last.Less(h.ranges[i].From) {
		return false, false
	}
	return true, !first.Less(h.ranges[i].From) && !h.ranges[i].To.Less(last)
}

// Range returns the hidden range that an ID lies in; false if it is not hidden.
func (h *Hider) Range(id ID) (IDRange, bool) {
	if h == nil {
		return IDRange{}, false
	}
	i := h.at(id)
	if i == len(h.ranges) || id.Less(h.ranges[i].From) {
		return IDRange{}, false
	}
	return h.ranges[i], true
}

// at returns the first range that does not end before id.
func (h *Hider) at(id ID) int {
	i, _ := slices.BinarySearchFunc(h.ranges, id, func(r IDRange, id ID) int { return r.To.Compare(id) })
	return i
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

// rangeFilter removes ranges from a source.
type rangeFilter struct {
	source Source
	hider  *Hider
}

func (f *rangeFilter) Close() { f.source.Close() }

func (f *rangeFilter) Next() (*Rows, error) {
	for {
		rows, err := f.source.Next()
		if rows == nil || err != nil {
			return nil, err
		}
		if rows = f.hider.Filter(rows); rows.Len() > 0 {
			return rows, nil
		}
	}
}

// Filter returns the rows of a batch, in either direction, that stay: the batch
// itself, a view of it, or a copy that is valid until the next Filter and shares
// Raw and Tags with the batch. There may be none.
func (h *Hider) Filter(rows *Rows) *Rows {
	n := rows.Len()
	if h == nil || n == 0 {
		return rows
	}
	low, high := rows.ID(0), rows.ID(n-1)
	flip := uint64(0)
	if high.Less(low) {
		low, high, flip = high, low, ^uint64(0)
	}
	from := h.at(low)
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
