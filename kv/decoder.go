package kv

import (
	"fmt"
)

// OpKind says what an operation of a batch is.
type OpKind uint8

// The kinds of operations.
const (
	OpPut         OpKind = iota + 1 // Key and Row; a FormDelete row is a point delete
	OpDeleteRange                   // Tombstone, without its sequence
	OpMeta                          // MetaKind and Meta
	OpUnknownKey                    // a put whose key is not known, see LoseKeys; Row
)

// Op is a decoded operation. Index is its position in the batch, so its
// sequence is the first sequence of the group plus Index.
type Op struct {
	Kind      OpKind
	Index     uint32
	Key       []byte
	Row       Row
	Tombstone Tombstone
	MetaKind  uint8
	Meta      []byte
}

// Decoder reads batches of operations in the order in which an Encoder wrote
// them; format.go has the layout. It belongs to one goroutine. The zero value
// is ready for a segment's first batch.
type Decoder struct {
	keys     []byte // the dictionary: all keys one after the other
	ends     []int  // where each of them ends in keys
	prevTime uint64
	prevKey  []byte
	lost     bool // the dictionary ends where LoseKeys was called
	rest     []byte
	fault    string // the first thing found wrong with the batch
	op       Op
}

// StartSegment forgets the dictionary.
func (d *Decoder) StartSegment() { d.keys, d.ends, d.lost = d.keys[:0], d.ends[:0], false }

// LoseKeys says that batches of this segment are missing. They may have given
// numbers to keys, so until the next segment the numbers of later keys are not
// known: a row operation that refers to one is an OpUnknownKey.
func (d *Decoder) LoseKeys() { d.lost = true }

// Decode calls fn with every operation of one batch, which has ops of them, and
// stops at the first error of fn. The operation and all memory it points
// to are valid during the call only.
//
// Bytes that are not exactly such a batch give an error that wraps ErrBatch, or
// ErrBatchVersion; fn has then seen the operations before the fault. The memory
// allocated is in proportion to the payload whatever its bytes are.
func (d *Decoder) Decode(payload []byte, ops uint32, fn func(op *Op) error) error {
	if len(payload) == 0 {
		return fmt.Errorf("%w: no version", ErrBatch)
	}
	if payload[0] != batchVersion {
		return fmt.Errorf("%w: version %d, known is %d", ErrBatchVersion, payload[0], batchVersion)
	}
	d.rest, d.fault = payload[1:], ""
	d.prevTime, d.prevKey = 0, nil
	defer func() { d.rest, d.prevKey, d.op = nil, nil, Op{} }()
	for i := uint32(0); i < ops; {
		d.op = Op{Index: i}
		count := d.decodeOp()
		d.expect(count <= uint64(ops-i), "a gap is longer than the batch")
		if d.fault != "" {
			return fmt.Errorf("%w: operation %d of %d: %s", ErrBatch, i, ops, d.fault)
		}
		i += uint32(count)
		if d.op.Kind == 0 {
			continue
		}
		if err := fn(&d.op); err != nil {
			return err
		}
	}
	if len(d.rest) > 0 {
		return fmt.Errorf("%w: %d bytes after %d operations", ErrBatch, len(d.rest), ops)
	}
	return nil
}

// decodeOp reads one operation and returns how many it counts as; a gap leaves
// the kind at zero.
func (d *Decoder) decodeOp() uint64 {
	tag := d.byte()
	switch tag & kindMask {
	case kindDecimal, kindRaw, kindDelete:
		d.decodeRow(tag)
	case kindRange:
		d.decodeRange(tag)
	case kindMeta:
		d.op.Kind = OpMeta
		d.expect(tag == kindMeta, "unused bits of the tag are set")
		d.op.MetaKind = d.byte()
		d.op.Meta = d.bytes(0, MaxValue)
	case kindGap:
		d.expect(tag == kindGap, "unused bits of the tag are set")
		count := d.uvarint()
		d.expect(count > 0, "a gap of no operations")
		return count
	default:
		d.expect(false, "unknown kind")
	}
	return 1
}

