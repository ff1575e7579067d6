package sstable

import (
	"sync"
	"sync/atomic"
)

const (
	// cacheShards bounds the lock contention; a small cache has fewer shards, so
	// that each holds some blocks.
	cacheShards     = 16
	minShardBytes   = 1 << 20
	cacheEntryBytes = 160 // of a block beside its bytes: map, slot, slice
	// A shard's window of misses has a place for each missBytes of its size: some
	// two to four times as many as there are blocks in it.
	missBytes = 8 << 10
	// A payload above this part of its shard would push everything else out.
	largestPart = 4
)

// Cache keeps decompressed payloads of blocks of raw values for any number of
// readers. Numbers need none: they are decoded from the file's own bytes.
//
// A block enters at its second miss within the recent ones, so that a walk over
// much that is read once changes nothing. What leaves is chosen by a clock. The
// bytes are never changed nor used again, so a reader may hold what was evicted.
//
// All methods may be called from any goroutine; a nil Cache holds nothing.
type Cache struct {
	shards  []cacheShard
	readers atomic.Uint64
	hits    atomic.Uint64
	misses  atomic.Uint64

	decompressor decompressor // of all readers
}

// CacheStats are the numbers of a cache since it was made.
type CacheStats struct {
	Hits, Misses uint64
	Bytes        int64 // held now, overhead included
}

type cacheKey struct {
	reader uint64
	offset int64
}

type cacheSlot struct {
	key     cacheKey
	payload []byte // nil: free
	used    bool   // since the hand passed
}

type cacheShard struct {
	mu    sync.Mutex
	at    map[cacheKey]int // index of slots
	slots []cacheSlot
	free  []int
	hand  int
	bytes int64
	limit int64
	// seen has a trace of each of the last misses, direct-mapped: an entry stays
	// until another miss falls on its place.
	seen []uint32
}

// NewCache returns a cache of at most limit bytes, its own overhead included. It is
// nil if limit is less than 64 KiB.
func NewCache(limit int64) *Cache {
	if limit < 64<<10 {
		return nil
	}
	n := int64(1)
	for n < cacheShards && limit/(2*n) >= minShardBytes {
		n *= 2
	}
	c := &Cache{shards: make([]cacheShard, n)}
	for i := range c.shards {
		s := &c.shards[i]
		places := int64(64)
		for 2*places <= limit/n/missBytes {
			places *= 2
		}
		s.at = make(map[cacheKey]int)
		s.seen = make([]uint32, places)
		s.limit = limit/n - 4*places
	}
	return c
}

// Stats returns the present numbers.
func (c *Cache) Stats() CacheStats {
	if c == nil {
		return CacheStats{}
	}
	st := CacheStats{Hits: c.hits.Load(), Misses: c.misses.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Bytes += s.bytes + 4*int64(len(s.seen))
		s.mu.Unlock()
	}
	return st
}

// newReader returns a number that no other reader has.
func (c *Cache) newReader() uint64 {
	if c == nil {
		return 0
	}
	return c.readers.Add(1)
}

// mix spreads a key over 64 bits.
func (k cacheKey) mix() uint64 {
	x := (k.reader*0x9e3779b97f4a7c15 ^ uint64(k.offset)) * 0xbf58476d1ce4e5b9
	x ^= x >> 29
	x *= 0x94d049bb133111eb
	return x ^ x>>32
}

func (c *Cache) shard(h uint64) *cacheShard { return &c.shards[h&uint64(len(c.shards)-1)] }

// find returns a payload, or nil and whether it should be added: not at its
// first miss, and never if only a look is wanted.
func (c *Cache) find(k cacheKey, look bool) (payload []byte, add bool) {
	h := k.mix()
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.at[k]; ok {
		s.slots[i].used = true
		c.hits.Add(1)
		return s.slots[i].payload, false
	}
	c.misses.Add(1)
	if look {
		return nil, false
	}
	place, trace := &s.seen[(h>>8)&uint64(len(s.seen)-1)], uint32(h>>32)|1
	if *place == trace {
		return nil, true
	}
	*place = trace
	return nil, false
}

// add gives a payload to the cache; nobody may change it any more.
func (c *Cache) add(k cacheKey, payload []byte) {
	s := c.shard(k.mix())
	size := int64(cap(payload)) + cacheEntryBytes
	if payload == nil || size > s.limit/largestPart {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.at[k]; ok {
		return // another reader was faster
	}
	for s.bytes+size > s.limit {
		s.evict()
	}
	var i int
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = len(s.slots)
		s.slots = append(s.slots, cacheSlot{})
	}
	s.slots[i] = cacheSlot{key: k, payload: payload}
	s.at[k] = i
	s.bytes += size
}

// evict moves the hand on to a block that was not used since its last round, and
// drops that. s.mu is held and there is at least one block.
func (s *cacheShard) evict() {
	for {
		s.hand++
		if s.hand >= len(s.slots) {
			s.hand = 0
		}
		switch slot := &s.slots[s.hand]; {
		case slot.payload == nil:
		case slot.used:
			slot.used = false
		default:
			s.drop(s.hand)
			return
		}
	}
}

func (s *cacheShard) drop(i int) {
	slot := &s.slots[i]
	delete(s.at, slot.key)
	s.bytes -= int64(cap(slot.payload)) + cacheEntryBytes
	*slot = cacheSlot{}
	s.free = append(s.free, i)
}

// forget drops what a closed reader had.
func (c *Cache) forget(reader uint64) {
	if c == nil {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for j := range s.slots {
			if s.slots[j].payload != nil && s.slots[j].key.reader == reader {
				s.drop(j)
			}
		}
		s.mu.Unlock()
	}
}
