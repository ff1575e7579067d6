package sstable

import (
	"bytes"
	"encoding/binary"
	"sort"

	"tskv/kv"
)

// extent is where the blocks of a series with blocks of its own lie: one after
// the other, and after them the lists. Series are written one by one, in key order.
type extent struct {
	offset, end int64 // offset is not known if the lists are damaged
	key         []byte
	page        int // number of the index page
	blocks      []place
	damaged     bool // the lists are: blocks are those that were found
}

// recoveredRun is a run of a packed block whose key no index page has.
type recoveredRun struct {
	key   []byte
	entry entry
}

// complete looks, if pages or block lists are damaged, through the blocks for
// what belongs to them.
func (s *Salvage) complete() {
	walk := !s.whole
	for i := range s.pages {
		walk = s.extents(&s.pages[i]) || walk
	}
	if !walk {
		return
	}
	s.walk()
	sort.SliceStable(s.runs, func(i, j int) bool { return bytes.Compare(s.runs[i].key, s.runs[j].key) < 0 })
}

// walk goes over all blocks but those of series whose lists are good.
func (s *Salvage) walk() {
	end := s.r.footer.index.offset
	missing, owner := int64(-1), 0 // bytes that are no block, and the extent that follows
	for p := int64(headerSize); p < end; {
		i := sort.Search(len(s.own), func(i int) bool { return s.own[i].end > p })
		if missing >= 0 && i != owner {
			s.unreadable(missing, p, owner)
			missing, owner = p, i
		}
		n := s.skip(p, i)
		if n == 0 {
			if n = s.itemAt(p, end); n > 0 {
				s.found(p, int(n), i)
			}
		}
		if n == 0 {
			n = s.damagedPacked(p)
		}
		switch {
		case n > 0:
			s.unreadable(missing, p, i)
			missing, p = -1, (p+n+7)&^7
		case missing < 0:
			missing, owner = p, i
			p += 8
		default:
			p += 8
		}
	}
	s.unreadable(missing, end, owner)
}

// skip returns how much to pass over at p: the blocks of extent i.
func (s *Salvage) skip(p int64, i int) int64 {
	if i < len(s.own) && !s.own[i].damaged && s.own[i].offset <= p {
		return s.own[i].end - p
	}
	return 0
}

// damagedPacked returns the length of a damaged block at p whose place is known
// from the runs that the index has. These are reported one by one; others may
// have been in it.
func (s *Salvage) damagedPacked(p int64) int64 {
	n := int64(s.packed[p])
	if n > 0 && !s.whole {
		s.lost(Lost{
			Offset: p, Length: n, Reason: "a packed block, and the index page of some of its keys is damaged",
			MinKey: s.r.props.MinKey, MaxKey: s.r.props.MaxKey, From: kv.MinID, To: kv.MaxID, Rows: -1,
		})
	}
	return n
}

// extents collects what the entries of a page say of own and packed blocks; it
// reports whether a list is damaged.
func (s *Salvage) extents(p *indexPage) (damaged bool) {
	data, err := s.r.direct(p.place, nil)
	w := pageWalk{base: s.r.footer.minTime, end: s.dataEnd(p.offset)}
	if err != nil || w.open(data, s.r.seed) != nil {
		return false // it was read before: the disk has failed meanwhile, and Next will say so
	}
	for {
		ok, err := w.next()
		if !ok || err != nil {
			return damaged
		}
		e := &w.entry
		if e.kind == entryPacked {
			s.packed[e.offset] = e.length
			continue
		}
		x := extent{offset: e.offset, end: e.offset + int64(e.length), key: bytes.Clone(w.key), page: p.number}
		if e.kind == entryList {
			first, ok := s.firstBlock(e)
			x.offset, x.damaged = first, !ok
			damaged = damaged || !ok
		}
		s.own = append(s.own, x)
	}
}

// firstBlock reads all lists of a series; false if one is damaged.
func (s *Salvage) firstBlock(e *entry) (offset int64, ok bool) {
	var c blockCursor
	if c.start(s.r, e, &kv.Everything, true) != nil {
		return 0, false
	}
	var ref blockRef
	offset = -1
	for {
		more, err := c.next(&ref)
		if err != nil {
			return 0, false
		}
		if !more {
			return offset, offset >= 0
		}
		if offset < 0 {
			offset = ref.offset
		}
	}
}

