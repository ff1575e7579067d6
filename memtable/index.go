package memtable

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sort"

	"github.com/huandu/skiplist"
)

const (
	bucketSize = 128
	listLevels = 16

	// The score of the list is learnt anew whenever it has grown by this factor.
	rescoreFactor = 16
)

// index finds series by key and walks them in key order. Only the writer
// changes it, under Table.mu; the writer reads it without.
type index struct {
	seed  maphash.Seed
	mask  uint64 // all ones; a test narrows it to see collisions
	byKey map[uint64]*Series

	order   *skiplist.SkipList // of *bucket
	probe   bucket             // the writer's key to search order with
	rescore int                // learn the score anew at this number of buckets
}

// bucket is one node of the order: up to 128 series, sorted, with keys >= low
// and below the next bucket's low. All keys begin with prefix; heads holds the
// 8 bytes behind it of each key, so that a search stays within the bucket.
type bucket struct {
	low    []byte
	probe  bool // not a node: sorts behind the node of the same low
	n      int
	prefix []byte
	heads  [bucketSize]uint64
	series [bucketSize]*Series
}

func newIndex() index {
	x := index{
		seed: maphash.MakeSeed(), mask: ^uint64(0),
		byKey: map[uint64]*Series{}, rescore: rescoreFactor,
	}
	x.order = newOrder(scorer{})
	first := &bucket{}
	x.order.Set(first, first)
	return x
}

func newOrder(s scorer) *skiplist.SkipList {
	list := skiplist.New(s)
	list.SetMaxLevel(listLevels) // on an empty list only: it truncates
	return list
}

func (x *index) hash(key []byte) uint64 { return maphash.Bytes(x.seed, key) & x.mask }

func (x *index) find(hash uint64, key []byte) *Series {
	s := x.byKey[hash]
	for s != nil && !bytes.Equal(s.key, key) {
		s = s.twin
	}
	return s
}

// insert adds a series whose key is not there yet.
func (x *index) insert(hash uint64, s *Series) {
	s.twin = x.byKey[hash]
	x.byKey[hash] = s
	x.probe.low = s.key
	e := floorBucket(x.order, &x.probe)
	b := e.Value.(*bucket)
	i := b.search(s.key)
	if b.n == bucketSize {
		b, i = x.split(b, i, s.key, e.Next() == nil)
	}
	b.insert(i, s)
}

// split makes room in a full bucket for a key that belongs at place i, and
// returns where it goes now. Behind the last key of all a new bucket starts,
// so that keys born in ascending order leave full buckets.
func (x *index) split(b *bucket, i int, key []byte, last bool) (*bucket, int) {
	if i == bucketSize && last {
		next := &bucket{low: key}
		x.order.Set(next, next)
		return next, 0
	}
	right := &bucket{}
	const half = bucketSize / 2
	right.n = copy(right.series[:], b.series[half:])
	clear(b.series[half:])
	b.n = half
	right.low = right.series[0].key
	b.learn()
	right.learn()
	x.order.Set(right, right)
	if i > half {
		return right, i - half
	}
	return b, i
}

// relearn gives the order a score that fits the keys of now. It must be called
// by the writer without the lock; the caller swaps the result in under it.
func (x *index) relearn() *skiplist.SkipList {
	lows := make([][]byte, 0, x.order.Len())
	for e := x.order.Front().Next(); e != nil; e = e.Next() {
		lows = append(lows, e.Value.(*bucket).low)
	}
	list := newOrder(learnScore(lows))
	for e := x.order.Front(); e != nil; e = e.Next() {
		list.Set(e.Value, e.Value)
	}
	x.rescore *= rescoreFactor
	return list
}

// floorBucket returns the last element with a bound <= probe.low; there is one
// always, as the first bucket's bound is the empty key.
func floorBucket(order *skiplist.SkipList, probe *bucket) *skiplist.Element {
	probe.probe = true
	e := order.Find(probe) // the first one with a higher bound
	if e == nil {
		return order.Back()
	}
	return e.Prev()
}

