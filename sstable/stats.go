package sstable

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
