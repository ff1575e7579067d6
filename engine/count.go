package engine

import "tskv/kv"

// countAll counts the live rows of an internal key between two IDs. Where one
// file alone covers a stretch of time, with no deletes, tombstones or rows in
// memory over it, its index gives the number; everything else is merged by IDs.
func (w view) countAll(key []byte, from, to kv.ID) (uint64, error) {
	rg := kv.Range{From: from, To: to, KeysOnly: true}
	files := w.files(key, rg)
	if len(files) == 0 || w.inMemory(key) {
		return w.countMerged(key, rg)
	}
	var n uint64
	for _, group := range groupByTime(files, false) {
		lo, hi := groupBounds(group, from, to)
		part, done, err := w.countByIndex(key, group, lo, hi)
		if err != nil {
			return 0, err
		}
		if !done {
			if part, err = w.countMerged(key, kv.Range{From: lo, To: hi, KeysOnly: true}); err != nil {
				return 0, err
			}
		}
		n += part
	}
	return n, nil
}

// inMemory reports whether memtables hold rows or tombstones of the key.
func (w view) inMemory(key []byte) bool {
	for _, m := range w.v.mem {
		if m.Find(key) != nil || m.HasTombstones() && len(m.Covering(key, w.seq, nil)) > 0 {
			return true
		}
	}
	return false
}

func groupBounds(group []*table, from, to kv.ID) (lo, hi kv.ID) {
	first, last := group[0].file.MinTime, group[0].file.MaxTime
	for _, t := range group {
		first, last = min(first, t.file.MinTime), max(last, t.file.MaxTime)
	}
	lo, hi = kv.ID{Time: first}, kv.ID{Time: last, Seq: kv.MaxID.Seq}
	if lo.Less(from) {
		lo = from
	}
	if to.Less(hi) {
		hi = to
	}
	return lo, hi
}

func (w view) countByIndex(key []byte, group []*table, lo, hi kv.ID) (uint64, bool, error) {
	if len(group) != 1 {
		return 0, false, nil
	}
	t := group[0]
	if len(w.v.tombs.Hidden(key, t.file.MaxSeq, nil)) > 0 {
		return 0, false, nil
	}
	stats, ok, err := t.SeriesStats(key)
	if err != nil || !ok {
		return 0, err == nil, w.db.readError(err)
	}
	if stats.Deletes > 0 {
		return 0, false, nil
	}
	n, _, err := t.Count(key, lo, hi)
	return n, true, w.db.readError(err)
}

func (w view) countMerged(key []byte, rg kv.Range) (uint64, error) {
	src, err := w.source(key, rg)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	var n uint64
	for {
		rows, err := src.Next()
		if rows == nil || err != nil {
			return n, err
		}
		n += uint64(rows.Len())
	}
}
