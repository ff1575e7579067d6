package compaction

import "tskv/manifest"

// HotFiles returns the largest number of files that overlap one window of a class and are
// still to be merged: a read of a key may have to look at so many. Full files and
// those to be avoided do not count. Of the options Avoid and MaxFileBytes matter.
func HotFiles(files []manifest.File, opt PickOptions) int {
	opt.setDefaults()
	p := &picker{opt: opt, files: files, groups: groups(files)}
	most := 0
	for i := range p.groups {
		g := &p.groups[i]
		n := p.count(g)
		if mixed, ok := p.find(g.class, Mixed); ok && g.window != Mixed {
			end := windowEnd(g.class, g.window)
			for _, m := range p.groups[mixed].files {
				if p.opt.small(m) && m.MinTime <= end && m.MaxTime >= uint64(g.window) {
					n++
				}
			}
		}
		most = max(most, n)
	}
	return most
}
