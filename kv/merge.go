package kv

import "slices"

// Bounds of how a merge works; they change its speed, never its result.
const (
	// mergeRows bounds a batch that is put together from two sources: small enough
	// to stay in the first level of a processor's cache.
	mergeRows = 1024
	// firstMergeRows bounds the first such batch. Every one doubles it, so who
	// wants ten rows does not wait for a thousand.
	firstMergeRows = 64
	// viewRows is the length from which a part of a batch is passed on as a view.
	viewRows = 256
	// pairRows is the length up to which a run counts as interleaved.
	pairRows = 16
)

// Merge yields the rows of all sources in one order; every source is in that
// order, descending if reverse. Sources stand newest first: of rows with equal
// IDs only the one of the first source that has it remains. FormDelete rows
// are rows like others. Batches that overlap with no other source are passed
// on whole, without a copy.
//
// Close closes all sources. Without sources the result is empty; one source is
// returned as it is.
//
// More than two sources are merged as a tree of pairs. A level costs some
// nanoseconds a row where sources interleave and next to nothing where they do
// not.
func Merge(sources []Source, reverse bool) Source {
	switch half := len(sources) / 2; len(sources) {
	case 0:
		return noRows{}
	case 1:
		return sources[0]
	default:
		m := &merger{room: firstMergeRows}
		m.newer.source = Merge(sources[:half], reverse)
		m.older.source = Merge(sources[half:], reverse)
		if reverse {
			m.flip = ^uint64(0)
		}
		return m
	}
}

// noRows is a source without rows.
type noRows struct{}

func (noRows) Next() (*Rows, error) { return nil, nil }
func (noRows) Close()               {}

// merger merges two sources. Each turn takes the run of rows that lies before
// the head of the other source: as a view if it is long, by column copies if
// not, and row by row (interleave) only where the two truly mix.
//
// Raw and Tags of copied rows stay in the memory of their source's batch. So
// the next batch is read only when no copied row refers to such memory.
type merger struct {
	newer, older cursor
	flip         uint64 // all ones in a descending merge: the complement turns the order of numbers around
	room         int    // rows of the next batch that is put together
	out          Rows
	view         Rows
	err          error
}

// cursor is a source and the position in its current batch.
type cursor struct {
	source Source
	rows   *Rows // nil before the first batch and after the last
	pos    int
	ended  bool
}

func (c *cursor) dry() bool { return c.rows == nil || c.pos == c.rows.Len() }

func (m *merger) Close() {
	m.newer.close()
	m.older.close()
	m.out, m.view = Rows{}, Rows{}
}

func (c *cursor) close() {
	c.source.Close()
	c.rows, c.ended = nil, true
}

func (m *merger) Next() (*Rows, error) {
	m.out.Reset()
	a, b := &m.newer, &m.older
	for m.out.Len() < m.room && m.fill(a) && m.fill(b) {
		if a.ended || b.ended {
			return m.tail()
		}
		if a.rows.Time[a.pos] == b.rows.Time[b.pos] && a.rows.Seq[a.pos] == b.rows.Seq[b.pos] {
			b.pos++
			continue
		}
		first, end := a, m.endBefore(a, b)
		if end == a.pos {
			first, end = b, m.endBefore(b, a)
		}
		n := end - first.pos
		if n >= viewRows || n == first.rows.Len() && m.out.Len() == 0 {
			if m.out.Len() > 0 {
				break
			}
			return m.pass(first, end), nil
		}
		if n < pairRows {
			m.interleave()
			continue
		}
		end = min(end, first.pos+m.room-m.out.Len())
		m.out.AppendRows(first.rows, first.pos, end)
		first.pos = end
	}
	if m.out.Len() == 0 {
		return nil, m.err
	}
	m.room = min(2*m.room, mergeRows)
	return &m.out, nil
}

// fill reads the cursor's next batch if it is dry. It returns false where that
// cannot be done now: rows were copied that refer to the current batch, or the
// source failed.
func (m *merger) fill(c *cursor) bool {
	if !c.dry() || c.ended {
		return true
	}
	if m.err != nil || len(m.out.Raw) > 0 || len(m.out.Tags) > 0 {
		return false
	}
	c.rows, m.err = c.source.Next()
	c.pos, c.ended = 0, c.rows == nil && m.err == nil
	return m.err == nil
}

// tail passes on what was copied so far, or else the rest of the only source
// that is left.
func (m *merger) tail() (*Rows, error) {
	c := &m.newer
	if c.ended {
		c = &m.older
	}
	switch {
	case m.out.Len() > 0:
		return &m.out, nil
	case c.ended:
		return nil, nil
	}
	return m.pass(c, c.rows.Len()), nil
}

