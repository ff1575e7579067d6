package engine

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"

	"tskv/compaction"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// deletions knows what the tombstones of single keys hide in files: how many rows of a
// file, which says when to write it anew, and for each tombstone one file that
// still needs it. A tombstone that no file needs is spent.
//
// Each pair of a tombstone and a file is looked at once, by the compaction
// goroutine and outside of all locks but compactMu. Later files need no look: a
// merge applies all tombstones that were looked for before it began, and rows of
// later flushes are newer than they. So whoever leaves a file for the next one in
// the order of IDs never has to come back.
type deletions struct {
	hidden map[uint64]hiddenCount // by file ID; none: nothing is known to be hidden
	places map[uint64]uint64      // of a tombstone, by its sequence: a file that needs it, or spent
}

// spent is the place of a tombstone that hides nothing.
const spent = math.MaxUint64

// hiddenCount is how many rows of a file are hidden: never too few, and perhaps too
// many as long as it is not exact, because tombstones that overlap count twice.
type hiddenCount struct {
	rows  uint64
	exact bool
}

// examine looks for tombstones that are new, or have lost the file that needed them.
// db.compactMu is held.
func (db *DB) examine(v *version) {
	d := &db.deletions
	if v.tombs.Len() == 0 {
		*d = deletions{}
		db.setSpent(nil)
		return
	}
	if d.hidden == nil {
		d.hidden, d.places = make(map[uint64]hiddenCount), make(map[uint64]uint64)
	}
	files := slices.SortedFunc(slices.Values(v.stored()), func(a, b *table) int { return cmp.Compare(a.file.ID, b.file.ID) })
	live := make(map[uint64]bool, len(files)+1)
	for _, t := range files {
		live[t.file.ID] = true
	}
	maps.DeleteFunc(d.hidden, func(id uint64, _ hiddenCount) bool { return !live[id] })
	live[spent] = true
	done := make(map[uint64]bool)
	places := make(map[uint64]uint64, v.tombs.Len())
	eachKey(v.tombs, nil, func(group []kv.Tombstone) bool {
		var open []opened
		for i := range group {
			place, known := d.places[group[i].Seq]
			if !known || !live[place] {
				open = append(open, opened{tomb: &group[i], fresh: !known, after: place, place: spent})
			} else {
				places[group[i].Seq] = place
			}
		}
		if len(open) > 0 {
			d.look(group[0].Key, open, files)
		}
		for _, o := range open {
			places[o.tomb.Seq] = o.place
		}
		for i := range group {
			if seq := group[i].Seq; places[seq] == spent {
				done[seq] = true
			}
		}
		return !db.isStopping()
	})
	if db.isStopping() {
		return
	}
	d.places = places
	db.setSpent(done)
}

func (db *DB) setSpent(seqs map[uint64]bool) {
	db.installMu.Lock()
	defer db.installMu.Unlock()
	db.spentTombs = seqs
}

// eachKey calls fn with the tombstones of each single key from the first key >= from on,
// until it returns false.
func eachKey(tombs *kv.Tombstones, from []byte, fn func(group []kv.Tombstone) bool) {
	list := tombs.List()
	i, _ := slices.BinarySearchFunc(list, from, func(t kv.Tombstone, key []byte) int {
		if t.Prefix {
			return 1 // prefixes come last
		}
		return bytes.Compare(t.Key, key)
	})
	for i < len(list) && !list[i].Prefix {
		end := i + 1
		for end < len(list) && !list[end].Prefix && bytes.Equal(list[end].Key, list[i].Key) {
			end++
		}
		if !fn(list[i:end]) {
			return
		}
		i = end
	}
}

// opened is a tombstone that examine looks for.
type opened struct {
	tomb  *kv.Tombstone
	fresh bool   // it has never been looked for, so all files count
	after uint64 // it was looked for in files up to this ID
	place uint64
}

// acts reports whether the tombstone can hide something in a file, and that
// matters.
func (o *opened) acts(f *manifest.File) bool {
	return o.tomb.Seq > f.MaxSeq && o.tomb.From.Time <= f.MaxTime && o.tomb.To.Time >= f.MinTime &&
		(o.fresh || o.place == spent && f.ID > o.after)
}

