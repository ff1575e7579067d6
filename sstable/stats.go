package sstable

import "tskv/kv"

// SeriesStats returns what the index knows of a series, without touching its
// blocks; false if the file does not have it.
func (r *Reader) SeriesStats(key []byte) (SeriesStats, bool, error) {
	var e entry
	found, err := r.entry(key, &e)
	if err != nil || !found {
		return SeriesStats{}, false, err
	}
	blocks := int(e.blocks)
	if e.kind == entryOwn {
		blocks = 1
	}
	return SeriesStats{Rows: e.rows, Deletes: e.deletes, Blocks: blocks, MinID: e.minID, MaxID: e.maxID}, true, nil
}

// Count returns the rows of a series with from <= ID <= to, deletes included,
// and how many of them are deletes. Whole blocks are counted from the index;
// only the blocks at the ends are decoded.
func (r *Reader) Count(key []byte, from, to kv.ID) (rows, deletes uint64, err error) {
	var e entry
	found, err := r.entry(key, &e)
	if err != nil || !found || e.maxID.Less(from) || to.Less(e.minID) {
		return 0, 0, err
	}
	if !e.minID.Less(from) && !to.Less(e.maxID) {
		return e.rows, e.deletes, nil
	}
	s, err := r.openSource(&e, kv.Range{From: from, To: to, KeysOnly: true}, 0, nil)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	for {
		var ref blockRef
		ok, err := s.cursor.next(&ref)
		if !ok || err != nil {
			return rows, deletes, err
		}
		n, d := uint64(ref.rows), uint64(ref.deletes)
		if ref.minID.Less(from) || to.Less(ref.maxID) {
			if n, d, err = s.countBlock(&ref); err != nil {
				return 0, 0, r.corrupt(ref.place, err)
			}
		}
		rows += n
		deletes += d
	}
}

// countBlock counts the rows of the range in one block.
func (s *sourceState) countBlock(ref *blockRef) (rows, deletes uint64, err error) {
	if s.buf, err = s.r.fetch(ref.place, s.buf); err != nil {
		return 0, 0, err
	}
	if err := s.openBlock(ref); err != nil {
		return 0, 0, err
	}
	rows = uint64(s.window.len())
	if rows == 0 || ref.deletes == 0 {
		return rows, 0, nil
	}
	if err := s.reader.decode(&s.out, &s.window, true); err != nil {
		return 0, 0, err
	}
	for _, f := range s.out.rows.Form {
		if f == kv.FormDelete {
			deletes++
		}
	}
	return rows, deletes, nil
}