// pass returns the rows of a cursor up to end without a copy.
func (m *merger) pass(c *cursor, end int) *Rows {
	rows := c.rows
	if end-c.pos < rows.Len() {
		m.view = rows.Slice(c.pos, end)
		rows = &m.view
	}
	c.pos = end
	return rows
}

// endBefore returns the end of the rows of c, from its position, that lie
// strictly before the head of other. It looks at the last row first, then
// gallops, so both whole batches and single rows are cheap.
func (m *merger) endBefore(c, other *cursor) int {
	r, n := c.rows, c.rows.Len()
	id := other.rows.ID(other.pos)
	if m.before(r.ID(n-1), id) {
		return n
	}
	low, step := c.pos, 1
	for low+step < n && m.before(r.ID(low+step-1), id) {
		low += step
		step *= 2
	}
	return r.search(id, low, min(low+step, n), m.flip)
}

// before reports whether a comes before b in the order of the merge.
func (m *merger) before(a, b ID) bool {
	at, bt := a.Time^m.flip, b.Time^m.flip
	return at < bt || at == bt && a.Seq^m.flip < b.Seq^m.flip
}

// interleave merges the current batches row by row until one of them, or the
// room, ends; or viewRows rows of one are through, for it may run alone by then.
func (m *merger) interleave() {
	a, b := m.newer.rows, m.older.rows
	i, j, flip := m.newer.pos, m.older.pos, m.flip
	aTime, bTime := a.Time[:min(i+viewRows, a.Len())], b.Time[:min(j+viewRows, b.Len())]
	aSeq, bSeq := a.Seq[:len(aTime)], b.Seq[:len(bTime)]
	start := m.out.Len()
	n := min(len(aTime)-i+len(bTime)-j, m.room-start)
	m.out.extend(n, a, b)
	out := m.out.Slice(start, start+n)
	k := 0
	for i < len(aTime) && j < len(bTime) && k < n {
		at, bt := aTime[i]^flip, bTime[j]^flip
		as, bs := aSeq[i]^flip, bSeq[j]^flip
		rows, from := b, j
		switch {
		case at < bt || at == bt && as < bs:
			rows, from = a, i
			i++
		case at == bt && as == bs:
			rows, from = a, i
			i++
			j++
		default:
			j++
		}
		out.set(k, rows, from)
		k++
	}
	m.out.truncate(start + k)
	m.newer.pos, m.older.pos = i, j
}

// extend makes room for n more rows with the columns that a, b or r have; the
// new rows are undefined.
func (r *Rows) extend(n int, a, b *Rows) {
	have := len(r.Time)
	r.Time = slices.Grow(r.Time, n)[:have+n]
	r.Seq = slices.Grow(r.Seq, n)[:have+n]
	r.Form = slices.Grow(r.Form, n)[:have+n]
	if len(a.Num)+len(b.Num)+len(r.Num) > 0 {
		r.Num = slices.Grow(pad(r.Num, have), n)[:have+n]
	}
	if len(a.Raw)+len(b.Raw)+len(r.Raw) > 0 {
		r.Raw = slices.Grow(pad(r.Raw, have), n)[:have+n]
	}
	if len(a.Tags)+len(b.Tags)+len(r.Tags) > 0 {
		r.Tags = slices.Grow(pad(r.Tags, have), n)[:have+n]
	}
}

// set makes row k a copy of row i of src.
func (r *Rows) set(k int, src *Rows, i int) {
	r.Time[k], r.Seq[k], r.Form[k] = src.Time[i], src.Seq[i], src.Form[i]
	if len(r.Num) > 0 {
		r.Num[k] = 0
		if len(src.Num) > 0 {
			r.Num[k] = src.Num[i]
		}
	}
	if len(r.Raw) > 0 {
		r.Raw[k] = nil
		if len(src.Raw) > 0 {
			r.Raw[k] = src.Raw[i]
		}
	}
	if len(r.Tags) > 0 {
		r.Tags[k] = nil
		if len(src.Tags) > 0 {
			r.Tags[k] = src.Tags[i]
		}
	}
}

// truncate keeps the first n rows.
func (r *Rows) truncate(n int) {
	r.Time, r.Seq, r.Form = r.Time[:n], r.Seq[:n], r.Form[:n]
	r.Num = r.Num[:min(n, len(r.Num))]
	clear(r.Raw[min(n, len(r.Raw)):])
	r.Raw = r.Raw[:min(n, len(r.Raw))]
	clear(r.Tags[min(n, len(r.Tags)):])
	r.Tags = r.Tags[:min(n, len(r.Tags))]
}
