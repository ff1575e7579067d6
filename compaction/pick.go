package compaction

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"tskv/manifest"
)

// Plan says what to merge. A plan with Covered set has nothing to merge: its
// inputs hold nothing that a reader can see and are to be dropped.
type Plan struct {
	Inputs  []manifest.File // in sequence order
	Class   uint8           // of all inputs, unless Covered
	Window  int64           // of all inputs; Mixed where they are mixed
	Split   bool            // write one file per window instead of one mixed file
	Covered bool
	// DropDeletes: nothing older than the inputs can hold their keys and IDs,
	// so point deletes have done their work.
	DropDeletes bool
	Reason      string // covered, tiered, split, deletes, tombstone or settle
}

// Pick chooses the next compaction; false if there is none to do. It is pure,
// and doing what it says again and again comes to an end. files must satisfy
// CheckOrder. In this order it looks for
//
//   - covered: files that a tombstone hides wholly;
//   - tiered: 2 to 8 files of one class and window, adjacent in sequence, with
//     a gain of at least MinGain, where gain = sum of the sizes / largest size:
//     rewriting the largest once brings that many times its bytes together.
//     The tier of the smallest files goes first (tier = power of two of the
//     largest input), in a tier the highest gain, then the smallest total,
//     then the newest files;
//   - split: mixed files that are together SplitBytes or more, or 8 or more;
//   - deletes, tombstone: one file of which a quarter or more would go;
//   - settle: a closed window with more than three files that are not full.
//     The run of files that leaves three, with the smallest total; if a mixed
//     file is in its way, that is split.
//
// Every plan is legal: see legal.
func Pick(files []manifest.File, opt PickOptions) (Plan, bool) {
	opt.setDefaults()
	p := &picker{opt: opt, files: files, groups: groups(files)}
	for _, step := range []func() (Plan, bool){p.covered, p.tiered, p.split, p.rewrite, p.settle} {
		if plan, ok := step(); ok {
			return plan, true
		}
	}
	return Plan{}, false
}

type picker struct {
	opt    PickOptions
	files  []manifest.File
	groups []group
}

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
// comes with the file that stands in the way.
func (p *picker) legal(inputs []*manifest.File) (obstacle *manifest.File, ok bool) {
	u := bounds(inputs)
	sameBuild := !slices.ContainsFunc(inputs, func(f *manifest.File) bool { return !sameSeq(f, &u) })
	for i := range p.files {
		f := &p.files[i]
		if !seqOverlap(f, &u) || !conflict(f, &u) || slices.Contains(inputs, f) {
			continue
		}
		if sameBuild && sameSeq(f, &u) && f.Window != u.Window && (f.Window == Mixed || u.Window == Mixed) {
			continue
		}
		return f, false
	}
	return nil, true
}

// oldest reports whether no other file that can hold rows of the inputs is
// older than they are.
func (p *picker) oldest(inputs []*manifest.File) bool {
	u := bounds(inputs)
	for i := range p.files {
		f := &p.files[i]
		if f.MinSeq < u.MinSeq && conflict(f, &u) && !slices.Contains(inputs, f) {
			return false
		}
	}
	return true
}

func (p *picker) plan(inputs []*manifest.File, reason string) Plan {
	plan := Plan{
		Class: inputs[0].Class, Window: inputs[0].Window,
		DropDeletes: p.oldest(inputs), Reason: reason,
	}
	for _, f := range inputs {
		plan.Inputs = append(plan.Inputs, *f)
	}
	return plan
}

// full: a build leaves a file when an estimate says that it has MaxFileBytes;
// the file may turn out a little smaller.
func (p *picker) full(f *manifest.File) bool {
	return f.Size >= p.opt.MaxFileBytes-p.opt.MaxFileBytes/fullSlack
}

func (p *picker) fits(total int64) bool {
	return p.opt.MaxInputBytes <= 0 || total <= p.opt.MaxInputBytes
}

func sizes(files []*manifest.File) (total, largest int64) {
	for _, f := range files {
		total += f.Size
		largest = max(largest, f.Size)
	}
	return total, largest
}

// run is a candidate: adjacent files of one group.
type run struct {
	files          []*manifest.File
	total, largest int64
}

func (r *run) gain() float64 { return float64(r.total) / float64(r.largest) }