// itemAt returns the length of the block or block list at p, 0 if none verifies
// there. Its bytes are in s.buf.
func (s *Salvage) itemAt(p, end int64) int64 {
	if end-p < blockHeaderSize {
		return 0
	}
	h, err := s.read(place{p, blockHeaderSize})
	if err != nil {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(h[4:]))
	kind, rows, series := h[8], binary.LittleEndian.Uint16(h[12:]), binary.LittleEndian.Uint16(h[14:])
	if kind >= kindNumeric && kind <= kindPackedRaw && h[9] <= scaleUnaligned && h[10] <= maxColumns && h[11] <= kv.MaxScale &&
		rows > 0 && rows <= maxBlockRows && series > 0 && series <= maxPackedRun && load64(h, 16) <= load64(h, 24) &&
		n >= blockHeaderSize+loadPad && n <= min(maxBlockBytes, end-p) && s.afford(n) {
		data, err := s.read(place{p, int(n)})
		var b block
		if err == nil && b.parse(data, s.r.seed) == nil {
			s.budget += n
			return n
		}
		return 0
	}
	n = listHeaderSize + n*listRecordSize + 8
	if (h[0] == listLeaf || h[0] == listRoot) && h[1]|h[2]|h[3] == 0 && load64(h, 8) == 0 && n <= min(1<<30, end-p) && s.afford(n) {
		data, err := s.read(place{p, int(n)})
		var l blockList
		if err == nil && l.parse(data, s.r.seed, end) == nil {
			s.budget += n
			return n
		}
	}
	return 0
}

// afford pays for a checksum over n bytes: whoever stores values may have laid
// them out as the headers of endless blocks.
func (s *Salvage) afford(n int64) bool {
	if n > 64<<10 && n > s.budget {
		return false
	}
	s.budget -= n
	return true
}

// found takes what a good block at p has to tell; next is the first extent that
// ends behind it.
func (s *Salvage) found(p int64, n, next int) {
	at := place{p, n}
	var b block
	if s.buf[8] < kindNumeric || b.parse(s.buf, s.r.seed) != nil {
		return // a list
	}
	if b.packed() {
		if !s.whole {
			s.recover(at)
		}
		return
	}
	if next < len(s.own) && s.own[next].damaged && s.neighbours(next) {
		s.own[next].blocks = append(s.own[next].blocks, at)
		return
	}
	lo, hi := s.between(next)
	s.lost(Lost{
		Offset: p, Length: int64(n), Reason: "a block whose key is not known, because its index page is damaged",
		MinKey: lo, MaxKey: hi, From: kv.ID{Time: b.minTime}, To: kv.ID{Time: b.maxTime, Seq: kv.MaxID.Seq}, Rows: int64(b.rows),
	})
}

// neighbours reports whether no series can lie between extent i and the one
// before: no page is missing there. Then all blocks between are those of i, since
// the lists of a series follow its blocks.
func (s *Salvage) neighbours(i int) bool {
	before := 0
	if s.pages[0].number > 0 { // the first page is missing
		before = -1
	}
	if i > 0 {
		before = s.own[i-1].page
	}
	for n := before; n < s.own[i].page; n++ {
		next := sort.Search(len(s.pages), func(k int) bool { return s.pages[k].number > n })
		if next == len(s.pages) || s.pages[next].number != n+1 {
			return false
		}
	}
	return before >= 0
}

// between returns the keys around what lies before extent i and has no index:
// those of its neighbours, or of the file.
func (s *Salvage) between(i int) (lo, hi []byte) {
	lo, hi = s.r.props.MinKey, s.r.props.MaxKey
	if i > 0 && i <= len(s.own) {
		lo = s.own[i-1].key
	}
	if i < len(s.own) {
		hi = s.own[i].key
	}
	return lo, hi
}

// unreadable reports bytes that are no block: -1 for none.
func (s *Salvage) unreadable(from, to int64, next int) {
	if from < 0 || from >= to {
		return
	}
	if next < len(s.own) && s.own[next].damaged && s.neighbours(next) {
		return // reported with the series
	}
	lo, hi := s.between(next)
	s.lost(Lost{
		Offset: from, Length: to - from, Reason: "no block can be read here",
		MinKey: lo, MaxKey: hi, From: kv.MinID, To: kv.MaxID, Rows: -1,
	})
}

// recover takes the runs of a packed block whose keys no page has.
func (s *Salvage) recover(at place) {
	d := &s.reader
	if d.open(s.buf, s.r.seed, s.r.tagSets, &s.r.decompressor) != nil {
		return // the checksum is right: a bug wrote it, and Rows will say so
	}
	if _, err := d.openRuns(); err != nil || d.openKeys() != nil {
		return
	}
	f := fields{b: d.keys}
	var key []byte
	row := 0
	for i, rows := range d.runs {
		shared := int(f.bounded(uint64(len(key))))
		key = append(key[:shared:shared], f.bytes(kv.MaxKey)...)
		if f.bad || len(key) > kv.MaxKey {
			return
		}
		if !s.indexed(key) {
			s.runs = append(s.runs, recoveredRun{key, entry{
				kind: entryPacked, rows: rows, offset: at.offset, length: at.length, run: i, firstRow: row,
				minID: kv.ID{Time: d.b.minTime}, maxID: kv.ID{Time: d.b.maxTime, Seq: kv.MaxID.Seq},
			}})
		}
		row += int(rows)
	}
}

// indexed reports whether a page that was read would have the key.
func (s *Salvage) indexed(key []byte) bool {
	i := sort.Search(len(s.pages), func(i int) bool { return bytes.Compare(s.pages[i].last, key) >= 0 })
	return i < len(s.pages) && bytes.Compare(s.pages[i].first, key) <= 0
}
