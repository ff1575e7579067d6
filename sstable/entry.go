package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/kv"
)

var errIndex = errors.New("malformed index")

// entryKind says where the rows of a series are.
type entryKind uint8

const (
	entryOwn    entryKind = 0 // one block of its own
	entryPacked entryKind = 1 // a run of a packed block
	entryList   entryKind = 2 // a block list
)

const (
	entryKindMask = 0x03
	entryHasSeq   = 0x04
	entryDeletes  = 0x08
	entryTags     = 0x10
)

// entry is what the index says of a series.
type entry struct {
	kind          entryKind
	rows, deletes uint64
	minID, maxID  kv.ID
	offset        int64 // of the block or list; 8-aligned
	length        int
	run, firstRow int    // packed
	blocks        uint64 // list
	tagBits       uint64
}

// place is where a section lies.
type place struct {
	offset int64
	length int
}

func (e *entry) place() place { return place{e.offset, e.length} }

// append encodes the entry; times are relative to base.
func (e *entry) append(dst []byte, base uint64) []byte {
	flags := byte(e.kind)
	if e.minID.Seq|e.maxID.Seq != 0 {
		flags |= entryHasSeq
	}
	if e.deletes != 0 {
		flags |= entryDeletes
	}
	if e.tagBits != 0 {
		flags |= entryTags
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, e.rows)
	if e.deletes != 0 {
		dst = binary.AppendUvarint(dst, e.deletes)
	}
	dst = binary.AppendUvarint(dst, e.minID.Time-base)
	dst = binary.AppendUvarint(dst, e.maxID.Time-e.minID.Time)
	if flags&entryHasSeq != 0 {
		dst = binary.AppendUvarint(dst, e.minID.Seq)
		dst = binary.AppendUvarint(dst, e.maxID.Seq)
	}
	dst = binary.AppendUvarint(dst, uint64(e.offset)/8)
	dst = binary.AppendUvarint(dst, uint64(e.length))
	switch e.kind {
	case entryPacked:
		dst = binary.AppendUvarint(dst, uint64(e.run))
		dst = binary.AppendUvarint(dst, uint64(e.firstRow))
	case entryList:
		dst = binary.AppendUvarint(dst, e.blocks)
	}
	if e.tagBits != 0 {
		dst = appendUint64(dst, e.tagBits)
	}
	return dst
}

// fields reads unsigned numbers one after the other and remembers a failure.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) next() uint64 {
	if len(f.b) > 0 && f.b[0] < 0x80 {
		v := f.b[0]
		f.b = f.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.bad, f.b = true, nil
		return 0
	}
	f.b = f.b[n:]
	return v
}

// bounded is next for a number of at most limit.
func (f *fields) bounded(limit uint64) uint64 {
	v := f.next()
	if v > limit {
		f.bad = true
		return 0
	}
	return v
}

// bytes reads a length of at most limit and as many bytes.
func (f *fields) bytes(limit int) []byte {
	n := int(f.bounded(uint64(limit)))
	if n > len(f.b) {
		f.bad = true
		return nil
	}
	p := f.b[:n:n]
	f.b = f.b[n:]
	return p
}

// uint32 and uint64 read fixed numbers.
func (f *fields) uint32() uint32 {
	if len(f.b) < 4 {
		f.bad, f.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) uint64() uint64 {
	if len(f.b) < 8 {
		f.bad, f.b = true, nil
		return 0
	}
	v := load64(f.b, 0)
	f.b = f.b[8:]
	return v
}

// parse decodes a whole entry body; places must lie below dataEnd.
func (e *entry) parse(body []byte, base uint64, dataEnd int64) error {
	if len(body) == 0 {
		return errIndex
	}
	f := fields{b: body[1:]}
	flags := body[0]
	*e = entry{kind: entryKind(flags & entryKindMask), rows: f.next()}
	if flags&entryDeletes != 0 {
		e.deletes = f.next()
	}
	e.minID.Time = base + f.next()
	e.maxID.Time = e.minID.Time + f.next()
	if flags&entryHasSeq != 0 {
		e.minID.Seq, e.maxID.Seq = f.next(), f.next()
	}
	e.offset = int64(f.bounded(uint64(dataEnd)/8)) * 8
	e.length = int(f.bounded(uint64(dataEnd - e.offset)))
	switch e.kind {
	case entryPacked:
		e.run, e.firstRow = int(f.bounded(maxPackedRun-1)), int(f.bounded(maxBlockRows-1))
	case entryList:
		e.blocks = f.next()
	}
	if flags&entryTags != 0 {
		e.tagBits = f.uint64()
	}
	switch {
	case f.bad, len(f.b) > 0, e.kind > entryList, flags&^(entryKindMask|entryHasSeq|entryDeletes|entryTags) != 0,
		e.rows == 0, e.deletes > e.rows, e.maxID.Less(e.minID), e.length == 0,
		e.kind == entryOwn && e.rows > maxBlockRows, e.kind == entryPacked && e.rows > maxBlockRows:
		return fmt.Errorf("%w: entry", errIndex)
	}
	return nil
}