// look finds the tombstones of one key in files, which ascend by ID.
func (d *deletions) look(key []byte, open []opened, files []*table) {
	hash := sstable.KeyHash(key)
	var acting []*opened
	var ranges []kv.IDRange
	for _, t := range files {
		if bytes.Compare(key, t.file.MinKey) < 0 || bytes.Compare(key, t.file.MaxKey) > 0 {
			continue
		}
		acting, ranges = acting[:0], ranges[:0]
		fresh := 0 // of them come first
		for i := range open {
			if o := &open[i]; o.fresh && o.acts(&t.file) {
				acting, ranges = append(acting, o), append(ranges, kv.IDRange{From: o.tomb.From, To: o.tomb.To})
				fresh++
			}
		}
		for i := range open {
			if o := &open[i]; !o.fresh && o.acts(&t.file) {
				acting, ranges = append(acting, o), append(ranges, kv.IDRange{From: o.tomb.From, To: o.tomb.To})
			}
		}
		if len(acting) == 0 || !t.MayContain(&hash) {
			continue
		}
		added, err := t.hiddenRows(key, ranges[:fresh])
		place := func(list []*opened) {
			for _, o := range list {
				if o.place == spent {
					o.place = t.file.ID
				}
			}
		}
		if err != nil || added > 0 {
			place(acting[:fresh])
		}
		if added > 0 {
			d.hidden[t.file.ID] = hiddenCount{rows: d.hidden[t.file.ID].rows + added}
		}
		if n, err := t.hiddenRows(key, ranges[fresh:]); err != nil || n > 0 {
			place(acting[fresh:])
		}
	}
}

// hiddenOf returns exactly how many rows of a file are hidden if that is a part
// worth a rewrite, else at least that it is not.
func (d *deletions) hiddenOf(t *table, tombs *kv.Tombstones, least uint64) uint64 {
	h := d.hidden[t.file.ID]
	if !h.exact && h.rows >= least {
		h = hiddenCount{rows: t.allHidden(tombs), exact: true}
		d.hidden[t.file.ID] = h
	}
	return h.rows
}

// allHidden counts the rows of a file that tombstones of single keys hide. Keys that
// cannot be read count as not hidden.
func (t *table) allHidden(tombs *kv.Tombstones) uint64 {
	var total uint64
	var ranges []kv.IDRange
	eachKey(tombs, t.file.MinKey, func(group []kv.Tombstone) bool {
		if bytes.Compare(group[0].Key, t.file.MaxKey) > 0 {
			return false
		}
		ranges = ranges[:0]
		for i := range group {
			if group[i].Seq > t.file.MaxSeq {
				ranges = append(ranges, kv.IDRange{From: group[i].From, To: group[i].To})
			}
		}
		if n, err := t.hiddenRows(group[0].Key, ranges); err == nil {
			total += n
		}
		return true
	})
	return total
}

// sweep takes spent tombstones out of the manifest where no other install does.
// db.compactMu is held.
func (db *DB) sweep() (swept bool, err error) {
	db.installMu.Lock()
	n := len(db.spentTombs)
	db.installMu.Unlock()
	if n == 0 {
		return false, nil
	}
	if err := db.replaceManifest(nil, nil, nil, nil, nil); err != nil {
		return false, err
	}
	db.setSpent(nil)
	return true, nil
}

// prune drops the tombstones that hide nothing any more. db.installMu is held.
// Those of prefixes, of which there are few, go by the bounds of files.
func (db *DB) prune(next *manifest.State, edited bool) {
	list := next.Tombstones
	if edited {
		list = subsume(list)
	}
	var prefixes []kv.Tombstone
	for i := range list {
		if list[i].Prefix {
			prefixes = append(prefixes, list[i])
		}
	}
	needed := make(map[uint64]bool, len(prefixes))
	for _, t := range compaction.LiveTombstones(next.Files, prefixes) {
		needed[t.Seq] = true
	}
	kept := make([]kv.Tombstone, 0, len(list))
	for _, t := range list {
		if t.Prefix && needed[t.Seq] || !t.Prefix && !db.spentTombs[t.Seq] {
			kept = append(kept, t)
		} else {
			db.leaveUntold(t.Seq)
		}
	}
	next.Tombstones = kept
}

// maxFlushChecks bounds the look-ups of filters for the tombstones of one flush:
// about half a second.
const maxFlushChecks = 20_000_000

// worthKeeping returns the tombstones of a memtable that is being flushed without
// those of keys that no file holds: of what lives for a short time only, nothing
// ever gets into the manifest. The files may be merged meanwhile, which brings no key
// to them. Rows of older memtables would have to be in files, so m must be the oldest
// one.
func (db *DB) worthKeeping(m *memory) []kv.Tombstone {
	list := m.Tombstones(m.frozenAt.Load())
	v := db.acquire()
	if v == nil {
		return list
	}
	defer v.release()
	if v.frozen == 0 || v.mem[v.frozen] != m {
		return list
	}
	checks, files := 0, v.stored()
	return slices.DeleteFunc(list, func(t kv.Tombstone) bool {
		if t.Prefix || checks > maxFlushChecks {
			return false
		}
		hash := sstable.KeyHash(t.Key)
		checks += len(files)
		kept := slices.ContainsFunc(files, func(f *table) bool {
			return t.Seq > f.file.MaxSeq && bytes.Compare(t.Key, f.file.MinKey) >= 0 && bytes.Compare(t.Key, f.file.MaxKey) <= 0 &&
				t.From.Time <= f.file.MaxTime && t.To.Time >= f.file.MinTime && f.MayContain(&hash)
		})
		if !kept {
			db.leaveUntold(t.Seq)
		}
		return !kept
	})
}
