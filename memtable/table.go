package memtable

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"tskv/kv"
)

// seriesBytes is what a series costs beside its key and its chunks: its struct
// (88), its share of the hash map, of a bucket and of the list (measured).
const seriesBytes = 160

// Table is one memtable. It starts with one reference.
type Table struct {
	opt  Options
	base uint64
	refs atomic.Int64

	arena  arena
	chunks block[chunk]
	series block[Series]

	// counts is rows<<32 | last sequence - base, one store per row.
	counts      atomic.Uint64
	started     bool // writer: something has been added
	firstSeq    atomic.Uint64
	minTime     atomic.Uint64
	maxTime     atomic.Uint64
	seriesCount atomic.Int64

	// mu guards index and tombstones' maps: the writer locks it to change
	// them, readers to read them; the writer reads them without.
	mu         sync.RWMutex
	index      index
	tombstones tombstones
	aborted    atomic.Pointer[[]seqRange]
}

// New returns an empty table for sequences from baseSeq on. Wrong options are
// for Options.Validate to find.
func New(opt Options, baseSeq uint64) *Table {
	if opt.Bytes == 0 {
		opt.Bytes = DefaultBytes
	}
	if opt.Pool == nil {
		opt.Pool = NewPool(opt.Bytes)
	}
	t := &Table{opt: opt, base: baseSeq, index: newIndex()}
	t.arena.pool = opt.Pool
	t.tombstones.init()
	t.firstSeq.Store(baseSeq)
	t.minTime.Store(math.MaxUint64)
	t.refs.Store(1)
	return t
}

// Ref takes one more reference; the caller must hold one.
func (t *Table) Ref() {
	if t.refs.Add(1) <= 1 {
		panic("BUG: memtable: reference to a released table")
	}
}

// Unref drops a reference. The last one gives the slabs to the pool: nothing
// that came from the table may be used any more.
func (t *Table) Unref() {
	n := t.refs.Add(-1)
	if n < 0 {
		panic("BUG: memtable: one release too many")
	}
	if n > 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index = index{}
	t.chunks, t.series = block[chunk]{}, block[Series]{}
	t.arena.release()
}

// Released reports whether the last reference was dropped.
func (t *Table) Released() bool { return t.refs.Load() == 0 }

// Find returns the series of a key, nil if the table has none.
func (t *Table) Find(key []byte) *Series {
	hash := t.index.hash(key)
	t.mu.RLock()
	s := t.index.find(hash, key)
	t.mu.RUnlock()
	return s
}

// Series finds or makes the series of a key, which is copied. Writer only.
func (t *Table) Series(key []byte) *Series {
	hash := t.index.hash(key)
	if s := t.index.find(hash, key); s != nil {
		return s
	}
	if len(key) == 0 || len(key) > kv.MaxKey {
		panic(fmt.Sprintf("BUG: memtable: key of %d bytes", len(key)))
	}
	s, number := t.series.take()
	s.number = number
	_, s.key = t.arena.alloc(len(key))
	copy(s.key, key)
	t.mu.Lock()
	t.index.insert(hash, s)
	t.mu.Unlock()
	if t.index.order.Len() >= t.index.rescore {
		order := t.index.relearn()
		t.mu.Lock()
		t.index.order = order
		t.mu.Unlock()
	}
	t.seriesCount.Store(t.seriesCount.Load() + 1)
	t.arena.grow(seriesBytes)
	return s
}

// Numbered returns the series with this number. Writer only.
func (t *Table) Numbered(number uint32) *Series { return t.series.at(number) }

// Add adds a row, of which it copies what it keeps. An equal ID makes one more
// version. seq must not be below any earlier one and must satisfy Fits. The
// tags of a delete are not kept. Writer only.
func (t *Table) Add(s *Series, seq uint64, row *kv.Row) {
	delta := t.advance(seq)
	value, flags := uint64(row.Num), uint32(row.Form)
	if !row.Form.IsDecimal() || len(row.Tags) != 0 {
		value, flags = t.arena.store(row)
	}
	t.link(s, record{row.ID.Time, row.ID.Seq, value, delta, flags})
	if row.ID.Time < t.minTime.Load() {
		t.minTime.Store(row.ID.Time)
	}
	if row.ID.Time > t.maxTime.Load() {
		t.maxTime.Store(row.ID.Time)
	}
	rows := t.counts.Load()>>32 + 1
	t.counts.Store(rows<<32 | uint64(delta))
}

