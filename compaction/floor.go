package compaction

import (
	"bytes"
	"slices"

	"tskv/kv"
	"tskv/manifest"
)

// keptRows opens the rows of the iterator's present series that a build writes:
// those from the floor on or, if there are none, the last one, which stays so that
// the key's last ID is never forgotten.
func (b *builder) keptRows(it kv.SeriesIterator, key []byte) (kv.Source, error) {
	if b.out.Floor == nil {
		return it.Rows(kv.Everything)
	}
	floor := b.out.Floor(key)
	below, some := floor.Prev()
	if !some {
		return it.Rows(kv.Everything)
	}
	src, err := it.Rows(kv.Range{From: floor, To: kv.MaxID})
	if err != nil {
		return nil, err
	}
	first, err := src.Next()
	if err != nil {
		src.Close()
		return nil, err
	}
	if first != nil {
		return &startedSource{Source: src, first: first}, nil
	}
	src.Close()
	if src, err = it.Rows(kv.Range{From: kv.MinID, To: below}); err != nil {
		return nil, err
	}
	return &lastRow{Source: src}, nil
}

// startedSource is a source whose first batch was taken already.
type startedSource struct {
	kv.Source
	first *kv.Rows
}

// Next implements kv.Source.
func (s *startedSource) Next() (*kv.Rows, error) {
	if rows := s.first; rows != nil {
		s.first = nil
		return rows, nil
	}
	return s.Source.Next()
}

// lastRow yields the last row of a source.
type lastRow struct {
	kv.Source
	rows kv.Rows
	done bool
}

// Next implements kv.Source.
func (l *lastRow) Next() (*kv.Rows, error) {
	if l.done {
		return nil, nil
	}
	for {
		rows, err := l.Source.Next()
		if err != nil {
			return nil, err
		}
		if rows == nil {
			break
		}
		row := rows.Row(rows.Len() - 1)
		row.Raw, row.Tags = bytes.Clone(row.Raw), slices.Clone(row.Tags)
		l.rows.Reset()
		l.rows.Append(row)
	}
	l.done = true
	if l.rows.Len() == 0 {
		return nil, nil
	}
	return &l.rows, nil
}

// Oldest reports whether no other of the files that can hold rows of f is older.
// Only then may rows of f be left out: what they have replaced in an older file
// would come out from under them.
func Oldest(files []manifest.File, f *manifest.File) bool {
	return !slices.ContainsFunc(files, func(o manifest.File) bool { return older(&o, f) })
}

func older(o, f *manifest.File) bool {
	return o.ID != f.ID && o.MinSeq < f.MinSeq && conflict(o, f)
}

// Droppable returns those of the candidates, files of which readers see nothing,
// that may be dropped: all files that can hold rows of them and are older are
// dropped as well.
func Droppable(files, candidates []manifest.File) []manifest.File {
	list := slices.Clone(candidates)
	for {
		goes := make(map[uint64]bool, len(list))
		for i := range list {
			goes[list[i].ID] = true
		}
		n := len(list)
		list = slices.DeleteFunc(list, func(f manifest.File) bool {
			return slices.ContainsFunc(files, func(o manifest.File) bool { return !goes[o.ID] && older(&o, &f) })
		})
		if len(list) == n {
			return list
		}
	}
}
