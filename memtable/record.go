package memtable

import (
	"encoding/binary"
	"fmt"
	"math"

	"tskv/kv"
)

// record is one version of a row: 32 bytes without a pointer.
//
//	time u64 | idSeq u64 | value u64 | delta u32 | flags u32
//	delta: sequence of the write minus the table's base sequence
//	flags: bits 0-4 code, bits 5-31 length of the raw bytes (<= 2^27-1)
//
//	code               value           at the reference
//	0..18 decimal      mantissa        -
//	codeDecimalTags    slab reference  tagLen u16, tags, scale u8, mantissa u64
//	codeRaw            slab reference  raw
//	codeRawTags        slab reference  tagLen u16, tags, raw
//	codeDelete         0               -
//
// A slab reference is slab<<32 | offset. Integers in slabs are little-endian.
type record struct {
	time, idSeq, value uint64
	delta, flags       uint32
}

const (
	recordBytes = 32

	codeDecimalTags = 19
	codeRaw         = 20
	codeRawTags     = 21
	codeDelete      = 22

	codeBits = 5
	codeMask = 1<<codeBits - 1
	maxRaw   = 1<<(32-codeBits) - 1
)

func (r *record) id() kv.ID    { return kv.ID{Time: r.time, Seq: r.idSeq} }
func (r *record) code() uint32 { return r.flags & codeMask }

// above reports whether the record's ID is higher than id.
func (r *record) above(id kv.ID) bool {
	return r.time > id.Time || r.time == id.Time && r.idSeq > id.Seq
}

// beyond reports whether the record lies after (id, delta): in a chain, where
// both only grow, all records behind a beyond one are beyond, too.
func (r *record) beyond(id kv.ID, delta uint32) bool {
	return r.above(id) || r.delta > delta
}

// store copies what a row holds into the arena, unless it is a plain decimal,
// and returns value and flags of its record.
func (a *arena) store(row *kv.Row) (value uint64, flags uint32) {
	switch {
	case row.Form.IsDecimal():
		var tail [9]byte
		tail[0] = byte(row.Form)
		binary.LittleEndian.PutUint64(tail[1:], uint64(row.Num))
		return a.payload(row.Tags, tail[:]), codeDecimalTags
	case row.Form == kv.FormRaw:
		if len(row.Raw) > maxRaw {
			panic(fmt.Sprintf("BUG: memtable: value of %d bytes", len(row.Raw)))
		}
		code := uint32(codeRaw)
		if len(row.Tags) > 0 {
			code = codeRawTags
		}
		return a.payload(row.Tags, row.Raw), uint32(len(row.Raw))<<codeBits | code
	case row.Form == kv.FormDelete:
		return 0, codeDelete
	}
	panic(fmt.Sprintf("BUG: memtable: row of form %d", row.Form))
}

// payload stores tags, if there are any, and bytes; the reference is 0 for
// nothing at all.
func (a *arena) payload(tags kv.TagSet, bytes []byte) uint64 {
	head := 0
	if len(tags) > 0 {
		if len(tags) > math.MaxUint16 {
			panic(fmt.Sprintf("BUG: memtable: tag set of %d bytes", len(tags)))
		}
		head = 2 + len(tags)
	}
	if head+len(bytes) == 0 {
		return 0
	}
	ref, p := a.alloc(head + len(bytes))
	if head > 0 {
		binary.LittleEndian.PutUint16(p, uint16(len(tags)))
		copy(p[2:], tags)
	}
	copy(p[head:], bytes)
	return ref
}

// load fills row from a record. Raw and Tags share the slab's memory.
func (a *arena) load(r *record, row *kv.Row) {
	*row = kv.Row{ID: r.id()}
	code := r.code()
	if code <= kv.MaxScale {
		row.Form, row.Num = kv.Form(code), int64(r.value)
		return
	}
	if code == codeDelete {
		row.Form = kv.FormDelete
		return
	}
	size := int(r.flags >> codeBits)
	if code == codeRaw && size == 0 {
		row.Form, row.Raw = kv.FormRaw, []byte{}
		return
	}
	p := a.resolve(r.value)
	if code != codeRaw {
		n := 2 + int(binary.LittleEndian.Uint16(p))
		row.Tags, p = kv.TagSet(p[2:n:n]), p[n:]
	}
	if code == codeDecimalTags {
		row.Form, row.Num = kv.Form(p[0]), int64(binary.LittleEndian.Uint64(p[1:]))
		return
	}
	row.Form, row.Raw = kv.FormRaw, p[:size:size]
}
