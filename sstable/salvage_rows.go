package sstable

import (
	"bytes"
	"fmt"
	"sort"

	"tskv/kv"
)

// Iterator walks what still verifies, in key order; Rows gives all rows of a
// series that do, and takes no other range. What is left out is reported. There
// is one iterator per Salvage.
func (s *Salvage) Iterator() kv.SeriesIterator {
	return &salvageIterator{s: s, source: salvageSource{s: s}}
}

type salvageIterator struct {
	s      *Salvage
	page   int // next one
	data   []byte
	walk   pageWalk
	open   bool // walk is in a page
	ahead  bool // walk stands at a key that was not delivered
	run    int  // next of the recovered ones
	source salvageSource
}

// Next moves to the next series.
func (it *salvageIterator) Next() ([]byte, error) {
	it.source.Close()
	if !it.ahead {
		it.ahead = it.indexed()
	}
	s := it.s
	if it.run < len(s.runs) && (!it.ahead || bytes.Compare(s.runs[it.run].key, it.walk.key) <= 0) {
		r := &s.runs[it.run]
		it.run++
		it.source.start(r.key, &r.entry, true)
		return r.key, nil
	}
	if !it.ahead {
		return nil, nil
	}
	it.ahead = false
	it.source.start(it.walk.key, &it.walk.entry, false)
	return it.walk.key, nil
}

// indexed moves to the next entry of the pages; false at the end.
func (it *salvageIterator) indexed() bool {
	for {
		if it.open {
			if ok, err := it.walk.next(); ok && err == nil {
				return true
			}
			it.open = false
		}
		if it.page >= len(it.s.pages) {
			return false
		}
		p := &it.s.pages[it.page]
		it.page++
		var err error
		if it.data, err = it.s.r.direct(p.place, it.data); err == nil {
			it.walk.base, it.walk.end = it.s.r.footer.minTime, it.s.dataEnd(p.offset)
			err = it.walk.open(it.data, it.s.r.seed)
		}
		if it.open = err == nil; !it.open {
			it.s.lost(Lost{
				Offset: p.offset, Length: int64(p.length), Reason: "index page: " + reasonOf(err),
				MinKey: p.first, MaxKey: p.last, From: kv.MinID, To: kv.MaxID, Rows: -1,
			})
		}
	}
}

// Rows opens the current series.
func (it *salvageIterator) Rows(r kv.Range) (kv.Source, error) {
	if r != kv.Everything {
		panic("BUG: sstable: a salvage reads everything")
	}
	return &it.source, nil
}

// Close ends the iterator.
func (it *salvageIterator) Close() { it.source.Close() }

// salvageSource delivers the good blocks of one series.
type salvageSource struct {
	s       *Salvage
	key     []byte
	entry   entry
	guess   bool // the entry was made from a packed block, not read
	cursor  blockCursor
	partial bool // the lists are damaged: found stands for the cursor
	found   []place
	opened  bool
	done    bool
	count   uint64 // rows so far
	told    uint64 // rows that were reported as lost
	last    kv.ID
	buf     []byte
	at      place // of the block in buf, decoded
	reader  blockReader
	out     batch
	rows    kv.Rows
	kept    kv.Rows
}

func (s *salvageSource) start(key []byte, e *entry, guess bool) {
	s.key, s.entry, s.guess = key, *e, guess
	s.opened, s.done, s.count, s.told, s.partial = false, false, 0, 0, false
}

// Close ends the source.
func (s *salvageSource) Close() { s.done = true }

// Next returns the rows of the next good block, nil at the end.
func (s *salvageSource) Next() (*kv.Rows, error) {
	if !s.opened && !s.done {
		s.opened = true
		s.open()
	}
	for !s.done {
		var ref blockRef
		if !s.nextRef(&ref) {
			s.done = true
			break
		}
		if s.block(&ref) {
			return &s.rows, nil
		}
	}
	return nil, nil
}

// open finds the blocks. Where a list is damaged it goes on with those that were
// found; what is missing is reported at the end, when it is known how much that is.
func (s *salvageSource) open() {
	err := s.cursor.start(s.s.r, &s.entry, &kv.Everything, true)
	var x *extent
	if s.entry.kind == entryList {
		x = s.extent()
	}
	s.partial, s.found = err != nil || x != nil && x.damaged, nil
	if s.partial && x != nil {
		s.found = x.blocks
	}
}

// extent finds the series among those with own blocks.
func (s *salvageSource) extent() *extent {
	own := s.s.own
	i := sort.Search(len(own), func(i int) bool { return bytes.Compare(own[i].key, s.key) >= 0 })
	if i < len(own) && bytes.Equal(own[i].key, s.key) {
		return &own[i]
	}
	return nil
}

func (s *salvageSource) nextRef(ref *blockRef) bool {
	if s.partial {
		if len(s.found) > 0 {
			*ref = blockRef{place: s.found[0], minID: s.entry.minID, maxID: s.entry.maxID}
			s.found = s.found[1:]
			return true
		}
		s.missing()
		return false
	}
	ok, err := s.cursor.next(ref)
	if err != nil {
		s.partial, s.found = true, nil // a list that could be read before
		s.missing()
		return false
	}
	return ok
}