// search returns the place of the first series with a key >= key.
func (b *bucket) search(key []byte) int {
	if !bytes.HasPrefix(key, b.prefix) {
		if bytes.Compare(key, b.prefix) < 0 {
			return 0
		}
		return b.n
	}
	head := headOf(key[len(b.prefix):])
	i := sort.Search(b.n, func(i int) bool { return b.heads[i] >= head })
	if i == b.n || b.heads[i] != head {
		return i
	}
	return i + sort.Search(b.n-i, func(j int) bool { return bytes.Compare(b.series[i+j].key, key) >= 0 })
}

// insert puts a series into place i of a bucket that has room.
func (b *bucket) insert(i int, s *Series) {
	copy(b.series[i+1:b.n+1], b.series[i:b.n])
	copy(b.heads[i+1:b.n+1], b.heads[i:b.n])
	b.series[i] = s
	b.n++
	if b.n == 1 || !bytes.HasPrefix(s.key, b.prefix) {
		b.learn()
	} else {
		b.heads[i] = headOf(s.key[len(b.prefix):])
	}
}

// learn sets prefix and heads from the keys.
func (b *bucket) learn() {
	first, last := b.series[0].key, b.series[b.n-1].key
	b.prefix = first[:commonLength(first, last)]
	if b.n == 1 {
		b.prefix = first[:max(len(first)-4, 0)] // most likely the next key differs at its end
	}
	for i, s := range b.series[:b.n] {
		b.heads[i] = headOf(s.key[len(b.prefix):])
	}
}

// headOf returns the first 8 bytes as a number, so that a lower number means a
// lower key; shorter keys are filled with zeros.
func headOf(tail []byte) uint64 {
	if len(tail) >= 8 {
		return binary.BigEndian.Uint64(tail)
	}
	var head [8]byte
	copy(head[:], tail)
	return binary.BigEndian.Uint64(head[:])
}

// scorer orders buckets for the skip list, which compares scores first and
// calls Compare only for equal ones. So a score must never fall where the key
// grows, and never be NaN. The keys that start with prefixes[i] score
// 2i+1 + the next 8 bytes as a fraction of 2^64, which lies within [2i+1, 2i+2]
// for every rounding; all others score 2i, where i prefixes lie before them.
type scorer struct {
	prefixes [][]byte // ascending, none the prefix of another
}

// Compare orders buckets by their bounds.
func (s scorer) Compare(a, b any) int {
	probe := a.(*bucket)
	if c := bytes.Compare(probe.low, b.(*bucket).low); c != 0 || !probe.probe {
		return c
	}
	return 1
}

// CalcScore returns the score of a bucket's bound.
func (s scorer) CalcScore(key any) float64 { return s.score(key.(*bucket).low) }

func (s scorer) score(key []byte) float64 {
	for i, prefix := range s.prefixes {
		if bytes.HasPrefix(key, prefix) {
			return float64(2*i+1) + float64(headOf(key[len(prefix):]))*0x1p-64
		}
		if bytes.Compare(key, prefix) < 0 {
			return float64(2 * i)
		}
	}
	return float64(2 * len(s.prefixes))
}

// learnScore chooses up to two prefixes for ascending keys: it parts them where
// neighbours have least in common (for the store: between two namespaces) and
// takes the common prefix of each part.
func learnScore(keys [][]byte) scorer {
	if len(keys) == 0 {
		return scorer{}
	}
	cut, least := 0, len(keys[0])+1
	for i := 1; i < len(keys); i++ {
		if n := commonLength(keys[i-1], keys[i]); n < least {
			cut, least = i, n
		}
	}
	last := keys[len(keys)-1]
	if cut == 0 {
		return scorer{[][]byte{last}}
	}
	left := keys[0][:commonLength(keys[0], keys[cut-1])]
	right := last[:commonLength(keys[cut], last)]
	switch {
	case bytes.HasPrefix(left, right):
		return scorer{[][]byte{right}}
	case bytes.HasPrefix(right, left):
		return scorer{[][]byte{left}}
	}
	return scorer{[][]byte{left, right}}
}

func commonLength(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
