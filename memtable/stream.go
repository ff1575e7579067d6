package memtable

import "tskv/kv"

// stream is a sorted list of records: what is left of a run, or of the current
// piece of a chain.
type stream struct {
	records []record
	chain   *chain // nil for a run
}

// fill takes the next piece of a chain; false at the end.
func (st *stream) fill(reverse bool) bool {
	for st.chain != nil && len(st.records) == 0 {
		piece, ok := st.chain.next(reverse)
		if !ok {
			return false
		}
		st.records = piece
	}
	return len(st.records) > 0
}

func (st *stream) head(reverse bool) kv.ID {
	if reverse {
		return st.records[len(st.records)-1].id()
	}
	return st.records[0].id()
}

func (st *stream) drop(n int, reverse bool) {
	if reverse {
		st.records = st.records[:len(st.records)-n]
	} else {
		st.records = st.records[n:]
	}
}

// upTo returns the records from the head to bound inclusively: at least one.
func (st *stream) upTo(bound kv.ID, reverse bool) []record {
	all, n := st.records, len(st.records)
	// Gallop to a distance that is too far, then halve: short pieces are the
	// rule where streams interleave.
	near, far := 0, 1
	for far < n && !past(&all[place(far, n, reverse)], bound, reverse) {
		near, far = far, 2*far
	}
	far = min(far, n)
	for near+1 < far {
		if mid := (near + far) / 2; past(&all[place(mid, n, reverse)], bound, reverse) {
			far = mid
		} else {
			near = mid
		}
	}
	if reverse {
		return all[n-far:]
	}
	return all[:far]
}

// place turns a distance from the head into an index.
func place(distance, n int, reverse bool) int {
	if reverse {
		return n - 1 - distance
	}
	return distance
}

// past reports whether a record comes after bound in the direction.
func past(r *record, bound kv.ID, reverse bool) bool {
	if reverse {
		return r.id().Less(bound)
	}
	return r.above(bound)
}

// chain walks the records of a series' chain between two positions, a chunk at
// a time. Chunks are linked backwards; going forward, it notes the next ones
// in a window and so needs one search for all of them.
type chain struct {
	s                 *Series
	low, high         uint32 // chunk indexes still to come, low <= high
	lowAt             int    // first offset in the first chunk of the range
	highAt            int    // offset behind the last one in the last chunk
	first, last       uint32 // the first and last chunk of the range
	tail              *chunk // chunk last, nil for the inline record
	window            [32]*chunk
	windowAt, window0 uint32
	done              bool
}

// open finds the ends of the range; nothing of it moves later, since rows that
// are appended from now on are above maxSeq.
func (c *chain) open(s *Series, r *kv.Range, limit uint32) {
	*c = chain{s: s, done: true}
	end := s.floor(s.end(), r.To, limit)
	if end.none() {
		return
	}
	c.tail, c.last, c.highAt = end.c, end.index(), end.i+1
	c.first, c.lowAt = s.ceiling(end, r.From)
	c.low, c.high = c.first, c.last
	c.done = c.first == c.last && c.lowAt >= c.highAt
}

// next returns the next piece, which may be empty.
func (c *chain) next(reverse bool) ([]record, bool) {
	if c.done {
		return nil, false
	}
	at := c.low
	if reverse {
		at = c.high
	}
	c.done = c.low == c.high
	piece := c.piece(at, reverse)
	if at == c.last {
		piece = piece[:c.highAt]
	}
	if at == c.first {
		piece = piece[c.lowAt:]
	}
	if reverse {
		c.high--
	} else {
		c.low++
	}
	return piece, true
}

func (c *chain) piece(at uint32, reverse bool) []record {
	if at == 0 {
		return c.s.first[:]
	}
	if reverse {
		k := c.tail.at(at)
		c.tail = k
		return k.records
	}
	if at >= c.windowAt {
		c.note(at)
	}
	return c.window[at-c.window0].records
}

// note fills the window with the chunks from index at on.
func (c *chain) note(at uint32) {
	c.window0 = at
	c.windowAt = min(at+uint32(len(c.window)), c.last+1)
	for k := c.tail.at(c.windowAt - 1); k != nil && k.index >= at; k = k.prev {
		c.window[k.index-at] = k
	}
}
