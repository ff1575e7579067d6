package engine

import (
	"bytes"

	"tskv/kv"
	"tskv/sstable"
)

// view is a version read up to a sequence; keys are internal. The holder keeps
// the version referenced.
type view struct {
	db  *DB
	v   *version
	seq uint64
	// rules and now, in milliseconds, hide what has expired: see visibleFrom. now
	// may be zero where nothing asks for it.
	rules    *ruleTable
	now      uint64
	expiring bool // keys may have expired
}

// row is the newest row found so far and the sequence that ranks it against an
// equal ID elsewhere.
type found struct {
	kv.Row
	rank uint64
	ok   bool
}

func (f *found) offer(row *kv.Row, rank uint64) {
	if !f.ok || f.ID.Less(row.ID) || f.ID == row.ID && f.rank < rank {
		f.Row, f.rank, f.ok = *row, rank, true
	}
}

// newest returns the row with the highest ID <= at that is neither deleted nor
// hidden. Raw bytes and tags may share buf (which is returned, perhaps grown)
// or memory of the version.
//
// The common case looks at each source once. A delete or a tombstone in the way
// needs the row before it: then the range is read backwards through the merge.
func (w view) newest(key []byte, at kv.ID, buf []byte) (kv.Row, bool, []byte, error) {
	best, tombs, hidden := w.newestInMemory(key, at)
	if !hidden {
		var err error
		if best, hidden, buf, err = w.newestInFiles(key, at, best, tombs, buf); err != nil {
			return kv.Row{}, false, buf, err
		}
	}
	if hidden || best.ok && best.Form == kv.FormDelete {
		return w.newestByScan(key, at, buf)
	}
	return best.Row, best.ok, buf, nil
}

func (w view) newestInMemory(key []byte, at kv.ID) (best found, tombs []kv.Tombstone, hidden bool) {
	for _, m := range w.v.mem {
		if s := m.Find(key); s != nil {
			row, seq, ok := m.Newest(s, at, w.seq)
			if ok {
				if covered(tombs, row.ID) {
					return best, nil, true
				}
				best.offer(&row, seq)
			}
		}
		if m.HasTombstones() {
			tombs = m.Covering(key, w.seq, tombs)
		}
	}
	return best, tombs, false
}

func within(ranges []kv.IDRange, id kv.ID) bool {
	for _, r := range ranges {
		if !id.Less(r.From) && !r.To.Less(id) {
			return true
		}
	}
	return false
}

func covered(tombs []kv.Tombstone, id kv.ID) bool {
	for i := range tombs {
		if !id.Less(tombs[i].From) && !tombs[i].To.Less(id) {
			return true
		}
	}
	return false
}

// newestInFiles looks for a row newer than best; tombs are those in memory.
func (w view) newestInFiles(key []byte, at kv.ID, best found, tombs []kv.Tombstone, buf []byte) (found, bool, []byte, error) {
	tables := w.v.byTime
	if key[0] != spaceData {
		tables = w.tables(key)
	}
	if len(tables) == 0 {
		return best, false, buf, nil
	}
	hash := sstable.KeyHash(key)
	var hides []kv.IDRange
	for _, t := range tables {
		if best.ok && t.file.MaxTime < best.ID.Time {
			if key[0] == spaceData {
				break // the rest is older still
			}
			continue
		}
		if !w.mayHold(t, key, &hash) || t.file.MinTime > at.Time {
			continue
		}
		var row kv.Row
		ok, grown, err := t.Newest(key, at, &row, buf[len(buf):])
		if err != nil {
			return best, false, buf, w.db.readError(err)
		}
		if !ok {
			continue
		}
		hides = w.v.tombs.Hidden(key, t.file.MaxSeq, hides[:0])
		if covered(tombs, row.ID) || within(hides, row.ID) {
			return best, true, buf, nil
		}
		buf = append(buf, grown...)
		best.offer(&row, t.file.MaxSeq)
	}
	return best, false, buf, nil
}

// mayHold reports whether a table's bounds and filter allow the key.
func (w view) mayHold(t *table, key []byte, hash *sstable.Hash) bool {
	if bytes.Compare(key, t.file.MinKey) < 0 || bytes.Compare(key, t.file.MaxKey) > 0 {
		return false
	}
	w.db.metrics.BloomChecks.Inc()
	if !t.MayContain(hash) {
		w.db.metrics.BloomNegatives.Inc()
		return false
	}
	return true
}

func (w view) newestByScan(key []byte, at kv.ID, buf []byte) (kv.Row, bool, []byte, error) {
	src := w.source(key, kv.Range{From: kv.MinID, To: at, Reverse: true}, walkOptions{})
	defer src.Close()
	rows, err := src.Next()
	if err != nil || rows == nil {
		return kv.Row{}, false, buf, err
	}
	row := rows.Row(0)
	start := len(buf)
	buf = append(append(buf, row.Raw...), row.Tags...)
	if row.Raw != nil {
		row.Raw = buf[start : start+len(row.Raw) : start+len(row.Raw)]
	}
	if row.Tags != nil {
		row.Tags = kv.TagSet(buf[start+len(row.Raw):])
	}
	return row, true, buf, nil
}

// source yields the live rows of a key in a range.
func (w view) source(key []byte, rg kv.Range, want walkOptions) kv.Source {
	return kv.DropDeletes(w.walk(key, rg, want))
}

func ranges(tombs []kv.Tombstone) []kv.IDRange {
	out := make([]kv.IDRange, len(tombs))
	for i, t := range tombs {
		out[i] = kv.IDRange{From: t.From, To: t.To}
	}
	return out
}

// tables returns the tables of a key's space.
func (w view) tables(key []byte) []*table {
	switch key[0] {
	case spaceCatalog:
		return w.v.catalog
	case spaceExpiry:
		return w.v.expiry
	}
	return w.v.data
}

// files returns the tables that may hold rows of the key in the range, without those
// that are left to warm memtables.
func (w view) files(key []byte, rg kv.Range) []*table {
	return w.filesOf(w.tables(key), key, rg)
}

// stored reports whether any table may hold rows of the key in the range.
func (w view) stored(key []byte, rg kv.Range) bool {
	return len(w.filesOf(w.v.stored(), key, rg)) > 0
}

func (w view) filesOf(all []*table, key []byte, rg kv.Range) []*table {
	if len(all) == 0 {
		return nil
	}
	hash := sstable.KeyHash(key)
	var out []*table
	for _, t := range all {
		if t.file.MaxTime >= rg.From.Time && t.file.MinTime <= rg.To.Time && w.mayHold(t, key, &hash) {
			out = append(out, t)
		}
	}
	return out
}
