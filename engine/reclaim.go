package engine

import (
	"cmp"
	"slices"

	"tskv/compaction"
	"tskv/kv"
	"tskv/manifest"
)

const (
	// recordsAtMerge is the largest number of records whose floor is looked up for
	// every key of a merge or a flush; larger ones are left to the trimmer.
	recordsAtMerge = 1024
	// reclaimPeriod is how long, in milliseconds, a file is not looked at again.
	reclaimPeriod = 5 * 60_000
	// reclaimFraction: a file is rewritten when one in so many rows would go.
	reclaimFraction = 4
	// reclaimFiles bounds the files looked at in one turn.
	reclaimFiles = 256
)

// floors returns for a key (internal) the ID below which a merge may leave its rows
// out, because readers see none of them and never will; nil if there are no rules.
// What it goes by is durable: a rule or a newer record that a power cut takes back
// must not have removed anything.
func (w view) floors() func(key []byte) kv.ID {
	if w.rules == nil {
		return nil
	}
	if w.db.options.Sync != SyncAlways && w.db.syncLog() != nil {
		return nil
	}
	return func(key []byte) kv.ID {
		if key[0] != spaceData {
			return kv.MinID
		}
		r := w.rules.find(key[1:])
		if r == nil {
			return kv.MinID
		}
		floor := kv.ID{Time: cutoff(r, w.now)}
		if r.Records > 0 && r.Records <= recordsAtMerge {
			if nth, ok, err := w.nthNewest(key, floor, r.Records); ok && err == nil {
				floor = nth
			}
		}
		return floor
	}
}

// flushFloors is floors for a flush of m. Rows may go only if no file has rows in
// their place that they might have replaced: of all files, also those that readers
// leave to warm memtables. A memtable that has lost rows that way does not become
// warm. What a replay has brought back, rules too, is not durable before its flush.
func (db *DB) flushFloors(m *memory) (floor func(key []byte) kv.ID, done func()) {
	if db.recovering || db.short.unfinished.Load() != nil {
		return nil, func() {}
	}
	v := db.acquire()
	if v == nil {
		return nil, func() {}
	}
	w := db.viewOf(v)
	hidden := w.floors()
	if hidden == nil {
		return nil, v.release
	}
	return func(key []byte) kv.ID {
		floor := hidden(key)
		if floor == kv.MinID {
			return floor
		}
		src := m.Source(m.Find(key), kv.Range{From: kv.MinID, To: kv.MaxID, KeysOnly: true}, m.frozenAt.Load())
		defer src.Close()
		rows, err := src.Next()
		if err != nil || rows == nil || !rows.ID(0).Less(floor) || w.stored(key, kv.Range{From: rows.ID(0), To: floor}) {
			return kv.MinID
		}
		m.trimmed = true
		db.leaveUntold(m.frozenAt.Load())
		return floor
	}, v.release
}

// reclaiming is what is known of files that were looked at for records that have
// expired. compactMu guards it.
type reclaiming struct {
	rules *ruleTable
	seen  map[uint64]uint64 // when, in milliseconds, by file
}

// reclaim returns the next plan that gives the space of expired records back,
// false if there is none. Files of which readers see nothing are dropped without
// being read, and files of which much is hidden are rewritten. db.compactMu is
// held.
func (db *DB) reclaim(v *version) (compaction.Plan, bool) {
	w := db.viewOf(v)
	if w.rules == nil || len(v.stored()) == 0 {
		db.reclaiming = reclaiming{}
		return compaction.Plan{}, false
	}
	p := &db.reclaiming
	if p.rules != w.rules || p.seen == nil {
		p.rules, p.seen = w.rules, make(map[uint64]uint64)
	}
	due := p.due(w)
	if len(due) == 0 || w.floors() == nil {
		return compaction.Plan{}, false
	}
	files := make([]manifest.File, 0, len(v.data))
	for _, t := range v.stored() {
		files = append(files, t.file)
	}
	var gone []manifest.File
	for _, t := range due[:min(len(due), reclaimFiles)] {
		if db.isStopping() {
			return compaction.Plan{}, false
		}
		p.seen[t.file.ID] = w.now
		hidden, err := w.hiddenRows(t)
		switch {
		case err != nil:
			_ = db.readError(err) // logged; the file stays
		case hidden.rows == t.file.Rows:
			gone = append(gone, t.file)
		case len(gone) == 0 && hidden.gain > 0 && hidden.gain >= t.file.Rows/reclaimFraction &&
			t.file.Size <= db.compactionRoom() && !db.damaged.avoid(t.file.ID) && compaction.Oldest(files, &t.file):
			return compaction.Plan{
				Inputs: []manifest.File{t.file}, Class: t.file.Class, Window: t.file.Window,
				DropDeletes: true, Reason: "retention",
			}, true
		}
	}
	if gone = compaction.Droppable(files, gone); len(gone) == 0 {
		return compaction.Plan{}, false
	}
	for _, f := range gone {
		db.metrics.RetentionFiles.Inc()
		db.metrics.RetentionBytes.Add(uint64(f.Size))
	}
	return compaction.Plan{Inputs: gone, Class: gone[0].Class, Window: gone[0].Window, Covered: true, Reason: "expired"}, true
}

