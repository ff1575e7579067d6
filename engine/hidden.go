package engine

import (
	"bytes"

	"tskv/kv"
	"tskv/sstable"
)

// series returns what the table knows of a key; false if it does not hold it.
func (t *table) series(key []byte) (sstable.SeriesStats, bool, error) {
	if bytes.Compare(key, t.file.MinKey) < 0 || bytes.Compare(key, t.file.MaxKey) > 0 {
		return sstable.SeriesStats{}, false, nil
	}
	hash := sstable.KeyHash(key)
	if !t.MayContain(&hash) {
		return sstable.SeriesStats{}, false, nil
	}
	return t.SeriesStats(key)
}

// hiddenRows returns how many rows of a key in the table lie in the ranges, which
// may overlap. Whole blocks are counted from the index.
func (t *table) hiddenRows(key []byte, ranges []kv.IDRange) (uint64, error) {
	if len(ranges) == 0 {
		return 0, nil
	}
	stats, ok, err := t.series(key)
	if !ok || err != nil {
		return 0, err
	}
	var hidden uint64
	for _, r := range kv.JoinRanges(ranges) {
		switch {
		case r.To.Less(stats.MinID) || stats.MaxID.Less(r.From):
		case !stats.MinID.Less(r.From) && !r.To.Less(stats.MaxID):
			return stats.Rows, nil
		default:
			rows, _, err := t.Count(key, r.From, r.To)
			if err != nil {
				return 0, err
			}
			hidden += rows
		}
	}
	return hidden, nil
}
