package sstable

import (
	"fmt"

	"tskv/kv"
)

// TagBits stand for a set of tags in the index.
type TagBits uint64

// TagBitsOf returns the bits of a set.
func TagBitsOf(tags kv.TagSet) TagBits { return TagBits(bitsOf(tags)) }

// Span is what the index knows of rows that lie next to each other in a series.
type Span struct {
	Min, Max kv.ID // no row lies outside; of rows that were clipped or read in part, not tight
	// Rows and Deletes are known, and all of these rows lie in the range, only if
	// Counted.
	Rows, Deletes uint64
	Counted       bool
	bits          uint64
}

// MayHold reports whether a row of the span may have all the tags; false is sure.
func (s *Span) MayHold(tags TagBits) bool { return s.bits&uint64(tags) == uint64(tags) }

// walkLevel is how much of a series the span of a Walk is.
type walkLevel uint8

const (
	walkEnded  walkLevel = iota
	walkSeries           // all rows
	walkLeaf             // a leaf of the block list
	walkBlock            // one block of a list
	walkRows             // what is left of the open block
)

// Walk goes through the rows of one series in a range, and passes over those
// that need not be decoded. It looks at ever smaller spans: the series, a leaf of
// its block list, a block, the rows of the open block. Each can be skipped
// whole, or entered. It belongs to one goroutine and must be closed.
type Walk struct {
	*sourceState
	level walkLevel
	span  Span
	ref   blockRef // of the span: a leaf or a block
	err   error
}

// Walk starts a walk over the rows of a series in a range; nil, nil if the file
// has no row of it there. KeysOnly leaves out tags too, unless withTags.
func (r *Reader) Walk(key []byte, rg kv.Range, withTags bool) (*Walk, error) {
	var e entry
	found, err := r.entry(key, &e)
	if err != nil || !found || e.maxID.Less(rg.From) || rg.To.Less(e.minID) {
		return nil, err
	}
	s := r.state(&e, rg)
	s.keyTags = withTags
	w := &Walk{sourceState: s}
	w.look(walkSeries, e.minID, e.maxID)
	w.count(e.rows, e.deletes)
	w.span.bits = e.tagBits
	return w, nil
}

// MayHoldTags reports whether a row of the file may have all the tags. false is
// sure; a file with very many sets is not searched.
func (r *Reader) MayHoldTags(tags kv.TagSet) bool {
	if len(r.tagSets) > maxSearchedSets {
		return true
	}
	size := 0
	for _, set := range r.tagSets {
		if set.HasAll(tags) {
			return true
		}
		size += len(set) + 1
	}
	// A full dictionary leaves further sets to the blocks.
	return size+kv.MaxTagSet > maxTagSetBytes
}

// maxSearchedSets bounds a search of the dictionary to the time of decoding a
// block. It must be less than maxTagSets.
const maxSearchedSets = 4096

// look makes the rows between two IDs, which are not counted yet, the span.
func (w *Walk) look(level walkLevel, first, last kv.ID) {
	w.level = level
	w.span = Span{Min: first, Max: last}
}

// count gives the span its numbers, if all of it lies in the range.
func (w *Walk) count(rows, deletes uint64) {
	w.span.Rows, w.span.Deletes = rows, deletes
	w.span.Counted = !w.span.Min.Less(w.rg.From) && !w.rg.To.Less(w.span.Max)
}

// Span returns the rows that come next; nil at the end or after an error. It is
// valid until the next call of another method.
func (w *Walk) Span() *Span {
	if w.level == walkEnded {
		return nil
	}
	return &w.span
}

// Skip passes over the span.
func (w *Walk) Skip() error {
	switch w.level {
	case walkEnded, walkSeries:
		w.level = walkEnded
		return w.err
	case walkRows:
		w.window = window{}
		if w.entry.kind != entryList {
			w.level = walkEnded
			return nil
		}
	}
	if w.level != walkLeaf {
		if ok, err := w.lookBlock(); ok || err != nil {
			return w.fail(err)
		}
	}
	return w.fail(w.lookLeaf())
}

// Enter makes the span smaller, or opens its block: then Next may be called.
func (w *Walk) Enter() error {
	switch w.level {
	case walkSeries:
		return w.fail(w.enterSeries())
	case walkLeaf:
		return w.fail(w.enterLeaf())
	case walkBlock:
		return w.fail(w.enterBlock())
	}
	return w.err
}

