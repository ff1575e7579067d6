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
	entryNext     = 0x20 // the run after that of the entry before, in the same packed block
	entrySameRows = 0x40 // as the entry before; only with entryNext
	entryFlags    = 0x7f
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

// follows reports whether e is the run after prev in the same packed block.
func (e *entry) follows(prev *entry) bool {
	return prev != nil && e.kind == entryPacked && prev.kind == entryPacked && e.place() == prev.place() &&
		e.run == prev.run+1 && e.firstRow == prev.firstRow+int(prev.rows)
}

// append encodes the entry; times are relative to base. prev is the entry before
// if this one may lean on it.
func (e *entry) append(dst []byte, base uint64, prev *entry) []byte {
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
	next := e.follows(prev)
	if next {
		flags |= entryNext
		if e.rows == prev.rows {
			flags |= entrySameRows
		}
	}
	dst = append(dst, flags)
	if flags&entrySameRows == 0 {
		dst = binary.AppendUvarint(dst, e.rows)
	}
	if e.deletes != 0 {
		dst = binary.AppendUvarint(dst, e.deletes)
	}
	if next {
		dst = binary.AppendVarint(dst, int64(e.minID.Time-prev.minID.Time))
		dst = binary.AppendVarint(dst, int64(e.duration()-prev.duration()))
	} else {
		dst = binary.AppendUvarint(dst, e.minID.Time-base)
		dst = binary.AppendUvarint(dst, e.duration())
	}
	if flags&entryHasSeq != 0 {
		dst = binary.AppendUvarint(dst, e.minID.Seq)
		dst = binary.AppendUvarint(dst, e.maxID.Seq)
	}
	if !next {
		dst = e.appendPlace(dst)
	}
	if e.tagBits != 0 {
		dst = appendUint64(dst, e.tagBits)
	}
	return dst
}

func (e *entry) appendPlace(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.offset)/8)
	dst = binary.AppendUvarint(dst, uint64(e.length))
	switch e.kind {
	case entryPacked:
		dst = binary.AppendUvarint(dst, uint64(e.run))
		dst = binary.AppendUvarint(dst, uint64(e.firstRow))
	case entryList:
		dst = binary.AppendUvarint(dst, e.blocks)
	}
	return dst
}

// duration is the time from the first row to the last.
func (e *entry) duration() uint64 { return e.maxID.Time - e.minID.Time }

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

// signed reads a number that may be negative.
func (f *fields) signed() uint64 {
	v := f.next()
	return v>>1 ^ -(v & 1)
}

// parse decodes a whole entry body; places must lie below dataEnd. prev is the
// entry before, nil if there is none to lean on; it may be e itself.
func (e *entry) parse(body []byte, base uint64, dataEnd int64, prev *entry) error {
	if len(body) == 0 || body[0]&^entryFlags != 0 {
		return fmt.Errorf("%w: entry", errIndex)
	}
	f := fields{b: body[1:]}
	flags := body[0]
	var n entry
	if flags&(entryNext|entrySameRows) == 0 {
		n = entry{kind: entryKind(flags & entryKindMask), rows: f.next()}
	} else if err := n.next(prev, flags, &f); err != nil {
		return err
	}
	if flags&entryDeletes != 0 {
		n.deletes = f.next()
	}
	if flags&entryNext != 0 {
		n.minID.Time = prev.minID.Time + f.signed()
		n.maxID.Time = n.minID.Time + prev.duration() + f.signed()
	} else {
		n.minID.Time = base + f.next()
		n.maxID.Time = n.minID.Time + f.next()
	}
	if flags&entryHasSeq != 0 {
		n.minID.Seq, n.maxID.Seq = f.next(), f.next()
	}
	if flags&entryNext == 0 {
		n.parsePlace(&f, dataEnd)
	}
	if flags&entryTags != 0 {
		n.tagBits = f.uint64()
	}
	switch {
	case f.bad, len(f.b) > 0, n.kind > entryList, n.rows == 0, n.deletes > n.rows, n.maxID.Less(n.minID), n.length == 0,
		n.kind == entryOwn && n.rows > maxBlockRows, n.kind == entryPacked && n.rows > maxBlockRows:
		return fmt.Errorf("%w: entry", errIndex)
	}
	*e = n
	return nil
}

// next begins the entry of the run after prev.
func (e *entry) next(prev *entry, flags byte, f *fields) error {
	if prev == nil || flags&entryNext == 0 || entryKind(flags&entryKindMask) != entryPacked || prev.kind != entryPacked {
		return fmt.Errorf("%w: entry leans on nothing", errIndex)
	}
	*e = entry{
		kind: entryPacked, rows: prev.rows, offset: prev.offset, length: prev.length,
		run: prev.run + 1, firstRow: prev.firstRow + int(prev.rows),
	}
	if flags&entrySameRows == 0 {
		e.rows = f.next()
	}
	if e.run >= maxPackedRun || e.firstRow >= maxBlockRows {
		return fmt.Errorf("%w: entry leans on the last run", errIndex)
	}
	return nil
}

func (e *entry) parsePlace(f *fields, dataEnd int64) {
	e.offset = int64(f.bounded(uint64(dataEnd)/8)) * 8
	e.length = int(f.bounded(uint64(dataEnd - e.offset)))
	switch e.kind {
	case entryPacked:
		e.run, e.firstRow = int(f.bounded(maxPackedRun-1)), int(f.bounded(maxBlockRows-1))
	case entryList:
		e.blocks = f.next()
	}
}
