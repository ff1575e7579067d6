package compaction

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"tskv/manifest"
)

// bounds returns the smallest file description around the inputs.
func bounds(inputs []*manifest.File) manifest.File {
	u := *inputs[0]
	for _, f := range inputs[1:] {
		u.MinSeq, u.MaxSeq = min(u.MinSeq, f.MinSeq), max(u.MaxSeq, f.MaxSeq)
		u.MinTime, u.MaxTime = min(u.MinTime, f.MinTime), max(u.MaxTime, f.MaxTime)
		if bytes.Compare(f.MinKey, u.MinKey) < 0 {
			u.MinKey = f.MinKey
		}
		if bytes.Compare(f.MaxKey, u.MaxKey) > 0 {
			u.MaxKey = f.MaxKey
		}
	}
	return u
}

// legal reports whether the inputs, all of one class and window, may be
// merged: no other file that conflicts with their common bounds may overlap
// their common sequence range, since it would be neither older nor newer than
// the result. Files that a build made beside inputs which all have its very
// sequence range are exempt (see the package comment). If the answer is no, it
// comes with the file that stands in the way, a mixed one if there is one.
func (p *picker) legal(inputs []*manifest.File) (obstacle *manifest.File, ok bool) {
	u := bounds(inputs)
	sameBuild := !slices.ContainsFunc(inputs, func(f *manifest.File) bool { return !sameSeq(f, &u) })
	p.near(&u, func(g *group) bool {
		obstacle = g.overlapping(&u, func(f *manifest.File) bool {
			if !conflict(f, &u) || slices.Contains(inputs, f) {
				return false
			}
			exempt := f.Window != u.Window && (f.Window == Mixed || u.Window == Mixed)
			return !(sameBuild && sameSeq(f, &u) && exempt)
		})
		return obstacle == nil
	})
	return obstacle, obstacle == nil
}

// oldest reports whether no other file that can hold rows of the inputs is
// older than they are.
func (p *picker) oldest(inputs []*manifest.File) bool {
	u := bounds(inputs)
	ok := true
	p.near(&u, func(g *group) bool {
		older := sort.Search(len(g.files), func(i int) bool { return g.files[i].MinSeq >= u.MinSeq })
		for i := older - 1; i >= 0 && ok; i-- {
			ok = !conflict(g.files[i], &u) || slices.Contains(inputs, g.files[i])
		}
		return ok
	})
	return ok
}

// near calls fn with the groups whose files can hold times of u, the mixed one
// first, until it returns false.
func (p *picker) near(u *manifest.File, fn func(*group) bool) {
	if i, ok := p.find(u.Class, Mixed); ok && !fn(&p.groups[i]) {
		return
	}
	last := WindowStart(u.Class, u.MaxTime)
	i, _ := p.find(u.Class, WindowStart(u.Class, u.MinTime))
	for ; i < len(p.groups) && p.groups[i].class == u.Class && p.groups[i].window <= last; i++ {
		if !fn(&p.groups[i]) {
			return
		}
	}
}

// find returns the place of a group, or where it would be.
func (p *picker) find(class uint8, window int64) (int, bool) {
	type place struct {
		class  uint8
		window int64
	}
	return slices.BinarySearchFunc(p.groups, place{class, window}, func(g group, at place) int {
		return cmp.Or(cmp.Compare(g.class, at.class), cmp.Compare(g.window, at.window))
	})
}

// overlapping returns the first file, newest first, that overlaps u in sequence and for
// which fn is true. It looks at those that overlap only, and one more.
func (g *group) overlapping(u *manifest.File, fn func(*manifest.File) bool) *manifest.File {
	i := sort.Search(len(g.files), func(i int) bool { return g.files[i].MinSeq > u.MaxSeq })
	for i--; i >= 0 && g.reach[i] >= u.MinSeq; i-- {
		if g.files[i].MaxSeq >= u.MinSeq && fn(g.files[i]) {
			return g.files[i]
		}
	}
	return nil
}