// Opened reports whether the span is the rest of an open block.
func (w *Walk) Opened() bool { return w.level == walkRows }

// Next decodes rows of the open block and passes over them; nil if no block is
// open. They stay valid until the next Enter, Next or Close.
func (w *Walk) Next() (*kv.Rows, error) {
	if w.err != nil || w.level != walkRows {
		return nil, w.err
	}
	if err := w.decodeNext(); err != nil {
		return nil, w.fail(w.r.corrupt(w.ref.place, err))
	}
	if w.window.len() > 0 {
		w.span.Rows = uint64(w.window.len())
		return &w.out.rows, nil
	}
	if err := w.Skip(); err != nil {
		return nil, err
	}
	return &w.out.rows, nil
}

func (w *Walk) fail(err error) error {
	if err != nil {
		w.err, w.level = err, walkEnded
	}
	return err
}

// Close gives the memory back; it may be called more than once.
func (w *Walk) Close() {
	s := source{sourceState: w.sourceState}
	s.Close()
	w.sourceState, w.level = nil, walkEnded
}

func (w *Walk) enterSeries() error {
	c := &w.cursor
	if err := c.start(w.r, &w.entry, &w.rg, false); err != nil {
		return err
	}
	if w.entry.kind != entryList {
		w.ref = c.single
		return w.enterBlock()
	}
	if c.root.records != nil {
		return w.lookLeaf()
	}
	if ok, err := w.lookBlock(); ok || err != nil {
		return err
	}
	w.level = walkEnded
	return nil
}

// lookLeaf looks at the next leaf of the range, or at the end.
func (w *Walk) lookLeaf() error {
	c := &w.cursor
	leaf := &w.ref
	ok, err := c.step(&c.root, &c.j, leaf)
	if err != nil || !ok {
		w.level = walkEnded
		return err
	}
	w.look(walkLeaf, leaf.minID, leaf.maxID)
	w.span.bits = leaf.tagBits
	if w.entry.deletes > 0 {
		return nil // the root does not know where they are
	}
	after, at := w.entry.rows, c.j
	if w.rg.Reverse {
		at = c.j + 2
	}
	if at < c.root.len() {
		var next blockRef
		if err := c.root.at(at, &next); err != nil {
			return w.r.corrupt(w.entry.place(), err)
		}
		after = next.before
	}
	if after <= leaf.before {
		return w.r.corrupt(w.entry.place(), fmt.Errorf("%w: rows before a leaf", errIndex))
	}
	w.count(after-leaf.before, 0)
	return nil
}

func (w *Walk) enterLeaf() error {
	c := &w.cursor
	leaf := &w.ref
	var err error
	if c.leaf, err = c.fetch(leaf.place, &c.leafBuf); err != nil {
		return err
	}
	if c.leaf.kind != listLeaf || c.leaf.len() != leaf.blocks {
		return w.r.corrupt(leaf.place, errIndex)
	}
	c.i = c.seek(&c.leaf)
	if ok, err := w.lookBlock(); ok || err != nil {
		return err
	}
	return w.lookLeaf()
}

// lookBlock looks at the next block of the present leaf.
func (w *Walk) lookBlock() (bool, error) {
	c := &w.cursor
	ref := &w.ref
	ok, err := c.step(&c.leaf, &c.i, ref)
	if !ok || err != nil {
		return false, err
	}
	w.look(walkBlock, ref.minID, ref.maxID)
	w.span.bits = ref.tagBits
	w.count(uint64(ref.rows), uint64(ref.deletes))
	return true, nil
}

// enterBlock opens a block. What is in the range is counted unless it may hold
// deletes.
func (w *Walk) enterBlock() error {
	ref := &w.ref
	if err := w.loadBlock(ref); err != nil {
		return err
	}
	if w.window.len() == 0 {
		w.level = walkRows
		return w.Skip()
	}
	w.look(walkRows, ref.minID, ref.maxID)
	w.span.bits = ref.tagBits
	w.span.Rows, w.span.Counted = uint64(w.window.len()), ref.deletes == 0
	return nil
}
