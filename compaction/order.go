package compaction

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"tskv/manifest"
)

// conflict reports whether a and b can hold the same key and ID, judged by
// their bounds.
func conflict(a, b *manifest.File) bool {
	return a.Class == b.Class &&
		a.MinTime <= b.MaxTime && b.MinTime <= a.MaxTime &&
		bytes.Compare(a.MinKey, b.MaxKey) <= 0 && bytes.Compare(b.MinKey, a.MaxKey) <= 0
}

func seqOverlap(a, b *manifest.File) bool {
	return a.MinSeq <= b.MaxSeq && b.MinSeq <= a.MaxSeq
}

func sameSeq(a, b *manifest.File) bool { return a.MinSeq == b.MinSeq && a.MaxSeq == b.MaxSeq }

// compareSeq orders files by sequence, siblings of one build by key.
func compareSeq(a, b *manifest.File) int {
	return cmp.Or(
		cmp.Compare(a.MinSeq, b.MinSeq), cmp.Compare(a.MaxSeq, b.MaxSeq),
		bytes.Compare(a.MinKey, b.MinKey), cmp.Compare(a.ID, b.ID))
}

// group is the files of one class and window in sequence order.
type group struct {
	class  uint8
	window int64
	files  []*manifest.File
}

// groups sorts files by class, window (mixed first) and sequence.
func groups(files []manifest.File) []group {
	all := make([]*manifest.File, len(files))
	for i := range files {
		all[i] = &files[i]
	}
	slices.SortFunc(all, func(a, b *manifest.File) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Window, b.Window), compareSeq(a, b))
	})
	var list []group
	for i, f := range all {
		if i == 0 || f.Class != all[i-1].Class || f.Window != all[i-1].Window {
			list = append(list, group{class: f.Class, window: f.Window, files: all[i:i]})
		}
		g := &list[len(list)-1]
		g.files = g.files[:len(g.files)+1]
	}
	return list
}

// CheckOrder returns ErrOrder, naming the files, unless the newest row of every
// key and ID can be told from the files' sequences: files that can hold the
// same (key, ID) have disjoint sequence ranges (see the package comment for
// siblings), and no file holds rows outside its window.
func CheckOrder(files []manifest.File) error {
	list := groups(files)
	var mixed group
	for _, g := range list {
		if g.window == Mixed {
			mixed = g
		} else if err := checkWindow(g); err != nil {
			return err
		}
		if err := checkGroup(g.files); err != nil {
			return err
		}
		if g.window == Mixed || g.class != mixed.class {
			continue
		}
		for _, m := range mixed.files {
			for _, f := range g.files {
				if seqOverlap(m, f) && !sameSeq(m, f) && conflict(m, f) {
					return orderError(m, f)
				}
			}
		}
	}
	return nil
}

func checkWindow(g group) error {
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
	var open []*manifest.File // those that reach up to the current file
	for _, f := range files {
		open = slices.DeleteFunc(open, func(o *manifest.File) bool { return o.MaxSeq < f.MinSeq })
		for _, o := range open {
			if conflict(o, f) {
				return orderError(o, f)
			}
		}
		open = append(open, f)
	}
	return nil
}

func orderError(a, b *manifest.File) error {
	return fmt.Errorf("check order: %w: files %d (%d..%d) and %d (%d..%d) of class %d",
		ErrOrder, a.ID, a.MinSeq, a.MaxSeq, b.ID, b.MinSeq, b.MaxSeq, a.Class)
}