// due returns the files that may hold something that has expired and were not
// looked at lately, oldest first, and forgets files that are no more.
func (p *reclaiming) due(w view) []*table {
	seen := make(map[uint64]uint64, len(p.seen))
	var due []*table
	for _, t := range w.v.stored() {
		if t.file.Class > compaction.ClassData {
			continue
		}
		at, ok := p.seen[t.file.ID]
		if ok {
			seen[t.file.ID] = at
		}
		old := w.rules.minAge > 0 && w.now >= w.rules.minAge && t.file.MinTime < w.now-w.rules.minAge
		trimmed := w.rules.sized && w.v.tombs.Len() > 0
		if (old || trimmed) && (!ok || w.now < at || w.now-at >= reclaimPeriod) {
			due = append(due, t)
		}
	}
	p.seen = seen
	slices.SortFunc(due, func(a, b *table) int { return cmp.Compare(a.file.MinSeq, b.file.MinSeq) })
	return due
}

// hidden says how many rows of a file readers see nothing of, and how many of them
// a rewrite would leave out: it keeps the last row of each key.
type hidden struct{ rows, gain uint64 }

// hiddenRows looks at the index of a file, not at its blocks. That all rows are
// hidden is exact, a part of them is an estimate. The newest record of a key is
// not hidden, however old, because it tells the key's last ID.
func (w view) hiddenRows(t *table) (hidden, error) {
	it := t.Iterator(nil)
	defer it.Close()
	var total hidden
	for {
		key, err := it.Next()
		if err != nil || key == nil {
			return total, err
		}
		if key[0] != spaceData {
			continue
		}
		h, err := w.hiddenRowsOf(t, key)
		if err != nil {
			return hidden{}, err
		}
		total.rows += h.rows
		total.gain += h.gain
	}
}

func (w view) hiddenRowsOf(t *table, key []byte) (hidden, error) {
	age := kv.ID{Time: cutoff(w.rules.find(key[1:]), w.now)}
	deleted := kv.MinID // everything before it
	for _, r := range w.v.tombs.Hidden(key, t.file.MaxSeq, nil) {
		if next, some := r.To.Next(); r.From == kv.MinID && some {
			deleted = maxID(deleted, next)
		} else if r.From == kv.MinID {
			deleted = kv.MaxID
		}
	}
	floor := maxID(age, deleted)
	if floor == kv.MinID {
		return hidden{}, nil
	}
	stats, ok, err := t.SeriesStats(key)
	switch {
	case err != nil || !ok || !stats.MinID.Less(floor):
		return hidden{}, err
	case !stats.MaxID.Less(floor):
		span := float64(stats.MaxID.Time-stats.MinID.Time) + 1
		part := min(uint64(float64(stats.Rows)*float64(floor.Time-stats.MinID.Time)/span), stats.Rows-1)
		return hidden{part, part}, nil
	case stats.MaxID.Less(deleted):
		return hidden{stats.Rows, stats.Rows}, nil
	}
	h := hidden{stats.Rows, stats.Rows - 1}
	row, ok, _, err := w.newest(key, kv.MaxID, nil)
	if ok && !stats.MaxID.Less(row.ID) {
		h.rows--
	}
	return h, err
}
