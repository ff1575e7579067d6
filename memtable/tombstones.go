package memtable

import (
	"bytes"
	"slices"
	"sync/atomic"

	"tskv/kv"
)

// tombstones are the range deletes of a table. Every list is in ascending order
// of sequence, only grows, and its elements never change: a header taken under
// the lock may be read without it.
type tombstones struct {
	count    atomic.Int64
	all      []kv.Tombstone
	byKey    map[string][]kv.Tombstone
	byPrefix map[string][]kv.Tombstone
	lengths  []int // distinct lengths of prefixes, ascending
}

func (ts *tombstones) init() {
	ts.byKey, ts.byPrefix = map[string][]kv.Tombstone{}, map[string][]kv.Tombstone{}
}

// tombstoneBytes is what a tombstone costs beside its key: it is in two lists,
// which may have as much room again, and in a map.
const tombstoneBytes = 300

// AddTombstone adds a range delete, whose Seq must satisfy the same rules as
// that of Add. It copies the key. It hides lower sequences only. Writer only.
func (t *Table) AddTombstone(d kv.Tombstone) {
	delta := t.advance(d.Seq)
	d.Key = bytes.Clone(d.Key)
	ts := &t.tombstones
	t.mu.Lock()
	ts.all = append(ts.all, d)
	if d.Prefix {
		ts.byPrefix[string(d.Key)] = append(ts.byPrefix[string(d.Key)], d)
		if i, found := slices.BinarySearch(ts.lengths, len(d.Key)); !found {
			ts.lengths = slices.Insert(slices.Clone(ts.lengths), i, len(d.Key))
		}
	} else {
		ts.byKey[string(d.Key)] = append(ts.byKey[string(d.Key)], d)
	}
	t.mu.Unlock()
	ts.count.Store(int64(len(ts.all)))
	t.arena.grow(tombstoneBytes + 2*int64(len(d.Key)))
	t.counts.Store(t.counts.Load()>>32<<32 | uint64(delta))
}

// HasTombstones reports whether AddTombstone was ever called; one atomic load.
func (t *Table) HasTombstones() bool { return t.tombstones.count.Load() != 0 }

// Tombstones returns those with a sequence <= maxSeq, oldest first. Their keys
// are the table's; the caller must not change them. Any goroutine.
func (t *Table) Tombstones(maxSeq uint64) []kv.Tombstone {
	t.mu.RLock()
	all := t.tombstones.all
	t.mu.RUnlock()
	return t.appendVisible(nil, all, maxSeq)
}

// Covering appends the tombstones with a sequence <= maxSeq whose key or prefix
// matches key, in no order. Any goroutine.
func (t *Table) Covering(key []byte, maxSeq uint64, dst []kv.Tombstone) []kv.Tombstone {
	if !t.HasTombstones() {
		return dst
	}
	var room [4][]kv.Tombstone
	for _, list := range t.tombstoneLists(key, room[:0]) {
		dst = t.appendVisible(dst, list, maxSeq)
	}
	return dst
}

func (t *Table) appendVisible(dst, list []kv.Tombstone, maxSeq uint64) []kv.Tombstone {
	aborted := t.abortedRanges()
	for i := range list {
		if d := &list[i]; d.Seq <= maxSeq && !isAborted(aborted, d.Seq) {
			dst = append(dst, *d)
		}
	}
	return dst
}

// tombstoneLists appends the lists that apply to a key: its own one and those
// of its prefixes, one look-up per length of prefix in use.
func (t *Table) tombstoneLists(key []byte, dst [][]kv.Tombstone) [][]kv.Tombstone {
	ts := &t.tombstones
	t.mu.RLock()
	defer t.mu.RUnlock()
	if list := ts.byKey[string(key)]; list != nil {
		dst = append(dst, list)
	}
	for _, n := range ts.lengths {
		if n > len(key) {
			break
		}
		if list := ts.byPrefix[string(key[:n])]; list != nil {
			dst = append(dst, list)
		}
	}
	return dst
}

// hiding returns a tombstone with seq < its sequence <= maxSeq that covers id,
// nil if there is none.
func hiding(lists [][]kv.Tombstone, aborted []seqRange, id kv.ID, seq, maxSeq uint64) *kv.Tombstone {
	for _, list := range lists {
		for i := len(list) - 1; i >= 0 && list[i].Seq > seq; i-- {
			d := &list[i]
			if d.Seq <= maxSeq && !id.Less(d.From) && !d.To.Less(id) && !isAborted(aborted, d.Seq) {
				return d
			}
		}
	}
	return nil
}

// cover says for every ID the highest sequence of the tombstones over it: a
// list of steps, each valid up to the next one. Sequence 0 stands for none.
type cover []coverStep

type coverStep struct {
	from kv.ID
	seq  uint64
}

// newCover draws the tombstones of the lists that touch the range and that
// maxSeq lets see; nil if there are none.
func newCover(lists [][]kv.Tombstone, aborted []seqRange, r *kv.Range, maxSeq uint64) cover {
	found := overlapping(lists, aborted, r, maxSeq)
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b *kv.Tombstone) int {
		if a.Seq > b.Seq {
			return -1
		}
		return 1
	})
	c := cover{{from: kv.MinID}}
	for _, d := range found {
		c = append(c, coverStep{from: d.From})
		if next, ok := d.To.Next(); ok {
			c = append(c, coverStep{from: next})
		}
	}
	slices.SortFunc(c, func(a, b coverStep) int { return a.from.Compare(b.from) })
	c = slices.CompactFunc(c, func(a, b coverStep) bool { return a.from == b.from })
	c.paint(found)
	return c
}

// paint colours the steps, highest sequence first; what has a colour keeps it.
// open[i] leads to the first step from i on without a colour.
func (c cover) paint(found []*kv.Tombstone) {
	open := make([]int, len(c)+1)
	for i := range open {
		open[i] = i
	}
	first := func(i int) int {
		for open[i] != i {
			open[i] = open[open[i]]
			i = open[i]
		}
		return i
	}
	for _, d := range found {
		i, _ := slices.BinarySearchFunc(c, d.From, func(s coverStep, id kv.ID) int { return s.from.Compare(id) })
		for i = first(i); i < len(c) && !d.To.Less(c[i].from); i = first(i) {
			c[i].seq = d.Seq
			open[i] = i + 1
		}
	}
}

// overlapping returns the tombstones of the lists that can hide a row of the
// range. One that a newer one of the same list encloses is left out, which
// keeps a series that is trimmed again and again cheap to read.
func overlapping(lists [][]kv.Tombstone, aborted []seqRange, r *kv.Range, maxSeq uint64) []*kv.Tombstone {
	var found []*kv.Tombstone
	for _, list := range lists {
		var newer *kv.Tombstone
		for i := len(list) - 1; i >= 0; i-- {
			d := &list[i]
			if d.Seq > maxSeq || d.To.Less(d.From) || d.To.Less(r.From) || r.To.Less(d.From) || isAborted(aborted, d.Seq) {
				continue
			}
			if newer != nil && !d.From.Less(newer.From) && !newer.To.Less(d.To) {
				continue
			}
			newer = d
			found = append(found, d)
		}
	}
	return found
}

// at returns the step that holds id, searching from step i.
func (c cover) at(i int, id kv.ID) int {
	for i+1 < len(c) && !id.Less(c[i+1].from) {
		i++
	}
	for id.Less(c[i].from) {
		i--
	}
	return i
}
