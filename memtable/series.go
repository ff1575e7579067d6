package memtable

import (
	"math"
	"sync/atomic"

	"tskv/kv"
)

// Chunks grow 3, 6, 12 … 192, 256 records: a series of few rows stays small, a
// hot one costs 48 bytes of chunk header per 8 KiB.
const (
	firstChunk = 3
	maxChunk   = 256
)

// Series is the rows of one key. Its chain holds the rows that arrived in ID
// order: the first one inline, then chunks linked backwards from the tail.
// Along the chain the ID never falls and the sequence only grows, so both the
// rows up to an ID and the rows up to a sequence are a prefix of it.
//
// Publication: the writer fills a record, then stores chunk.n (or filled, or
// tail for the first record of a chunk); readers load these first.
type Series struct {
	key    []byte // in a slab
	first  [1]record
	tail   atomic.Pointer[chunk]
	late   atomic.Pointer[late]
	twin   *Series // next series of the same hash; guarded by Table.mu
	filled atomic.Bool
	number uint32
	label  uint8
}

// SetLabel puts a mark on the series that the table itself does not use; 0 at
// first. Writer only.
func (s *Series) SetLabel(label uint8) {
	if s.label != label {
		s.label = label
	}
}

// Label returns the mark. Writer only, or when nothing is added any more.
func (s *Series) Label() uint8 { return s.label }

// Key returns the series' key; the caller must not change it. It is valid
// while the caller holds a reference to the table.
func (s *Series) Key() []byte { return s.key }

// Number names the series in its table. A writer that remembers many series keeps
// it in place of the pointer, which would keep the memory of a dropped table.
func (s *Series) Number() uint32 { return s.number }

// chunk is a piece of a chain. All chunks but the tail are full. jump leads
// back over ever longer distances (the skew-binary scheme of E. W. Myers, "An
// applicative random-access stack", 1983), which makes every search O(log n)
// without a directory; the first chunk's jump is itself.
type chunk struct {
	records []record
	prev    *chunk
	jump    *chunk
	n       atomic.Uint32 // published records, >= 1 once the chunk is linked
	index   uint32        // from 1; 0 stands for the inline record
}

func chunkSize(index uint32) int {
	return min(firstChunk<<min(index-1, 7), maxChunk)
}

// link makes c the successor of prev, which is nil for the first chunk.
func (c *chunk) link(prev *chunk) {
	c.prev = prev
	if prev == nil {
		c.index, c.jump = 1, c
		return
	}
	c.index, c.jump = prev.index+1, prev
	if far := prev.jump; prev.index-far.index == far.index-far.jump.index {
		c.jump = far.jump
	}
}

// at returns the chunk with the given index, 1 <= index <= c.index.
func (c *chunk) at(index uint32) *chunk {
	for c.index > index {
		if c.jump.index >= index {
			c = c.jump
		} else {
			c = c.prev
		}
	}
	return c
}

// position names a record of a chain: record i of chunk c, or of the inline
// place when c is nil. i is -1 for the place before the first record.
type position struct {
	c *chunk
	i int
}

func (p position) none() bool { return p.i < 0 }

// index returns the chunk index of the position, 0 for the inline place.
func (p position) index() uint32 {
	if p.c == nil {
		return 0
	}
	return p.c.index
}

// end returns the last published position.
func (s *Series) end() position {
	if c := s.tail.Load(); c != nil {
		return position{c, int(c.n.Load()) - 1}
	}
	if s.filled.Load() {
		return position{nil, 0}
	}
	return position{nil, -1}
}

func (s *Series) record(p position) *record {
	if p.c == nil {
		return &s.first[0]
	}
	return &p.c.records[p.i]
}

// before returns the position one below p, which is not none.
func (s *Series) before(p position) position {
	switch {
	case p.c == nil || p.i > 0:
		return position{p.c, p.i - 1}
	case p.c.prev == nil:
		return position{nil, 0}
	}
	return position{p.c.prev, len(p.c.prev.records) - 1}
}

// floor returns the highest position up to p whose record is not beyond
// (id, delta).
func (s *Series) floor(p position, id kv.ID, delta uint32) position {
	if p.none() || !s.record(p).beyond(id, delta) {
		return p
	}
	c, n := p.c, p.i
	for c != nil && c.records[0].beyond(id, delta) {
		if c.jump.records[0].beyond(id, delta) && c.jump != c {
			c = c.jump
		} else {
			c = c.prev
		}
		if c != nil {
			n = len(c.records)
		}
	}
	if c == nil {
		if s.first[0].beyond(id, delta) {
			return position{nil, -1}
		}
		return position{nil, 0}
	}
	// Record 0 is not beyond, record n is or does not exist.
	low := 0
	for low+1 < n {
		if mid := int(uint(low+n) / 2); c.records[mid].beyond(id, delta) {
			n = mid
		} else {
			low = mid
		}
	}
	return position{c, low}
}

// ceiling returns the first position with an ID >= id, as a chunk index and an
// offset, given some position p of the series that is not below it. The offset
// may be the length of its chunk.
func (s *Series) ceiling(p position, id kv.ID) (index uint32, offset int) {
	prev, ok := id.Prev()
	if !ok {
		return 0, 0
	}
	below := s.floor(p, prev, math.MaxUint32)
	return below.index(), below.i + 1
}