// runs calls fn with every run of 2 to 8 files of the group that fits and has
// no full file in it. Files of one build are no run by themselves: they have
// different keys, and would only be divided at the same places again.
func (p *picker) runs(g *group, fn func(run)) {
	for i := range g.files {
		for n := minInputs; n <= maxInputs && i+n <= len(g.files); n++ {
			if p.full(g.files[i]) || p.full(g.files[i+n-1]) {
				break
			}
			total, largest := sizes(g.files[i : i+n])
			if p.fits(total) && !sameSeq(g.files[i], g.files[i+n-1]) {
				fn(run{g.files[i : i+n], total, largest})
			}
		}
	}
}

func (p *picker) tiered() (Plan, bool) {
	var list []run
	for i := range p.groups {
		p.runs(&p.groups[i], func(r run) {
			if r.gain() >= p.opt.MinGain {
				list = append(list, r)
			}
		})
	}
	slices.SortStableFunc(list, func(a, b run) int {
		return cmp.Or(
			cmp.Compare(bits.Len64(uint64(a.largest)), bits.Len64(uint64(b.largest))),
			cmp.Compare(b.gain(), a.gain()),
			cmp.Compare(a.total, b.total),
			cmp.Compare(b.files[0].MinSeq, a.files[0].MinSeq))
	})
	for _, r := range list {
		if _, ok := p.legal(r.files); ok {
			plan := p.plan(r.files, "tiered")
			plan.Split = plan.Window == Mixed && r.total >= p.opt.SplitBytes
			return plan, true
		}
	}
	return Plan{}, false
}

func (p *picker) split() (Plan, bool) {
	for _, g := range p.groups {
		if g.window != Mixed {
			continue
		}
		if total, _ := sizes(g.files); total < p.opt.SplitBytes && len(g.files) < maxMixed {
			continue
		}
		for i := range g.files {
			for n := min(maxInputs, len(g.files)-i); n > 0; n-- {
				if plan, ok := p.splitPlan(g.files[i : i+n]); ok {
					return plan, true
				}
			}
		}
	}
	return Plan{}, false
}

func (p *picker) splitPlan(inputs []*manifest.File) (Plan, bool) {
	if total, _ := sizes(inputs); !p.fits(total) {
		return Plan{}, false
	}
	if _, ok := p.legal(inputs); !ok {
		return Plan{}, false
	}
	plan := p.plan(inputs, "split")
	plan.Split = true
	return plan, true
}

func (p *picker) settle() (Plan, bool) {
	for i := range p.groups {
		g := &p.groups[i]
		if g.window == Mixed || !p.closed(g) {
			continue
		}
		small := 0
		for _, f := range g.files {
			if !p.full(f) {
				small++
			}
		}
		if small <= settledFiles {
			continue
		}
		if plan, ok := p.settleGroup(g, min(small-settledFiles+1, maxInputs)); ok {
			return plan, true
		}
	}
	return Plan{}, false
}

// closed reports whether a window has ended long ago and is idle.
func (p *picker) closed(g *group) bool {
	end := windowEnd(g.class, g.window)
	if p.opt.Now < closedAfterMS || end > p.opt.Now-closedAfterMS {
		return false
	}
	return p.opt.IdleSeq == 0 || !slices.ContainsFunc(g.files, func(f *manifest.File) bool {
		return f.MaxSeq > p.opt.IdleSeq
	})
}

// settleGroup merges a run of want files, or the longest that can be had.
func (p *picker) settleGroup(g *group, want int) (Plan, bool) {
	var list []run
	p.runs(g, func(r run) {
		if len(r.files) <= want {
			list = append(list, r)
		}
	})
	slices.SortStableFunc(list, func(a, b run) int {
		return cmp.Or(cmp.Compare(len(b.files), len(a.files)), cmp.Compare(a.total, b.total))
	})
	var mixed *manifest.File
	for _, r := range list {
		obstacle, ok := p.legal(r.files)
		if ok {
			return p.plan(r.files, "settle"), true
		}
		if mixed == nil && obstacle.Window == Mixed {
			mixed = obstacle
		}
	}
	if mixed == nil {
		return Plan{}, false
	}
	return p.splitPlan([]*manifest.File{mixed})
}