// link puts a record into its series and publishes it.
func (t *Table) link(s *Series, r record) {
	c := s.tail.Load()
	if c == nil && !s.filled.Load() {
		s.first[0] = r
		s.filled.Store(true)
		return
	}
	last, n := &s.first[0], 0
	if c != nil {
		n = int(c.n.Load())
		last = &c.records[n-1]
	}
	if last.above(r.id()) {
		t.arena.addLate(s, r)
		return
	}
	if c != nil && n < len(c.records) {
		c.records[n] = r
		c.n.Store(uint32(n + 1))
		return
	}
	next, _ := t.chunks.take()
	next.link(c)
	next.records = t.arena.chunkRecords(chunkSize(next.index))
	t.arena.grow(chunkBytes)
	next.records[0] = r
	next.n.Store(1)
	s.tail.Store(next)
}

// chunkBytes is the size of a chunk's header.
const chunkBytes = 56

// advance checks the next sequence and returns its distance to the base.
func (t *Table) advance(seq uint64) uint32 {
	delta := seq - t.base
	if !t.Fits(seq) || delta < t.counts.Load()&math.MaxUint32 {
		panic(fmt.Sprintf("BUG: memtable: sequence %d after %d, base %d", seq, t.LastSeq(), t.base))
	}
	if !t.started {
		t.started = true
		t.firstSeq.Store(seq)
	}
	return uint32(delta)
}

// Fits reports whether the table can hold seq: a record keeps 32 bits of
// distance to the base. Freeze the table before a sequence that does not fit.
func (t *Table) Fits(seq uint64) bool {
	return seq >= t.base && seq-t.base <= math.MaxUint32
}

// Full reports whether the table should be frozen: its memory has reached
// Options.Bytes or it has used half of the sequences that fit.
func (t *Table) Full() bool {
	return t.Bytes() >= t.opt.Bytes || t.counts.Load()&math.MaxUint32 > math.MaxUint32/2
}

// Abort hides the rows and tombstones with fromSeq <= sequence <= toSeq for
// ever. These sequences must not be used again and must not have been visible
// yet. Writer only; meant to be rare.
func (t *Table) Abort(fromSeq, toSeq uint64) {
	next := slices.Clone(t.abortedRanges())
	if n := len(next); n > 0 && next[n-1].to+1 == fromSeq {
		next[n-1].to = toSeq
	} else {
		next = append(next, seqRange{fromSeq, toSeq})
	}
	t.aborted.Store(&next)
}

type seqRange struct{ from, to uint64 }

// abortedRanges returns what Abort was called with, nil if never.
func (t *Table) abortedRanges() []seqRange {
	if p := t.aborted.Load(); p != nil {
		return *p
	}
	return nil
}

// isAborted searches the ranges, which are in ascending order.
func isAborted(ranges []seqRange, seq uint64) bool {
	low, high := 0, len(ranges)
	for low < high {
		if mid := (low + high) / 2; ranges[mid].to < seq {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(ranges) && ranges[low].from <= seq
}

// Bytes returns the memory in use: slabs as far as they are handed out, chunks,
// series and their share of the index, late rows, tombstones. Any goroutine.
func (t *Table) Bytes() int64 { return t.arena.used.Load() }

// SeriesCount returns the number of series. Any goroutine.
func (t *Table) SeriesCount() int { return int(t.seriesCount.Load()) }

// Rows returns the number of rows added: every version, aborted ones as well.
// Any goroutine.
func (t *Table) Rows() int64 { return int64(t.counts.Load() >> 32) }

// FirstSeq returns the first sequence added, the base before that.
func (t *Table) FirstSeq() uint64 { return t.firstSeq.Load() }

// LastSeq returns the last sequence added, the base before that.
func (t *Table) LastSeq() uint64 { return t.base + t.counts.Load()&math.MaxUint32 }

// Bounds returns the lowest and the highest time of all rows added, deletes
// included; (MaxUint64, 0) before the first. Any goroutine.
func (t *Table) Bounds() (minTime, maxTime uint64) { return t.minTime.Load(), t.maxTime.Load() }

// maxDelta returns the highest distance to the base that maxSeq lets see;
// false if it is none.
func (t *Table) maxDelta(maxSeq uint64) (uint32, bool) {
	if maxSeq < t.base {
		return 0, false
	}
	return uint32(min(maxSeq-t.base, math.MaxUint32)), true
}
