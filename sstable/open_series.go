package sstable

import (
	"bytes"

	"tskv/kv"
)

// openSeries is the series to which rows are being added.
type openSeries struct {
	open   bool
	key    []byte
	entry  entry
	only   blockRef // while there is one block
	blocks int
	before uint64 // rows in those blocks
	lists  listBuilder
}

// cut writes the rows at hand as a block of the open series.
func (w *Writer) cut() error {
	r, s := &w.run, &w.series
	data := w.encoder.own(r)
	n := r.rows()
	ref := blockRef{
		rows: n, deletes: r.deletes, tagBits: r.tagBits, before: s.before,
		minID: kv.ID{Time: r.time[0], Seq: r.seq[0]}, maxID: kv.ID{Time: r.time[n-1], Seq: r.seq[n-1]},
	}
	var err error
	if ref.place, err = w.block(data); err != nil {
		return err
	}
	s.entry.deletes += uint64(r.deletes)
	s.entry.tagBits |= r.tagBits
	s.before += uint64(n)
	r.reset()
	switch s.blocks++; s.blocks {
	case 1:
		s.only = ref
		return nil
	case 2:
		if err := w.list(&s.only); err != nil {
			return err
		}
	}
	return w.list(&ref)
}

// list adds a block to the lists of the open series.
func (w *Writer) list(ref *blockRef) error {
	if leaf := w.series.lists.add(ref, w.seed); leaf != nil {
		at, err := w.section(leaf)
		if err != nil {
			return err
		}
		w.series.lists.written(at)
	}
	return nil
}

// endSeries moves the open series into the index.
func (w *Writer) endSeries() error {
	s, r := &w.series, &w.run
	e := &s.entry
	if s.blocks == 0 && r.rows() < minOwnRows && r.bytes() <= maxBlockPayload {
		return w.packSeries()
	}
	if r.rows() > 0 {
		if err := w.cut(); err != nil {
			return err
		}
	}
	e.kind, e.blocks = entryOwn, uint64(s.blocks)
	e.offset, e.length = s.only.offset, s.only.length
	if s.blocks > 1 {
		e.kind = entryList
		at, err := w.endLists()
		if err != nil {
			return err
		}
		e.offset, e.length = at.offset, at.length
	}
	w.endEntry()
	return nil
}

// endLists writes the last leaf, and the root if there is more than one leaf.
func (w *Writer) endLists() (place, error) {
	lists := &w.series.lists
	if leaf := lists.leaf(w.seed); leaf != nil {
		at, err := w.section(leaf)
		if err != nil {
			return at, err
		}
		lists.written(at)
	}
	root, at := lists.root(w.seed)
	if root == nil {
		return at, nil
	}
	return w.section(root)
}

// packSeries adds the open series to a packed block.
func (w *Writer) packSeries() error {
	s, r := &w.series, &w.run
	p := &w.packers[1]
	if r.numeric() {
		p = &w.packers[0]
	}
	if !p.fits(r, s.key) {
		if err := w.endPacker(p); err != nil {
			return err
		}
	}
	if p.run.rows() == 0 {
		p.ordinal = len(w.packed)
		w.packed = append(w.packed, place{})
	}
	e := &s.entry
	e.kind, e.deletes, e.tagBits = entryPacked, uint64(r.deletes), r.tagBits
	e.offset, e.length = int64(p.ordinal)*8, 1 // the place is known when the block is written
	e.run, e.firstRow = len(p.runs), p.run.rows()
	p.add(r, s.key)
	r.reset()
	w.endEntry()
	return nil
}

func (w *Writer) endPacker(p *packer) error {
	if p.run.rows() == 0 {
		return nil
	}
	at, err := w.block(w.encoder.shared(&p.run, p.runs, p.keys, p == &w.packers[0]))
	if err != nil {
		return err
	}
	w.packed[p.ordinal] = at
	w.props.PackedBlocks++
	p.reset()
	return nil
}

// endEntry closes the series with its entry.
func (w *Writer) endEntry() {
	s, e, p := &w.series, &w.series.entry, &w.props
	if p.Series == 0 {
		p.MinKey = bytes.Clone(s.key)
		p.MinTime, p.MaxTime = e.minID.Time, e.maxID.Time
	}
	p.MinTime, p.MaxTime = min(p.MinTime, e.minID.Time), max(p.MaxTime, e.maxID.Time)
	p.Series++
	p.Rows += e.rows
	p.Deletes += e.deletes
	w.index.add(s.key, e)
	s.open = false
	p.MaxKey = append(p.MaxKey[:0], s.key...)
}
