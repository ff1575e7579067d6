package memtable

import (
	"sync"
	"sync/atomic"
)

const (
	// slabBytes is the unit of memory: large enough that the collector sees a
	// memtable as some dozens of objects, small enough to waste little.
	slabBytes   = 1 << 20
	slabRecords = slabBytes / recordBytes
	// A payload above this that does not fit the open slab gets memory of its
	// own, so that no slab is left with more than a quarter unused.
	ownSlabBytes = slabBytes / 4
)

// Pool keeps slabs and read buffers of dropped tables for the next ones. It
// may be used from any goroutine.
type Pool struct {
	mu      sync.Mutex
	bytes   [][]byte
	records [][]record
	slots   int // slabs that may lie here

	batches sync.Pool // of *batch
}

// NewPool returns a pool that keeps up to maxBytes of unused slabs.
func NewPool(maxBytes int64) *Pool {
	return &Pool{slots: int(max(maxBytes, 0) / slabBytes)}
}

// IdleBytes returns the memory of the slabs that wait for their next use.
func (p *Pool) IdleBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.bytes)+len(p.records)) * slabBytes
}

func (p *Pool) takeBytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.bytes); n > 0 {
		slab := p.bytes[n-1]
		p.bytes = p.bytes[:n-1]
		return slab
	}
	return make([]byte, slabBytes)
}

func (p *Pool) takeRecords() []record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.records); n > 0 {
		slab := p.records[n-1]
		p.records = p.records[:n-1]
		return slab
	}
	return make([]record, slabRecords)
}

// put takes slabs back; those of another size and those beyond the limit are
// left to the collector.
func (p *Pool) put(bytes [][]byte, records [][]record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, slab := range bytes {
		if len(slab) == slabBytes && len(p.bytes)+len(p.records) < p.slots {
			p.bytes = append(p.bytes, slab)
		}
	}
	for _, slab := range records {
		if len(p.bytes)+len(p.records) < p.slots {
			p.records = append(p.records, slab)
		}
	}
}

// arena is the slab memory of one table. The writer allocates; readers resolve
// references through the published list of slabs.
type arena struct {
	pool    *Pool
	slabs   atomic.Pointer[[][]byte] // by slab number; grows at the end only
	records [][]record
	free    []byte   // rest of the open byte slab
	open    uint64   // number of the open byte slab
	spare   []record // rest of the open record slab
	used    atomic.Int64
}

// alloc returns n >= 1 bytes and the reference slab<<32 | offset to them.
func (a *arena) alloc(n int) (ref uint64, p []byte) {
	if n > len(a.free) {
		if n > ownSlabBytes {
			p = make([]byte, n)
			a.grow(int64(n))
			return a.publish(p) << 32, p
		}
		a.grow(int64(len(a.free)))
		a.free = a.pool.takeBytes()
		a.open = a.publish(a.free)
	}
	offset := slabBytes - len(a.free)
	p, a.free = a.free[:n:n], a.free[n:]
	a.grow(int64(n))
	return a.open<<32 | uint64(offset), p
}

// publish makes a slab known to readers and returns its number. The list's
// array is shared with older headers, which end before the new element.
func (a *arena) publish(slab []byte) uint64 {
	var list [][]byte
	if p := a.slabs.Load(); p != nil {
		list = *p
	}
	list = append(list, slab)
	a.slabs.Store(&list)
	return uint64(len(list) - 1)
}

// resolve returns the memory from a reference to the end of its slab.
func (a *arena) resolve(ref uint64) []byte {
	return (*a.slabs.Load())[ref>>32][uint32(ref):]
}

// chunkRecords returns room for n records, 1 <= n <= maxChunk, not cleared.
func (a *arena) chunkRecords(n int) []record {
	if n > len(a.spare) {
		a.grow(int64(len(a.spare)) * recordBytes)
		a.spare = a.pool.takeRecords()
		a.records = append(a.records, a.spare)
	}
	room := a.spare[:n:n]
	a.spare = a.spare[n:]
	a.grow(int64(n) * recordBytes)
	return room
}

// grow counts memory; only the writer calls it.
func (a *arena) grow(n int64) { a.used.Store(a.used.Load() + n) }

// release gives the slabs back; no reader may be left.
func (a *arena) release() {
	var slabs [][]byte
	if p := a.slabs.Swap(nil); p != nil {
		slabs = *p
	}
	a.pool.put(slabs, a.records)
	a.records, a.free, a.spare = nil, nil, nil
}

// block hands out elements of arrays that double up to 128, which is cheaper
// to allocate and to collect than one object each.
type block[T any] struct {
	all  [][]T
	free []T
}

// blockShift is the bits of an element's number that are its place in its array.
const blockShift = 7

// take returns a new element and its number.
func (b *block[T]) take() (p *T, number uint32) {
	if len(b.free) == 0 {
		b.free = make([]T, min(4<<min(len(b.all), blockShift), 1<<blockShift))
		b.all = append(b.all, b.free)
	}
	last := len(b.all) - 1
	place := len(b.all[last]) - len(b.free)
	p, b.free = &b.free[0], b.free[1:]
	return p, uint32(last<<blockShift | place)
}

func (b *block[T]) at(number uint32) *T {
	return &b.all[number>>blockShift][number&(1<<blockShift-1)]
}
