package compaction

import (
	"bytes"
	"math"
	"slices"

	"tskv/kv"
	"tskv/manifest"
)

// LiveTombstones returns the tombstones of the list that may still hide something
// in one of the files, judged by their bounds, in their order. A tombstone acts on files with
// MaxSeq < Seq only: a file that reaches to Seq or beyond was made by a flush or
// a merge that has applied it. So one without such a file that its key and
// times overlap may be forgotten, together with the install of files.
func LiveTombstones(files []manifest.File, list []kv.Tombstone) []kv.Tombstone {
	var live []kv.Tombstone
	for i := range list {
		t := &list[i]
		for j := range files {
			f := &files[j]
			if f.MaxSeq < t.Seq && overlaps(t, f) {
				live = append(live, *t)
				break
			}
		}
	}
	return live
}

// overlaps reports whether t's keys and times meet the bounds of f.
func overlaps(t *kv.Tombstone, f *manifest.File) bool {
	if t.From.Time > f.MaxTime || t.To.Time < f.MinTime || bytes.Compare(t.Key, f.MaxKey) > 0 {
		return false
	}
	return bytes.Compare(f.MinKey, t.Key) <= 0 || t.Prefix && bytes.HasPrefix(f.MinKey, t.Key)
}

// allKeys calls fn with the tombstones that act on f and cover all its keys,
// until fn returns true; it reports whether it did.
func (p *picker) allKeys(f *manifest.File, fn func(t *kv.Tombstone) bool) bool {
	list := p.opt.Tombstones.Covering(f.MinKey, nil)
	for i := range list {
		t := &list[i]
		whole := t.Prefix && bytes.HasPrefix(f.MaxKey, t.Key) || bytes.Equal(f.MinKey, f.MaxKey)
		if t.Seq > f.MaxSeq && whole && fn(t) {
			return true
		}
	}
	return false
}

func (p *picker) hidden(f *manifest.File) uint64 {
	if p.opt.Hidden == nil {
		return 0
	}
	return p.opt.Hidden(f.ID)
}

func (p *picker) covered() (Plan, bool) {
	if p.opt.Tombstones.Len() == 0 && p.opt.Hidden == nil {
		return Plan{}, false
	}
	var inputs []*manifest.File
	for i := range p.files {
		f := &p.files[i]
		first, last := kv.ID{Time: f.MinTime}, kv.ID{Time: f.MaxTime, Seq: math.MaxUint64}
		if p.hidden(f) >= f.Rows || p.allKeys(f, func(t *kv.Tombstone) bool { return !first.Less(t.From) && !t.To.Less(last) }) {
			inputs = append(inputs, f)
		}
	}
	if len(inputs) == 0 {
		return Plan{}, false
	}
	plan := Plan{Class: inputs[0].Class, Window: inputs[0].Window, Covered: true, Reason: "covered"}
	slices.SortFunc(inputs, compareSeq)
	for _, f := range inputs {
		plan.Inputs = append(plan.Inputs, *f)
	}
	return plan, true
}

// rewrite finds a single file of which much would go. What it picks it cannot
// pick again: the result has no deletes, nothing hidden, or begins or ends beyond
// the tombstone.
func (p *picker) rewrite() (Plan, bool) {
	for i := range p.files {
		f := &p.files[i]
		if !p.fits(f.Size) || p.opt.avoid(f) {
			continue
		}
		inputs := []*manifest.File{f}
		if f.Deletes > 0 && f.Deletes >= f.Rows/RewriteFraction && p.oldest(inputs) {
			return p.plan(inputs, "deletes"), true
		}
		if n := p.hidden(f); n > 0 && n >= f.Rows/RewriteFraction {
			return p.plan(inputs, "tombstone"), true
		}
		if p.opt.Tombstones.Len() > 0 && p.allKeys(f, func(t *kv.Tombstone) bool { return cutsMuch(t, f) }) {
			return p.plan(inputs, "tombstone"), true
		}
	}
	return Plan{}, false
}

// cutsMuch reports whether t hides the first or the last quarter or more of
// f's time. Where it would leave the bounds as they are, the answer is no.
func cutsMuch(t *kv.Tombstone, f *manifest.File) bool {
	span := f.MaxTime - f.MinTime
	cut := span / RewriteFraction
	if span == 0 {
		return false
	}
	if !(kv.ID{Time: f.MinTime}).Less(t.From) {
		return t.To.Time > f.MinTime && t.To.Time-f.MinTime >= cut
	}
	if !t.To.Less(kv.ID{Time: f.MaxTime, Seq: math.MaxUint64}) {
		return t.From.Time < f.MaxTime && f.MaxTime-t.From.Time >= cut
	}
	return false
}
