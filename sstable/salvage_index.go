package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// index finds the pages of a file whose footer is good.
func (s *Salvage) index() {
	f := &s.r.footer
	s.whole = true
	b, err := s.r.verifiedSection(f.top, "top index")
	var refs []pageRef
	if err == nil {
		refs, err = parseTop(b, f.index)
	}
	if err != nil {
		s.nothing(f.top.offset, int64(f.top.length), "top index: "+reasonOf(err))
		s.carve(f.index.offset, f.index.offset+int64(f.index.length), false)
		return
	}
	for i := range refs {
		at := refs[i].place
		data, err := s.read(at)
		var p indexPage
		if err == nil {
			p, err = s.parsePage(data, at)
		}
		if err == nil && !bytes.Equal(p.first, refs[i].first) {
			err = fmt.Errorf("%w: not the page of its entry in the top index", errIndex)
		}
		if err != nil {
			s.whole = false
			s.nothing(at.offset, int64(at.length), "index page: "+reasonOf(err))
			continue
		}
		p.number = i
		s.addPage(p)
	}
}

// parsePage verifies a whole page with all its entries.
func (s *Salvage) parsePage(data []byte, at place) (indexPage, error) {
	w := pageWalk{base: s.r.footer.minTime, end: s.dataEnd(at.offset)}
	p := indexPage{place: at}
	if err := w.open(data, s.r.seed); err != nil {
		return p, err
	}
	for {
		ok, err := w.next()
		if err != nil {
			return p, err
		}
		if !ok {
			p.last = bytes.Clone(w.key)
			return p, nil
		}
		if p.first == nil {
			p.first = bytes.Clone(w.key)
		}
	}
}

// dataEnd is where the blocks end: at the index, or before the first page.
func (s *Salvage) dataEnd(page int64) int64 {
	if s.r.footer.index.offset > 0 {
		return s.r.footer.index.offset
	}
	return page
}

// pageWalk walks the entries of one page.
type pageWalk struct {
	view  page
	off   int
	base  uint64 // of the times
	end   int64  // of the blocks
	key   []byte
	entry entry
}

func (w *pageWalk) open(data []byte, seed uint32) error {
	w.off, w.key = 0, w.key[:0]
	return w.view.parse(data, seed, true)
}

// next moves to the next entry; false at the end.
func (w *pageWalk) next() (bool, error) {
	if w.off >= len(w.view.entries) {
		return false, nil
	}
	var raw rawEntry
	first := w.off == 0
	off, err := w.view.at(w.off, &raw)
	if err != nil {
		return false, err
	}
	if raw.shared > len(w.key) || first && raw.shared != 0 || raw.shared+len(raw.rest) > kv.MaxKey ||
		!first && bytes.Compare(raw.rest, w.key[raw.shared:]) <= 0 {
		return false, fmt.Errorf("%w: key at %d", errIndex, w.off)
	}
	w.key = append(w.key[:raw.shared], raw.rest...)
	w.off = off
	prev := &w.entry
	if first {
		prev = nil
	}
	return true, w.entry.parse(raw.body, w.base, w.end, prev)
}

// carvedPage is how long a page that is looked for may be. A page is longer
// only for a key of nearly its size.
const carvedPage = maxPageSize

// carve looks for pages from one offset to another, without the top index. With
// sections it ends at the top index, if that can be read, and reads the tag sets
// behind it.
func (s *Salvage) carve(from, to int64, sections bool) {
	number := -1
	missing := int64(-1) // where bytes begin that are no page
	for p := from; p < to; {
		page, ok := s.pageAt(p, to)
		if !ok && sections {
			if n := s.topAt(p); n > 0 {
				s.tagsAt((p + n + 7) &^ 7)
				to = p
				break
			}
		}
		if !ok {
			if missing < 0 {
				missing = p
			}
			p += 8
			continue
		}
		number++
		if missing >= 0 {
			s.gap(missing, p)
			missing, number = -1, number+1
		}
		page.number = number
		s.addPage(page)
		p = (page.offset + int64(page.length) + 7) &^ 7
	}
	if missing >= 0 {
		s.gap(missing, to)
	}
}

// addPage takes a page unless its keys do not follow those before: whoever made
// such a file is not to be helped, but must not break what reads it.
func (s *Salvage) addPage(p indexPage) {
	if n := len(s.pages); n > 0 && bytes.Compare(s.pages[n-1].last, p.first) >= 0 {
		s.whole = false
		s.nothing(p.offset, int64(p.length), "index page: its keys do not follow those before")
		return
	}
	s.pages = append(s.pages, p)
}

