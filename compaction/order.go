package compaction

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"tskv/manifest"
)

// conflict reports whether a and b can hold the same key and ID, judged by
// their bounds.
func conflict(a, b *manifest.File) bool {
	return a.Class == b.Class &&
		a.MinTime <= b.MaxTime && b.MinTime <= a.MaxTime &&
		bytes.Compare(a.MinKey, b.MaxKey) <= 0 && bytes.Compare(b.MinKey, a.MaxKey) <= 0
}

func sameSeq(a, b *manifest.File) bool { return a.MinSeq == b.MinSeq && a.MaxSeq == b.MaxSeq }

// compareSeq orders files by sequence, siblings of one build by key.
func compareSeq(a, b *manifest.File) int {
	return cmp.Or(
		cmp.Compare(a.MinSeq, b.MinSeq), cmp.Compare(a.MaxSeq, b.MaxSeq),
		bytes.Compare(a.MinKey, b.MinKey), cmp.Compare(a.ID, b.ID))
}

// group is the files of one class and window in sequence order. reach[i] is the
// highest sequence of files[:i+1].
type group struct {
	class  uint8
	window int64
	files  []*manifest.File
	reach  []uint64
}

// groups sorts files by class, window (mixed first) and sequence.
func groups(files []manifest.File) []group {
	all := make([]*manifest.File, len(files))
	for i := range files {
		all[i] = &files[i]
	}
	slices.SortFunc(all, func(a, b *manifest.File) int {
		if n := cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Window, b.Window)); n != 0 {
			return n
		}
		return compareSeq(a, b)
	})
	reach := make([]uint64, len(all))
	var list []group
	for i, f := range all {
		if i == 0 || f.Class != all[i-1].Class || f.Window != all[i-1].Window {
			list = append(list, group{class: f.Class, window: f.Window, files: all[i:i], reach: reach[i:i]})
		}
		g := &list[len(list)-1]
		g.files, g.reach = g.files[:len(g.files)+1], g.reach[:len(g.reach)+1]
		reach[i] = f.MaxSeq
		if n := len(g.reach); n > 1 {
			reach[i] = max(f.MaxSeq, g.reach[n-2])
		}
	}
	return list
}

// CheckOrder returns ErrOrder, naming the files, unless the newest row of every
// key and ID can be told from the files' sequences: files that can hold the
// same (key, ID) have disjoint sequence ranges (see the package comment for
// siblings), and no file holds rows outside its window. For n files it takes
// O(n log n), unless many of them overlap both in sequence and in keys.
func CheckOrder(files []manifest.File) error {
	list := groups(files)
	var mixed group
	for i := range list {
		g := &list[i]
		if g.window == Mixed {
			mixed = *g
		} else if err := checkWindow(g); err != nil {
			return err
		}
		if err := checkGroup(g.files); err != nil {
			return err
		}
		if g.window == Mixed || g.class != mixed.class {
			continue
		}
		for _, f := range g.files {
			m := mixed.overlapping(f, func(m *manifest.File) bool { return !sameSeq(m, f) && conflict(m, f) })
			if m != nil {
				return orderError(m, f)
			}
		}
	}
	return nil
}

func checkWindow(g *group) error {
	for _, f := range g.files {
		if WindowStart(f.Class, f.MinTime) != f.Window || WindowStart(f.Class, f.MaxTime) != f.Window {
			return fmt.Errorf("check order: %w: file %d of class %d, window %d has times %d..%d",
				ErrOrder, f.ID, f.Class, f.Window, f.MinTime, f.MaxTime)
		}
	}
	return nil
}

// checkGroup looks at the pairs of a window that overlap in sequence; files is
// in sequence order, so a healthy window costs one look per file.
func checkGroup(files []*manifest.File) error {
	open := openFiles{first: math.MaxUint64}
	for _, f := range files {
		open.expire(f.MinSeq)
		if o := open.conflict(f); o != nil {
			return orderError(o, f)
		}
		open.add(f)
	}
	return nil
}

// openFiles are those that reach up to the current file in sequence. As a rule
// they are siblings of one build, with different keys: these stand in the order of
// their keys, so that two of them are looked at. The others (same keys, different
// times) are looked at one by one.
type openFiles struct {
	byKey  []*manifest.File // disjoint in keys
	others []*manifest.File
	first  uint64 // the lowest MaxSeq of all
}

// expire lets go of the files that end before seq.
func (o *openFiles) expire(seq uint64) {
	if o.first >= seq {
		return
	}
	o.first = math.MaxUint64
	keep := func(list []*manifest.File) []*manifest.File {
		list = slices.DeleteFunc(list, func(f *manifest.File) bool { return f.MaxSeq < seq })
		for _, f := range list {
			o.first = min(o.first, f.MaxSeq)
		}
		return list
	}
	o.byKey, o.others = keep(o.byKey), keep(o.others)
}

// from returns the first file by key that ends at or after f's first key.
func (o *openFiles) from(f *manifest.File) int {
	return sort.Search(len(o.byKey), func(i int) bool { return bytes.Compare(o.byKey[i].MaxKey, f.MinKey) >= 0 })
}

func (o *openFiles) conflict(f *manifest.File) *manifest.File {
	for i := o.from(f); i < len(o.byKey) && bytes.Compare(o.byKey[i].MinKey, f.MaxKey) <= 0; i++ {
		if conflict(o.byKey[i], f) {
			return o.byKey[i]
		}
	}
	for _, other := range o.others {
		if conflict(other, f) {
			return other
		}
	}
	return nil
}

func (o *openFiles) add(f *manifest.File) {
	o.first = min(o.first, f.MaxSeq)
	i := o.from(f)
	if i < len(o.byKey) && bytes.Compare(o.byKey[i].MinKey, f.MaxKey) <= 0 {
		o.others = append(o.others, f)
		return
	}
	o.byKey = slices.Insert(o.byKey, i, f)
}

func orderError(a, b *manifest.File) error {
	return fmt.Errorf("check order: %w: files %d (%d..%d) and %d (%d..%d) of class %d",
		ErrOrder, a.ID, a.MinSeq, a.MaxSeq, b.ID, b.MinSeq, b.MaxSeq, a.Class)
}
