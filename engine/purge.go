package engine

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"tskv/compaction"
	"tskv/kv"
	"tskv/manifest"
)

// purgeAfter is how many new tombstones start a purge. Each costs some 80 bytes
// in every manifest: 100,000 make it 8 MB, which takes about 10 ms to write.
const purgeAfter = 100_000

// purging is the purge under way. It rewrites, one at a time, the files that hold
// rows deleted since the last purge, so that their tombstones can go: size-tiered
// merges alone would leave old files, and so tombstones, alone for ever.
type purging struct {
	done uint64   // tombstones up to this sequence were purged
	goal uint64   // the purge under way goes up to here; done when there is none
	left []uint64 // files that it has yet to look at
}

// purge returns the next rewrite of a purge, false if there is none to do.
// db.compactMu is held.
func (db *DB) purge(v *version) (compaction.Plan, bool) {
	p := &db.purging
	after, room := db.options.purgeAfter, db.compactionRoom()
	if db.diskFull.Load() {
		// Deletes are how the disk gets room. What a rewrite will need nobody
		// knows before, only that it is less than what it frees: so it is tried.
		after, room = 1, math.MaxInt64
	}
	if p.goal == p.done && !p.begin(v, after, db.deletions.hidden) {
		return compaction.Plan{}, false
	}
	for len(p.left) > 0 {
		id := p.left[0]
		p.left = p.left[1:]
		i := slices.IndexFunc(v.all, func(t *table) bool { return t.file.ID == id })
		if i < 0 || v.all[i].file.Size > room || db.damaged.avoid(id) || db.deletions.hiddenOf(v.all[i], v.tombs, 1) == 0 {
			continue // merged meanwhile, no room for it now, damaged, or nothing to gain
		}
		f := v.all[i].file
		return compaction.Plan{Inputs: []manifest.File{f}, Class: f.Class, Window: f.Window, Reason: purgeReason}, true
	}
	p.done = p.goal
	return compaction.Plan{}, false
}

// purgeReason is the reason of a plan that purge made.
const purgeReason = "purge"

// again puts back the file of a purge that failed, unless it takes more room than
// there is: then the next delete tries again.
func (p *purging) again(plan compaction.Plan, err error) {
	if plan.Reason == purgeReason && !isFull(err) {
		p.left = append(p.left, plan.Inputs[0].ID)
	}
}

// begin starts a purge of the files with hidden rows if enough tombstones have come
// since the last one.
func (p *purging) begin(v *version, after int, hidden map[uint64]hiddenCount) bool {
	fresh := 0
	for _, t := range v.tombs.List() {
		if t.Seq > p.done {
			fresh++
			p.goal = max(p.goal, t.Seq)
		}
	}
	if fresh < after {
		p.goal = p.done
		return false
	}
	for _, t := range v.stored() {
		if hidden[t.file.ID].rows > 0 {
			p.left = append(p.left, t.file.ID)
		}
	}
	return true
}

// subsumeLook is how many newer tombstones of a key are compared with one.
const subsumeLook = 16

// subsume drops the tombstones that a newer one of the same key covers: a topic
// trimmed again and again from its start keeps one.
func subsume(list []kv.Tombstone) []kv.Tombstone {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b kv.Tombstone) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), cmp.Compare(b.Seq, a.Seq))
	})
	kept := sorted[:0]
	for _, t := range sorted {
		if !covers(kept, &t) {
			kept = append(kept, t)
		}
	}
	slices.SortFunc(kept, func(a, b kv.Tombstone) int { return cmp.Compare(a.Seq, b.Seq) })
	return kept
}

// covers reports whether one of the last tombstones, all newer, hides all that t
// hides.
func covers(newer []kv.Tombstone, t *kv.Tombstone) bool {
	for i := len(newer) - 1; i >= max(0, len(newer)-subsumeLook); i-- {
		n := &newer[i]
		if !bytes.Equal(n.Key, t.Key) {
			return false
		}
		if (n.Prefix || !t.Prefix) && !t.From.Less(n.From) && !n.To.Less(t.To) {
			return true
		}
	}
	return false
}