func (s *Salvage) gap(from, to int64) {
	s.whole = false
	s.nothing(from, to-from, "no page of the index can be read here")
}

// pageAt looks for a page that begins at p: its length is where the checksum
// of all before comes up.
func (s *Salvage) pageAt(p, to int64) (indexPage, bool) {
	for _, limit := range [...]int64{carvedPage, carvedPage + 2*kv.MaxKey} {
		n := min(limit, to-p)
		b, err := s.read(place{p, int(n)})
		if err != nil || n < 8 || b[0] != 0 || b[1] == 0 { // the first key shares nothing
			return indexPage{}, false
		}
		if rest, _ := binary.Uvarint(b[1:]); limit > carvedPage && rest < carvedPage/2 {
			return indexPage{}, false
		}
		sum := disk.CRC(s.r.seed, b[:4])
		for end := 4; end+4 <= len(b); end++ {
			if sum == binary.LittleEndian.Uint32(b[end:]) {
				at := place{p, end + 4}
				if page, err := s.parsePage(b[:end+4], at); err == nil {
					return page, true
				}
			}
			sum = disk.CRC(sum, b[end:end+1])
		}
	}
	return indexPage{}, false
}

// withoutFooter finds index and tag sets behind the blocks. base says that the
// lowest time of the file is known.
func (s *Salvage) withoutFooter(base bool) error {
	s.whole = true
	blocks, page := s.firstPage()
	s.r.footer.index.offset = page
	s.carve(blocks, s.r.size, true)
	if !base && !s.findBase() {
		s.pages, s.whole = nil, false // what is packed has its keys
	}
	s.complete()
	return nil
}

// firstPage returns where the blocks that can be read end, and the offset of the
// first page: the same unless what is between is damaged.
func (s *Salvage) firstPage() (blocks, page int64) {
	blocks = headerSize
	for page = blocks; page < s.r.size; {
		if n := s.itemAt(page, s.r.size); n > 0 {
			page = (page + n + 7) &^ 7
			blocks = page
			continue
		}
		if _, ok := s.pageAt(page, s.r.size); ok {
			return blocks, page
		}
		page += 8
	}
	return blocks, s.r.size
}

// topAt returns the length of the top index at p, 0 if there is none.
func (s *Salvage) topAt(p int64) int64 { return s.delimited(p, kv.MaxKey, 12) }

// tagsAt reads the tag sets at p.
func (s *Salvage) tagsAt(p int64) {
	n := s.delimited(p, kv.MaxTagSet, 0)
	if n > 0 {
		if b, err := s.read(place{p, int(n) - 4}); err == nil {
			s.r.tagSets, err = parseTagSets(b)
			if err == nil {
				return
			}
		}
	}
	s.nothing(p, 8, "the tag sets cannot be read")
}

// delimited returns the length of a verified section of a count and as many
// records, each of a uvarint, as many bytes and more bytes; 0 if there is none.
func (s *Salvage) delimited(p int64, limit uint64, more int) int64 {
	for size := int64(512); ; size *= 8 {
		n := min(size, s.r.size-p)
		if n < 8 {
			return 0
		}
		b, err := s.read(place{p, int(n)})
		if err != nil {
			return 0
		}
		at := 4
		short := false
		for range binary.LittleEndian.Uint32(b) {
			length, used := binary.Uvarint(b[at:])
			if used < 0 || used > 0 && length > limit {
				return 0
			}
			if short = used == 0 || at+used+int(length)+more+4 > len(b); short {
				break
			}
			at += used + int(length) + more
		}
		switch {
		case short && n == s.r.size-p:
			return 0
		case short:
			continue
		case disk.CRC(s.r.seed, b[:at]) != binary.LittleEndian.Uint32(b[at:]):
			return 0
		}
		return int64(at) + 4
	}
}

// findBase finds the lowest time of the file from a block that the index names:
// entries have times relative to it.
func (s *Salvage) findBase() bool {
	for _, p := range s.pages {
		data, err := s.r.direct(p.place, nil)
		if err != nil {
			continue
		}
		w := pageWalk{end: s.dataEnd(p.offset)}
		if w.open(data, s.r.seed) != nil {
			continue
		}
		for {
			ok, err := w.next()
			if !ok || err != nil {
				break
			}
			if w.entry.kind != entryOwn {
				continue
			}
			if n := s.itemAt(w.entry.offset, s.dataEnd(p.offset)); n == int64(w.entry.length) {
				s.r.footer.minTime = load64(s.buf, 16) - w.entry.minID.Time
				return true
			}
		}
	}
	return false
}
