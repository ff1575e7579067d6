package sstable

import (
	"encoding/binary"
	"fmt"
	"sort"

	"tskv/disk"
	"tskv/kv"
)

// indexBuilder keeps the entries of all series until the places of the packed
// blocks are known: a key's length, the key, its entry with absolute times.
type indexBuilder struct {
	arena []byte
	body  []byte
}

func (b *indexBuilder) add(key []byte, e *entry) {
	b.body = e.append(b.body[:0], 0, nil)
	b.arena = binary.AppendUvarint(b.arena, uint64(len(key)))
	b.arena = append(b.arena, key...)
	b.arena = append(b.arena, byte(len(b.body)))
	b.arena = append(b.arena, b.body...)
}

// all calls fn with every entry in key order.
func (b *indexBuilder) all(fn func(key []byte, e *entry) error) error {
	f := fields{b: b.arena}
	var e entry
	for len(f.b) > 0 {
		key := f.bytes(kv.MaxKey)
		n := int(f.b[0])
		if err := e.parse(f.b[1:1+n], 0, 1<<62, nil); err != nil {
			panic("BUG: sstable: own index entry: " + err.Error())
		}
		f.b = f.b[1+n:]
		if err := fn(key, &e); err != nil {
			return err
		}
	}
	return nil
}

// listBuilder collects the block list of the open series.
type listBuilder struct {
	records []byte // of the leaf under construction
	roots   []byte
	leafRef blockRef
	count   int
	out     []byte
}

func (l *listBuilder) reset() { l.records, l.roots, l.count = l.records[:0], l.roots[:0], 0 }

// add appends a block; it returns the leaf to write once that is full.
func (l *listBuilder) add(ref *blockRef, seed uint32) []byte {
	if len(l.records) == 0 {
		l.leafRef = blockRef{minID: ref.minID, before: ref.before}
	}
	l.leafRef.maxID = ref.maxID
	l.leafRef.tagBits |= ref.tagBits
	l.leafRef.blocks++
	l.records = ref.append(l.records, false)
	if l.leafRef.blocks < maxLeafRecords {
		return nil
	}
	return l.leaf(seed)
}

// leaf returns the section of the records at hand, nil if there are none.
func (l *listBuilder) leaf(seed uint32) []byte {
	if len(l.records) == 0 {
		return nil
	}
	l.out = finishList(l.out[:0], listLeaf, l.records, seed)
	return l.out
}

// written notes where the leaf went.
func (l *listBuilder) written(at place) {
	l.leafRef.place = at
	l.roots = l.leafRef.append(l.roots, true)
	l.records = l.records[:0]
	l.count++
}

// root returns the section over all leaves, or nil and the place of the only one.
func (l *listBuilder) root(seed uint32) ([]byte, place) {
	if l.count == 1 {
		return nil, l.leafRef.place
	}
	l.out = finishList(l.out[:0], listRoot, l.roots, seed)
	return l.out, place{}
}

// pageRef is an entry of the top index.
type pageRef struct {
	place
	first []byte // key of the page's first entry
}

func appendTop(dst []byte, pages []pageRef, seed uint32) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(pages)))
	for i := range pages {
		p := &pages[i]
		dst = binary.AppendUvarint(dst, uint64(len(p.first)))
		dst = append(dst, p.first...)
		dst = appendUint64(dst, uint64(p.offset))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(p.length))
	}
	return binary.LittleEndian.AppendUint32(dst, disk.CRC(seed, dst[start:]))
}

// parseTop decodes a verified top index; the keys are copies. Every page must
// lie in pages.
func parseTop(b []byte, pages place) ([]pageRef, error) {
	b = append([]byte(nil), b...)
	f := fields{b: b}
	n := int64(f.uint32())
	if f.bad || n > int64(len(b)/14) {
		return nil, fmt.Errorf("%w: top index of %d pages", errIndex, n)
	}
	refs := make([]pageRef, n)
	end := pages.offset
	for i := range refs {
		r := &refs[i]
		r.first = f.bytes(kv.MaxKey)
		r.offset, r.length = int64(f.uint64()), int(f.uint32())
		if f.bad || r.offset < end || r.offset+int64(r.length) > pages.offset+int64(pages.length) ||
			r.length == 0 || i > 0 && string(r.first) <= string(refs[i-1].first) {
			return nil, fmt.Errorf("%w: page %d of the top index", errIndex, i)
		}
		end = r.offset + int64(r.length)
	}
	if len(f.b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the top index", errIndex, len(f.b))
	}
	return refs, nil
}

// pageFor returns the page that may hold key, -1 if it lies before all.
func pageFor(pages []pageRef, key []byte) int {
	return sort.Search(len(pages), func(i int) bool { return string(pages[i].first) > string(key) }) - 1
}
