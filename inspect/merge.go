package inspect

import (
	"cmp"
	"slices"

	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// open is an open table.
type openTable struct {
	*sstable.Reader
	file manifest.File
}

// openTables opens files for a merge, newest first.
func openTables(fsys disk.FS, list []manifest.File, noMmap bool) ([]openTable, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b manifest.File) int {
		return cmp.Or(cmp.Compare(b.MaxSeq, a.MaxSeq), cmp.Compare(a.ID, b.ID))
	})
	var out []openTable
	for _, f := range list {
		r, err := sstable.Open(fsys, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{NoMmap: noMmap})
		if err != nil {
			closeTables(out)
			return nil, err
		}
		out = append(out, openTable{r, f})
	}
	return out, nil
}

func closeTables(list []openTable) {
	for _, t := range list {
		_ = t.Close() // read only
	}
}

// merged walks what is to be seen of the tables: of rows with one ID that of the
// newest file, without what tombstones hide. Point deletes are still there.
func merged(tables []openTable, tombs *kv.Tombstones) kv.SeriesIterator {
	iters := make([]kv.SeriesIterator, len(tables))
	for i, t := range tables {
		seq := t.file.MaxSeq
		iters[i] = &hiding{SeriesIterator: t.Iterator(nil), ranges: func(key []byte, dst []kv.IDRange) []kv.IDRange {
			return tombs.Hidden(key, seq, dst)
		}}
	}
	return kv.MergeSeries(iters)
}

// hiding leaves out ranges of each series.
type hiding struct {
	kv.SeriesIterator
	ranges func(key []byte, dst []kv.IDRange) []kv.IDRange
	hidden []kv.IDRange // of the current series
}

// Next moves to the next series.
func (h *hiding) Next() ([]byte, error) {
	key, err := h.SeriesIterator.Next()
	if key != nil && err == nil {
		h.hidden = h.ranges(key, h.hidden[:0])
	}
	return key, err
}

// Rows opens what is left of the current series.
func (h *hiding) Rows(r kv.Range) (kv.Source, error) {
	src, err := h.SeriesIterator.Rows(r)
	if err != nil || len(h.hidden) == 0 {
		return src, err
	}
	return kv.Hide(src, h.hidden), nil
}

// visible reports whether the current series has a row that is no delete.
func visible(it kv.SeriesIterator) (bool, error) {
	src, err := it.Rows(kv.Range{From: kv.MinID, To: kv.MaxID, KeysOnly: true})
	if err != nil {
		return false, err
	}
	src = kv.DropDeletes(src)
	defer src.Close()
	rows, err := src.Next()
	return rows != nil, err
}
