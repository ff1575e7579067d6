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

// Count returns the rows of a series with from <= ID <= to, deletes included, and
// how many of them are deletes. Whole blocks are counted from the index; only the
// blocks at the ends are decoded.
func (r *Reader) Count(key []byte, from, to kv.ID) (rows, deletes uint64, err error) {
	w, err := r.Walk(key, kv.Range{From: from, To: to, KeysOnly: true}, false)
	if err != nil || w == nil {
		return 0, 0, err
	}
	defer w.Close()
	for span := w.Span(); span != nil; span = w.Span() {
		switch {
		case span.Counted:
			rows, deletes = rows+span.Rows, deletes+span.Deletes
			err = w.Skip()
		case w.Opened():
			var batch *kv.Rows
			if batch, err = w.Next(); err == nil {
				rows += uint64(batch.Len())
				deletes += countDeletes(batch.Form)
			}
		default:
			err = w.Enter()
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return rows, deletes, nil
}

func countDeletes(forms []kv.Form) (n uint64) {
	for _, f := range forms {
		if f == kv.FormDelete {
			n++
		}
	}
	return n
}
