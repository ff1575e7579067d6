package kv

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// IDRange is the IDs From <= ID <= To.
type IDRange struct {
	From, To ID
}

// Tombstones is an immutable index of tombstones by key. A nil *Tombstones is
// the empty one. It may be used from any goroutine.
type Tombstones struct {
	list     []Tombstone // sorted: exact keys, then prefixes; each by key, sequence
	keys     []tombGroup // the exact keys
	prefixes []tombGroup
}

// tombGroup is the tombstones list[from:to] of one key or prefix. parent is the
// group of the longest other prefix that key starts with, jump a farther
// ancestor, laid so that a walk up takes logarithmic time; -1 is none.
type tombGroup struct {
	key          []byte
	from, to     int
	depth        int
	parent, jump int
}

// NewTombstones indexes a list. The list is copied, the Key slices are kept.
func NewTombstones(list []Tombstone) *Tombstones {
	t := &Tombstones{list: slices.Clone(list)}
	slices.SortStableFunc(t.list, compareTombstones)
	for i := range t.list {
		ts := &t.list[i]
		groups := &t.keys
		if ts.Prefix {
			groups = &t.prefixes
		}
		if n := len(*groups); n > 0 && bytes.Equal((*groups)[n-1].key, ts.Key) {
			(*groups)[n-1].to = i + 1
			continue
		}
		*groups = append(*groups, tombGroup{key: ts.Key, from: i, to: i + 1, parent: -1, jump: -1})
	}
	for i := range t.prefixes {
		t.link(i)
	}
	return t
}

func compareTombstones(a, b Tombstone) int {
	if a.Prefix != b.Prefix {
		if b.Prefix {
			return -1
		}
		return 1
	}
	return cmp.Or(bytes.Compare(a.Key, b.Key), cmp.Compare(a.Seq, b.Seq),
		a.From.Compare(b.From), a.To.Compare(b.To))
}

// link finds the parent of prefix i among the ones before it: the predecessor in
// the order or one of its ancestors, because all texts between a prefix and a
// text that starts with it start with it too.
func (t *Tombstones) link(i int) {
	g := &t.prefixes[i]
	p := t.matching(i-1, g.key)
	if p < 0 {
		return
	}
	up := &t.prefixes[p]
	g.parent, g.depth, g.jump = p, up.depth+1, p
	if up.jump >= 0 {
		far := &t.prefixes[up.jump]
		if far.jump >= 0 && up.depth-far.depth == far.depth-t.prefixes[far.jump].depth {
			g.jump = far.jump
		}
	}
}

// matching returns the first of prefix i and its ancestors that key starts
// with; -1 if there is none.
func (t *Tombstones) matching(i int, key []byte) int {
	if i < 0 {
		return -1
	}
	common := commonPrefix(t.prefixes[i].key, key)
	for i >= 0 && len(t.prefixes[i].key) > common {
		g := &t.prefixes[i]
		i = g.parent
		if g.jump >= 0 && len(t.prefixes[g.jump].key) > common {
			i = g.jump
		}
	}
	return i
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Len returns the number of tombstones.
func (t *Tombstones) Len() int {
	if t == nil {
		return 0
	}
	return len(t.list)
}

// List returns all tombstones, those of single keys first, then those of
// prefixes, each ordered by key and sequence. The list must not be changed.
func (t *Tombstones) List() []Tombstone {
	if t == nil {
		return nil
	}
	return t.list
}

// find returns the group of key itself and the group of the longest prefix of
// key; -1 for none. The shorter prefixes follow by parent.
func (t *Tombstones) find(key []byte) (exact, prefix int) {
	exact = -1
	if i := searchGroups(t.keys, key); i > 0 && bytes.Equal(t.keys[i-1].key, key) {
		exact = i - 1
	}
	return exact, t.matching(searchGroups(t.prefixes, key)-1, key)
}

// searchGroups returns how many groups have a key up to and including key.
func searchGroups(groups []tombGroup, key []byte) int {
	return sort.Search(len(groups), func(i int) bool { return bytes.Compare(groups[i].key, key) > 0 })
}

// Covering appends the tombstones of key and of all prefixes of key to dst:
// those of key first, then by falling length of the prefix. It takes
// O(log Len + matches).
func (t *Tombstones) Covering(key []byte, dst []Tombstone) []Tombstone {
	if t.Len() == 0 {
		return dst
	}
	exact, prefix := t.find(key)
	if exact >= 0 {
		dst = append(dst, t.list[t.keys[exact].from:t.keys[exact].to]...)
	}
	for ; prefix >= 0; prefix = t.prefixes[prefix].parent {
		dst = append(dst, t.list[t.prefixes[prefix].from:t.prefixes[prefix].to]...)
	}
	return dst
}

// Hidden appends the ranges of the tombstones that cover key and have a
// sequence over seq to dst: what must be hidden of rows of key whose sequences are at
// most seq.
func (t *Tombstones) Hidden(key []byte, seq uint64, dst []IDRange) []IDRange {
	if t.Len() == 0 {
		return dst
	}
	exact, prefix := t.find(key)
	if exact >= 0 {
		dst = t.hidden(&t.keys[exact], seq, dst)
	}
	for ; prefix >= 0; prefix = t.prefixes[prefix].parent {
		dst = t.hidden(&t.prefixes[prefix], seq, dst)
	}
	return dst
}

// hidden appends the ranges of one group with a sequence over seq; a group is
// ordered by sequence.
func (t *Tombstones) hidden(g *tombGroup, seq uint64, dst []IDRange) []IDRange {
	for i := g.to - 1; i >= g.from && t.list[i].Seq > seq; i-- {
		dst = append(dst, IDRange{t.list[i].From, t.list[i].To})
	}
	return dst
}
