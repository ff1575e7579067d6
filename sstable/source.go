package sstable

import (
	"fmt"

	"tskv/kv"
)

// batchRows is how many rows a source decodes at a time: their columns stay in
// the processor's second-level cache.
const batchRows = 1024

// sourceState is what a source works with; it is recycled.
type sourceState struct {
	r       *Reader
	rg      kv.Range
	entry   entry
	keyTags bool // with KeysOnly: tags all the same
	cursor  blockCursor
	ahead   *readAhead // nil: through map and pread
	reader  blockReader
	buf     []byte
	window  window // rows of the open block that are still to come
	// unpacked is the bytes of payloads so far.
	unpacked int64
	out      batch
	ids      batch // scratch of clip
}

// source is the handle that callers have; after Close it lets go of its state.
type source struct {
	*sourceState
	err error
}

// Source opens the rows of a series in a range; nil, nil if the file has no
// row of it there. Rows with FormDelete are delivered like others.
func (r *Reader) Source(key []byte, rg kv.Range) (kv.Source, error) {
	var e entry
	found, err := r.entry(key, &e)
	if err != nil || !found || e.maxID.Less(rg.From) || rg.To.Less(e.minID) {
		return nil, err
	}
	s, err := r.openSource(&e, rg, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// state returns recycled memory for a read of the series of an entry.
func (r *Reader) state(e *entry, rg kv.Range) *sourceState {
	s := r.states.Get().(*sourceState)
	s.r, s.rg, s.entry, s.window = r, rg, *e, window{}
	s.ahead, s.keyTags, s.unpacked = nil, false, 0
	return s
}

// openSource makes a source over the series of an entry.
func (r *Reader) openSource(e *entry, rg kv.Range, ahead *readAhead) (*source, error) {
	s := r.state(e, rg)
	s.ahead = ahead
	if err := s.cursor.start(r, e, &rg, ahead != nil); err != nil {
		r.states.Put(s)
		return nil, err
	}
	return &source{sourceState: s}, nil
}

// Next returns the next rows.
func (s *source) Next() (*kv.Rows, error) {
	if s.err != nil || s.sourceState == nil {
		return nil, s.err
	}
	for s.window.len() == 0 {
		ok, err := s.nextBlock()
		if err != nil {
			s.err = err
		}
		if !ok || err != nil {
			return nil, err
		}
	}
	if err := s.decodeNext(); err != nil {
		s.err = s.r.corrupt(s.entry.place(), err)
		return nil, s.err
	}
	return &s.out.rows, nil
}

// Close gives the memory back.
func (s *source) Close() {
	state := s.sourceState
	if state == nil {
		return
	}
	s.sourceState = nil
	if cap(state.buf)+cap(state.reader.unpacked) > 1<<20 {
		state.buf, state.reader.unpacked = nil, nil // a giant passed through
	}
	state.reader.payload, state.reader.exceptions.data, state.reader.ownSets = nil, nil, nil
	state.out.release()
	state.r.states.Put(state)
}

// nextBlock opens the next block and finds the rows of the range in it.
func (s *sourceState) nextBlock() (bool, error) {
	var ref blockRef
	if ok, err := s.cursor.next(&ref); !ok || err != nil {
		return false, err
	}
	if err := s.loadBlock(&ref); err != nil {
		return false, err
	}
	return true, nil
}

// loadBlock reads and opens a block.
func (s *sourceState) loadBlock(ref *blockRef) error {
	var err error
	if s.buf, err = s.ahead.fetch(s.r, ref.place, s.buf); err != nil {
		return err
	}
	s.reader.cached = cachedBlock{}
	if s.ahead == nil {
		s.reader.cached = s.r.cached(ref.place)
		s.reader.cached.look = s.unpacked > scanBypass
	}
	return s.r.corrupt(ref.place, s.openBlock(ref))
}

func (s *sourceState) openBlock(ref *blockRef) error {
	s.r.opened()
	d := &s.reader
	if err := d.open(s.buf, s.r.seed, s.r.tagSets, &s.r.decompressor); err != nil {
		return err
	}
	var err error
	if s.window, err = d.windowOf(&s.entry, ref); err != nil {
		return err
	}
	if ref.minID.Less(s.rg.From) || s.rg.To.Less(ref.maxID) {
		d.clip(&s.window, s.rg.From, s.rg.To, &s.ids)
	}
	if err := d.openValues(&s.r.decompressor, s.rg.KeysOnly); err != nil {
		return err
	}
	s.unpacked += int64(len(d.payload) + d.inflatedBytes)
	return nil
}

// windowOf returns the rows of the entry in the open block, after checking
// that block and index agree.
func (d *blockReader) windowOf(e *entry, ref *blockRef) (window, error) {
	b := &d.b
	if e.kind == entryPacked {
		w := window{run: e.run, start: e.firstRow, lo: e.firstRow, hi: e.firstRow + int(e.rows)}
		if !b.packed() || e.run >= b.series || w.hi > b.rows ||
			ref.minID.Time < b.minTime || ref.maxID.Time > b.maxTime {
			return window{}, fmt.Errorf("%w: not the packed block of its index entry", errBlock)
		}
		return w, nil
	}
	if b.packed() || ref.rows != b.rows || ref.minID.Time != b.minTime || ref.maxID.Time != b.maxTime {
		return window{}, fmt.Errorf("%w: not the block of its index entry", errBlock)
	}
	return window{hi: b.rows}, nil
}

// decodeNext decodes up to batchRows rows of the window, from its end for a
// reverse source.
func (s *sourceState) decodeNext() error {
	w := s.window
	switch {
	case s.reader.b.packed():
		s.window.lo = s.window.hi
	case s.rg.Reverse:
		w.lo = max(w.lo, (w.hi-1)&^(batchRows-1))
		s.window.hi = w.lo
	default:
		w.hi = min(w.hi, (w.lo|(batchRows-1))+1)
		s.window.lo = w.hi
	}
	if err := s.reader.decode(&s.out, &w, s.rg.KeysOnly); err != nil {
		return err
	}
	if s.keyTags && s.rg.KeysOnly {
		if err := s.reader.decodeTags(&s.out, &w); err != nil {
			return err
		}
	}
	if s.rg.Reverse {
		s.out.rows.Reverse()
	}
	return nil
}

// entry looks a series up.
func (r *Reader) entry(key []byte, e *entry) (found bool, err error) {
	q := r.queries.Get().(*query)
	found, err = q.find(r, key, e)
	r.queries.Put(q)
	return found, err
}