func (d *Decoder) decodeRow(tag byte) {
	op := &d.op
	op.Kind = OpPut
	d.expect(tag&flagPrefix == 0, "unused bits of the tag are set")
	op.Key = d.key(tag & keyMask)
	if d.prevKey = op.Key; op.Key == nil && d.lost {
		op.Kind = OpUnknownKey
	}
	d.prevTime += uint64(unzigzag(d.uvarint()))
	op.Row.ID.Time = d.prevTime
	if tag&flagSeq != 0 {
		op.Row.ID.Seq = d.uvarint()
		d.expect(op.Row.ID.Seq != 0, "a zero sequence is written out")
	}
	if tag&flagTags != 0 {
		op.Row.Tags = d.bytes(1, MaxTagSet)
		d.expect(CheckTagSet(op.Row.Tags) == nil, "bad tags")
	}
	switch tag & kindMask {
	case kindDecimal:
		op.Row.Form = Form(d.byte())
		op.Row.Num = unzigzag(d.uvarint())
		d.expect(op.Row.Form <= MaxScale && validMantissa(op.Row.Num), "decimal out of bounds")
	case kindRaw:
		op.Row.Form = FormRaw
		op.Row.Raw = d.bytes(0, MaxValue)
	default:
		op.Row.Form = FormDelete
		d.expect(tag&flagTags == 0, "unused bits of the tag are set")
	}
}

// key reads the key of a row operation.
func (d *Decoder) key(mode byte) []byte {
	switch mode {
	case keyLiteral:
		return d.bytes(1, MaxKey)
	case keyNew:
		key := d.bytes(1, MaxKey)
		if d.fault == "" && !d.lost {
			d.keys = append(d.keys, key...)
			d.ends = append(d.ends, len(d.keys))
		}
		return key
	case keyNumber:
		n := d.uvarint()
		if n >= uint64(len(d.ends)) {
			d.expect(d.lost, "key number not in the dictionary")
			return nil
		}
		start, end := 0, d.ends[n]
		if n > 0 {
			start = d.ends[n-1]
		}
		return d.keys[start:end:end]
	}
	d.expect(d.prevKey != nil || d.lost, "no previous key")
	return d.prevKey
}

func (d *Decoder) decodeRange(tag byte) {
	d.op.Kind = OpDeleteRange
	t := &d.op.Tombstone
	t.Prefix = tag&flagPrefix != 0
	d.expect(tag&^flagPrefix == kindRange, "unused bits of the tag are set")
	shortest := uint64(1)
	if t.Prefix {
		shortest = 0
	}
	t.Key = d.bytes(shortest, MaxKey)
	t.From = ID{d.uvarint(), d.uvarint()}
	t.To = ID{d.uvarint(), d.uvarint()}
	d.expect(!t.To.Less(t.From), "range ends before it starts")
}

// expect notes the first fault of a batch. After a fault the readers below
// return zero values.
func (d *Decoder) expect(ok bool, fault string) {
	if !ok && d.fault == "" {
		d.fault, d.rest = fault, nil
	}
}

func (d *Decoder) byte() byte {
	if len(d.rest) == 0 {
		d.expect(false, "it ends too early")
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// bytes reads a size of shortest to longest and as many bytes.
func (d *Decoder) bytes(shortest, longest uint64) []byte {
	n := d.uvarint()
	if n < shortest || n > longest || n > uint64(len(d.rest)) {
		d.expect(false, "size out of bounds")
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *Decoder) uvarint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		n := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return n
	}
	return d.longUvarint()
}

// longUvarint reads a uvarint of more than one byte.
func (d *Decoder) longUvarint() uint64 {
	var n uint64
	for i, b := range d.rest {
		if i == 9 && b > 1 || i > 0 && b == 0 {
			d.expect(false, "number too large or not in its shortest form")
			return 0
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return n
		}
	}
	d.expect(false, "it ends too early")
	return 0
}

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }
