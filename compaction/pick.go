package compaction

import (
	"cmp"
	"iter"
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
	Reason      string // covered, tiered, crowd, split, deletes, tombstone, settle, key or purge
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
//     then the newest files. A longer run around it goes instead if its gain is
//     as high: so nothing is written twice for the sake of small files first;
//   - crowd: where that finds nothing, the run with the highest gain of a window
//     that has more than 16 files which are not full;
//   - split: mixed files that are together SplitBytes or more, or 8 or more;
//   - deletes, tombstone: one file of which a quarter or more would go;
//   - settle: a closed window with more than three files that are not full.
//     The run of files that leaves three, with the smallest total; if a mixed
//     file is in its way, that is split.
//
// Files that are to be avoided are dropped if covered, and otherwise left where
// they are: no merge takes them or reaches over them.
//
// Every plan is legal: see legal. For n files it takes O(n log n).
func Pick(files []manifest.File, opt PickOptions) (Plan, bool) {
	opt.setDefaults()
	p := &picker{opt: opt, files: files, groups: groups(files)}
	for _, step := range []func() (Plan, bool){p.covered, p.tiered, p.crowd, p.split, p.rewrite, p.settle} {
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
func (o *PickOptions) full(f *manifest.File) bool {
	return f.Size >= o.MaxFileBytes-o.MaxFileBytes/fullSlack
}

func (o *PickOptions) avoid(f *manifest.File) bool { return o.Avoid != nil && o.Avoid(f.ID) }

func (p *picker) avoidAny(files []*manifest.File) bool {
	return slices.ContainsFunc(files, p.opt.avoid)
}

// small reports whether a file is still to be merged: neither full nor unreadable.
func (o *PickOptions) small(f *manifest.File) bool { return !o.full(f) && !o.avoid(f) }

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

// contains reports whether other is a part of r.
func (r *run) contains(other *run) bool {
	return slices.Contains(r.files, other.files[0]) && slices.Contains(r.files, other.files[len(other.files)-1])
}

// runs calls fn with every run of 2 to 8 small files of the group that fits.
// Files of one build are no run by themselves: they have different keys, and
// would only be divided at the same places again.
func (p *picker) runs(g *group, fn func(run)) {
	end := 0 // files up to here were found small
	for i, first := range g.files {
		total, largest := first.Size, first.Size
		for n := 1; n <= maxInputs && i+n <= len(g.files); n++ {
			last := g.files[i+n-1]
			if i+n > end {
				if !p.opt.small(last) {
					break
				}
				end = i + n
			}
			if n == 1 {
				continue
			}
			total, largest = total+last.Size, max(largest, last.Size)
			if !p.fits(total) {
				break
			}
			if !sameSeq(first, last) {
				fn(run{g.files[i : i+n], total, largest})
			}
		}
	}
}

// inOrder yields the smallest run first. The rest is sorted only if that is asked
// for: as a rule the first one is legal.
func inOrder(list []run, order func(a, b run) int) iter.Seq[run] {
	return func(yield func(run) bool) {
		for i := range list {
			if i == 0 {
				best := 0
				for j := range list {
					if order(list[j], list[best]) < 0 {
						best = j
					}
				}
				list[0], list[best] = list[best], list[0]
			} else if i == 1 {
				slices.SortFunc(list[1:], order)
			}
			if !yield(list[i]) {
				return
			}
		}
	}
}

// newest orders runs of which neither is better by their place, so that the result
// does not depend on the order of the files.
func newest(a, b run) int {
	return cmp.Or(
		cmp.Compare(b.files[0].MinSeq, a.files[0].MinSeq), cmp.Compare(len(a.files), len(b.files)),
		cmp.Compare(a.files[0].Class, b.files[0].Class), cmp.Compare(a.files[0].Window, b.files[0].Window),
		compareSeq(a.files[0], b.files[0]))
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
	small, _, ok := p.firstLegal(list, func(a, b run) int {
		return cmp.Or(
			cmp.Compare(bits.Len64(uint64(a.largest)), bits.Len64(uint64(b.largest))),
			cmp.Compare(b.gain(), a.gain()),
			cmp.Compare(a.total, b.total),
			newest(a, b))
	})
	if !ok {
		return Plan{}, false
	}
	wide := slices.DeleteFunc(list, func(r run) bool { return r.gain() < small.gain() || !r.contains(&small) })
	r, _, _ := p.firstLegal(wide, func(a, b run) int {
		return cmp.Or(cmp.Compare(b.gain(), a.gain()), cmp.Compare(len(b.files), len(a.files)), newest(a, b))
	})
	plan := p.plan(r.files, "tiered")
	plan.Split = plan.Window == Mixed && r.total >= p.opt.SplitBytes
	return plan, true
}

// firstLegal returns the first legal run in an order, and the first mixed file
// that stood in the way of one.
func (p *picker) firstLegal(list []run, order func(a, b run) int) (first run, mixed *manifest.File, ok bool) {
	for r := range inOrder(list, order) {
		obstacle, ok := p.legal(r.files)
		if ok {
			return r, mixed, true
		}
		if mixed == nil && obstacle.Window == Mixed {
			mixed = obstacle
		}
	}
	return run{}, mixed, false
}

// crowd keeps the number of files that a read has to look at bounded where sizes
// happen to lie so that no run gains enough.
func (p *picker) crowd() (Plan, bool) {
	for i := range p.groups {
		g := &p.groups[i]
		if p.count(g) <= crowdedFiles {
			continue
		}
		var list []run
		p.runs(g, func(r run) { list = append(list, r) })
		r, _, ok := p.firstLegal(list, func(a, b run) int {
			return cmp.Or(cmp.Compare(b.gain(), a.gain()), cmp.Compare(a.total, b.total), newest(a, b))
		})
		if ok {
			return p.plan(r.files, "crowd"), true
		}
	}
	return Plan{}, false
}

// count returns how many files of a group are small.
func (p *picker) count(g *group) int {
	n := 0
	for _, f := range g.files {
		if p.opt.small(f) {
			n++
		}
	}
	return n
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
	if total, _ := sizes(inputs); !p.fits(total) || p.avoidAny(inputs) {
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
		if small := p.count(g); small > settledFiles {
			if plan, ok := p.settleGroup(g, min(small-settledFiles+1, maxInputs)); ok {
				return plan, true
			}
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
	r, mixed, ok := p.firstLegal(list, func(a, b run) int {
		return cmp.Or(cmp.Compare(len(b.files), len(a.files)), cmp.Compare(a.total, b.total), newest(a, b))
	})
	switch {
	case ok:
		return p.plan(r.files, "settle"), true
	case mixed != nil:
		return p.splitPlan([]*manifest.File{mixed})
	}
	return Plan{}, false
}
