package sstable

import (
	"bytes"
	"fmt"

	"tskv/kv"
)

// iterator walks the index in key order.
type iterator struct {
	r      *Reader
	from   []byte
	ahead  *readAhead // for own blocks; nil: through map and pread
	page   int        // next one
	data   []byte
	view   page
	off    int // next entry
	key    []byte
	entry  entry
	err    error
	source *source
	runs   runSource
	packed [2]packedBlock // the two last used: one numeric, one raw as a rule
	victim int
}

// packedBlock is a packed block, decoded as a whole.
type packedBlock struct {
	at     place
	buf    []byte
	reader blockReader
	out    batch
}

// Iterator walks all series from the first key >= from on. It reads as Source
// does; an error comes from Next.
func (r *Reader) Iterator(from []byte) kv.SeriesIterator {
	return &iterator{r: r, from: bytes.Clone(from), page: max(0, pageFor(r.pages, from))}
}

// StreamIterator walks all series for a compaction: it reads by pread with 1 MiB
// ahead, never through the map, and drops what it has read from the page cache.
func (r *Reader) StreamIterator() kv.SeriesIterator {
	return &iterator{r: r, ahead: &readAhead{end: r.footer.index.offset}}
}

// Next moves to the next series.
func (it *iterator) Next() ([]byte, error) {
	it.closeSource()
	for it.err == nil {
		if it.off >= len(it.view.entries) {
			if it.page >= len(it.r.pages) {
				return nil, nil
			}
			it.err = it.nextPage()
			continue
		}
		at := it.r.pages[it.page-1].place
		if it.err = it.r.corrupt(at, it.nextEntry()); it.err == nil && bytes.Compare(it.key, it.from) >= 0 {
			return it.key, nil
		}
	}
	return nil, it.err
}

func (it *iterator) nextPage() error {
	at := it.r.pages[it.page].place
	fetch := it.r.fetch
	if it.ahead != nil {
		fetch = it.r.direct
	}
	var err error
	if it.data, err = fetch(at, it.data); err != nil {
		return err
	}
	if err := it.view.parse(it.data, it.r.seed, true); err != nil {
		return it.r.corrupt(at, err)
	}
	it.page++
	it.off = 0
	return nil
}

func (it *iterator) nextEntry() error {
	var raw rawEntry
	first := it.off == 0
	off, err := it.view.at(it.off, &raw)
	if err != nil {
		return err
	}
	if raw.shared > len(it.key) || first && raw.shared != 0 || raw.shared+len(raw.rest) > kv.MaxKey {
		return fmt.Errorf("%w: key at %d", errIndex, it.off)
	}
	it.key = append(it.key[:raw.shared], raw.rest...)
	prev := &it.entry
	if first {
		prev = nil
	}
	if err := it.entry.parse(raw.body, it.r.footer.minTime, it.r.footer.index.offset, prev); err != nil {
		return err
	}
	it.off = off
	return nil
}

// Rows opens the rows of the current series.
func (it *iterator) Rows(rg kv.Range) (kv.Source, error) {
	if it.err != nil {
		return nil, it.err
	}
	it.closeSource()
	if it.entry.kind == entryPacked && !rg.Reverse {
		p, err := it.packedBlock()
		if err != nil {
			return nil, err
		}
		if err := it.runs.open(it, p, &rg); err != nil {
			return nil, it.r.corrupt(p.at, err)
		}
		return &it.runs, nil
	}
	s, err := it.r.openSource(&it.entry, rg, it.ahead)
	if err != nil {
		return nil, err
	}
	it.source = s
	return s, nil
}

// packedBlock returns the block of the current series, decoded.
func (it *iterator) packedBlock() (*packedBlock, error) {
	at := it.entry.place()
	for i := range it.packed {
		if it.packed[i].at == at {
			it.victim = 1 - i
			return &it.packed[i], nil
		}
	}
	p := &it.packed[it.victim]
	p.at = place{}
	fetch := it.r.fetch
	if it.ahead != nil {
		fetch = it.r.direct
	}
	var err error
	if p.buf, err = fetch(at, p.buf); err != nil {
		return nil, err
	}
	if err := p.decode(it.r); err != nil {
		return nil, it.r.corrupt(at, err)
	}
	p.at = at
	it.victim = 1 - it.victim
	return p, nil
}

func (p *packedBlock) decode(r *Reader) error {
	r.opened()
	d := &p.reader
	if err := d.open(p.buf, r.seed, r.tagSets, &r.decompressor); err != nil {
		return err
	}
	w, err := d.openRuns()
	if err != nil {
		return err
	}
	if err := d.openValues(&r.decompressor, false); err != nil {
		return err
	}
	return d.decode(&p.out, &w, false)
}

func (it *iterator) closeSource() {
	if it.source != nil {
		it.source.Close()
		it.source = nil
	}
	it.runs.Close()
}

// Close releases the iterator's memory, and for a stream the file's page cache.
func (it *iterator) Close() {
	it.closeSource()
	if it.ahead != nil && it.r != nil {
		it.r.file.DropCache(0, it.r.size)
	}
	*it = iterator{err: ErrClosed}
}

// runSource delivers the rows of one run of a decoded packed block at once.
type runSource struct {
	rows kv.Rows
	done bool
}

func (s *runSource) open(it *iterator, p *packedBlock, rg *kv.Range) error {
	e := &it.entry
	ref := blockRef{minID: e.minID, maxID: e.maxID}
	w, err := p.reader.windowOf(e, &ref)
	if err != nil {
		return err
	}
	if p.reader.runs[w.run] != uint64(w.len()) {
		return fmt.Errorf("%w: run %d has %d rows, indexed as %d", errBlock, w.run, p.reader.runs[w.run], w.len())
	}
	s.rows = p.out.rows.Slice(w.lo, w.hi)
	if e.minID.Less(rg.From) || rg.To.Less(e.maxID) {
		lo, hi := lowerBound(&s.rows, rg.From), w.len()
		if after, more := rg.To.Next(); more {
			hi = lowerBound(&s.rows, after)
		}
		s.rows = s.rows.Slice(lo, max(lo, hi))
	}
	if rg.KeysOnly {
		s.rows.Num, s.rows.Raw, s.rows.Tags = nil, nil, nil
	}
	s.dropEmpty()
	s.done = s.rows.Len() == 0
	return nil
}

// dropEmpty keeps the promise of kv.Rows that Raw and Tags are nil if unused.
func (s *runSource) dropEmpty() {
	used := false
	for _, f := range s.rows.Form {
		used = used || f == kv.FormRaw
	}
	if !used {
		s.rows.Raw = nil
	}
	used = false
	for _, t := range s.rows.Tags {
		used = used || t != nil
	}
	if !used {
		s.rows.Tags = nil
	}
}

// Next returns the run, then nil.
func (s *runSource) Next() (*kv.Rows, error) {
	if s.done {
		return nil, nil
	}
	s.done = true
	return &s.rows, nil
}

// Close ends the source.
func (s *runSource) Close() { s.done = true }