// missing reports what is lost of a series whose lists are damaged.
func (s *salvageSource) missing() {
	e := &s.entry
	l := Lost{
		Offset: e.offset, Length: int64(e.length), Reason: "a block list is damaged",
		Rows: int64(e.rows - min(e.rows, s.count+s.told)),
	}
	if l.Rows > 0 {
		l.MinKey, l.MaxKey, l.From, l.To = bytes.Clone(s.key), bytes.Clone(s.key), e.minID, e.maxID
	}
	s.s.lost(l)
}

// block decodes one block; false if it is lost.
func (s *salvageSource) block(ref *blockRef) bool {
	err := s.decode(ref)
	if err == nil && s.rows.Len() > 0 {
		first := s.rows.ID(0)
		if err = ascending(&s.rows); err == nil && s.count > 0 && !s.last.Less(first) {
			err = fmt.Errorf("%w: rows do not follow those before", errBlock)
		}
	}
	if err != nil {
		s.at = place{}
		rows := int64(ref.rows)
		if s.partial || s.guess {
			rows = -1
		}
		s.s.lost(Lost{
			Offset: ref.offset, Length: int64(ref.length), Reason: reasonOf(err),
			MinKey: bytes.Clone(s.key), MaxKey: bytes.Clone(s.key), From: ref.minID, To: ref.maxID, Rows: rows,
		})
		return false
	}
	if s.rows.Len() == 0 {
		return false
	}
	s.last = s.rows.ID(s.rows.Len() - 1)
	s.count += uint64(s.rows.Len())
	return true
}

func ascending(rows *kv.Rows) error {
	if err := checkAscending(rows); err != nil {
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	return nil
}

// decode reads the rows of a block, for a packed one those of the series.
func (s *salvageSource) decode(ref *blockRef) error {
	r, d := s.s.r, &s.reader
	packed := s.entry.kind == entryPacked
	if s.at != ref.place || !packed {
		s.at = place{}
		var err error
		if s.buf, err = r.direct(ref.place, s.buf); err != nil {
			return err
		}
		if err := d.open(s.buf, r.seed, r.tagSets, &r.decompressor); err != nil {
			return err
		}
		if d.b.packed() != packed {
			return fmt.Errorf("%w: not the block of its index entry", errBlock)
		}
		w := window{hi: d.b.rows}
		if packed {
			if w, err = d.openRuns(); err != nil {
				return err
			}
		}
		if err := d.openValues(&r.decompressor, false); err != nil {
			return err
		}
		if err := s.values(&w); err != nil {
			return err
		}
		s.at = ref.place
	}
	return s.cut(ref)
}

// cut takes the rows of the entry from the decoded block.
func (s *salvageSource) cut(ref *blockRef) error {
	d := &s.reader
	w := window{hi: d.b.rows}
	if !s.partial {
		var err error
		if w, err = d.windowOf(&s.entry, ref); err != nil {
			return err
		}
	}
	if s.entry.kind == entryPacked && (w.run >= len(d.runs) || d.runs[w.run] != uint64(w.len())) {
		return fmt.Errorf("%w: not the run of its index entry", errBlock)
	}
	s.rows = s.out.rows.Slice(w.lo, w.hi)
	if s.partial && (s.rows.ID(0).Less(s.entry.minID) || s.entry.maxID.Less(s.rows.ID(w.len()-1))) {
		return fmt.Errorf("%w: rows outside the bounds of the series", errBlock)
	}
	return s.withoutLostTags(ref)
}

// values decodes the whole block. Rows whose tags are in the file's dictionary,
// which is damaged, keep no tags here; withoutLostTags leaves them out.
func (s *salvageSource) values(w *window) error {
	d := &s.reader
	if len(d.fileSets) > 0 || !d.b.has(colTags) {
		return d.decode(&s.out, w, false)
	}
	present := d.b.present
	d.b.present &^= 1 << colTags
	err := d.decode(&s.out, w, false)
	d.b.present = present
	if err != nil {
		return err
	}
	tags := make([]kv.TagSet, w.len())
	var numbers []uint64
	numbers, s.out.tag = d.column(s.out.tag, &d.tags, nil, w)
	for i, v := range numbers {
		tags[i], _ = d.tagSet(v)
	}
	s.out.rows.Tags = tags
	return nil
}

// withoutLostTags leaves out the rows whose tags are lost: a row without its tags
// would be another one.
func (s *salvageSource) withoutLostTags(ref *blockRef) error {
	d := &s.reader
	if len(d.fileSets) > 0 || !d.b.has(colTags) {
		return nil
	}
	w := window{lo: 0, hi: d.b.rows}
	if s.entry.kind == entryPacked {
		w.lo, w.hi = s.entry.firstRow, s.entry.firstRow+int(s.entry.rows)
	}
	var numbers []uint64
	numbers, s.out.tag = d.column(s.out.tag, &d.tags, nil, &w)
	s.kept.Reset()
	for i, v := range numbers {
		if _, ok := d.tagSet(v); ok {
			s.kept.AppendRows(&s.rows, i, i+1)
		}
	}
	if n := s.rows.Len() - s.kept.Len(); n > 0 {
		s.told += uint64(n)
		s.s.lost(Lost{
			Offset: ref.offset, Length: int64(ref.length), Reason: "the tags of rows are in the file's tag sets, which are damaged",
			MinKey: bytes.Clone(s.key), MaxKey: bytes.Clone(s.key), From: s.rows.ID(0), To: s.rows.ID(s.rows.Len() - 1), Rows: int64(n),
		})
	}
	s.rows = s.kept
	return nil
}
