package compaction

import "tskv/manifest"

// KeyFile is what a caller knows of one key in a file that holds it.
type KeyFile struct {
	Hidden  bool // tombstones hide some of its rows
	Deletes bool // some of its rows are point deletes
}

// PickKey chooses a merge that takes a step towards leaving out what was deleted of one
// key; false if there is none. look tells about the key in a file, false if the
// file does not hold it; it is called for each file at most once. Files of one
// window, up to the newest one with point deletes of the key, are merged from the
// oldest that holds the key on; a file by itself is written anew if that would
// leave something out. Full files are taken, too. Doing what it says again and
// again comes to an end.
func PickKey(files []manifest.File, opt PickOptions, look func(id uint64) (KeyFile, bool)) (Plan, bool) {
	opt.setDefaults()
	p := &picker{opt: opt, files: files, groups: groups(files)}
	for i := range p.groups {
		if plan, ok := p.pickKey(&p.groups[i], look); ok {
			plan.Split = plan.Window == Mixed
			return plan, true
		}
	}
	return Plan{}, false
}

func (p *picker) pickKey(g *group, look func(id uint64) (KeyFile, bool)) (Plan, bool) {
	first, last := -1, -1
	var single []*manifest.File
	for i, f := range g.files {
		k, ok := look(f.ID)
		if !ok {
			continue
		}
		if first < 0 {
			first = i
		}
		if k.Deletes {
			last = i
		}
		if k.Hidden || k.Deletes && p.oldest([]*manifest.File{f}) {
			single = append(single, f)
		}
	}
	for i := first; i >= 0 && i < last; i++ {
		if plan, ok := p.keyPlan(g.files[i:min(i+maxInputs, last+1)]); ok {
			return plan, true
		}
	}
	for _, f := range single {
		if plan, ok := p.keyPlan([]*manifest.File{f}); ok {
			return plan, true
		}
	}
	return Plan{}, false
}

// keyPlan merges the longest legal start of the files; one file only if it is all.
func (p *picker) keyPlan(files []*manifest.File) (Plan, bool) {
	for n := len(files); n >= min(minInputs, len(files)); n-- {
		inputs := files[:n]
		if n > 1 && sameSeq(inputs[0], inputs[n-1]) {
			break // siblings would only be divided again
		}
		total, _ := sizes(inputs)
		if !p.fits(total) || p.avoidAny(inputs) {
			continue
		}
		if _, ok := p.legal(inputs); ok {
			return p.plan(inputs, "key"), true
		}
	}
	return Plan{}, false
}
