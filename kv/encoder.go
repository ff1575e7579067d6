package kv

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// KeyRef is what a caller keeps for a key that it writes often, so that the
// encoder need not look the key up: its number in the dictionary and the epoch in
// which that number holds. The zero value is a key not seen yet. A KeyRef is used
// with one Encoder and one key only.
type KeyRef struct {
	epoch  uint64
	number uint32
}

// Encoder writes batches of operations; format.go has the layout. It belongs to
// one goroutine. The zero value is ready for StartSegment.
//
// Arguments out of their bounds are a bug of the caller and panic: what a reader
// would refuse must never be written.
type Encoder struct {
	buf      []byte
	prevTime uint64
	prevKey  KeyRef
	epoch    uint64 // 0 before the first segment
	next     uint32 // number of the next new key
	ops      uint32
}

// StartSegment forgets the dictionary: keys are written out again.
func (e *Encoder) StartSegment() {
	e.epoch++
	e.next, e.prevKey = 0, KeyRef{}
}

// Begin starts a batch that is appended to dst.
func (e *Encoder) Begin(dst []byte) {
	if e.epoch == 0 {
		panic("BUG: kv: Begin before StartSegment")
	}
	e.buf = append(dst, batchVersion)
	e.prevTime, e.prevKey, e.ops = 0, KeyRef{}, 0
}

// Mark is a place in a batch to go back to.
type Mark struct {
	size      int
	ops, next uint32
	prevTime  uint64
	prevKey   KeyRef
}

// Mark returns the present place in the batch.
func (e *Encoder) Mark() Mark {
	return Mark{size: len(e.buf), ops: e.ops, next: e.next, prevTime: e.prevTime, prevKey: e.prevKey}
}

// Rewind takes back all operations since m, a mark of the same batch, and what
// they put into the dictionary. If that was anything, its numbers will be given
// to other keys: every key is written out once more, and the segment goes on.
func (e *Encoder) Rewind(m Mark) {
	e.buf, e.ops, e.prevTime, e.prevKey = e.buf[:m.size], m.ops, m.prevTime, m.prevKey
	if e.next != m.next {
		e.epoch++
		e.next, e.prevKey = m.next, KeyRef{}
	}
}

// Gap appends an operation that counts as n operations and does nothing: it
// keeps the positions of the following ones after a Rewind.
func (e *Encoder) Gap(n uint32) {
	if n == 0 {
		panic("BUG: kv: gap of no operations")
	}
	e.buf = appendUvarint(append(e.buf, kindGap), uint64(n))
	e.ops += n
}

// Ops returns the number of operations since Begin.
func (e *Encoder) Ops() uint32 { return e.ops }

// Bytes returns the slice given to Begin with the batch behind it. It is valid
// until the next call of another method.
func (e *Encoder) Bytes() []byte { return e.buf }

// maxRowHead is the longest row operation without its key, tags and raw bytes:
// tag, five uvarints (key, time, seq, size of the tags, mantissa), scale.
const maxRowHead = 1 + 5*binary.MaxVarintLen64 + 1

// Put appends a put, or with FormDelete a point delete. key is written out the
// first time that ref is used in a segment; ref == nil is a key that shall not
// enter the dictionary. Nothing is kept of key and row.
func (e *Encoder) Put(ref *KeyRef, key []byte, row *Row) {
	e.buf = slices.Grow(e.buf, maxRowHead)
	at := len(e.buf)
	b := e.buf[:at+1]
	var tag byte
	switch {
	case ref != nil && *ref == e.prevKey && ref.epoch != 0:
		tag = keySame
	case ref != nil && ref.epoch == e.epoch:
		tag = keyNumber
		b = appendUvarint(b, uint64(ref.number))
		e.prevKey = *ref
	default:
		tag, b = e.putKey(ref, key, b)
	}
	delta := int64(row.ID.Time - e.prevTime)
	e.prevTime = row.ID.Time
	b = appendUvarint(b, zigzag(delta))
	if row.ID.Seq != 0 {
		tag |= flagSeq
		b = appendUvarint(b, row.ID.Seq)
	}
	if len(row.Tags) != 0 && row.Form != FormDelete {
		tag |= flagTags
		b = appendTags(b, row.Tags)
	}
	switch {
	case row.Form.IsDecimal():
		if !validMantissa(row.Num) {
			panic(fmt.Sprintf("BUG: kv: mantissa %d", row.Num))
		}
		b = appendUvarint(append(b, byte(row.Form)), zigzag(row.Num))
	case row.Form == FormDelete:
		tag |= kindDelete
	default:
		tag |= kindRaw
		b = appendRaw(b, row)
	}
	b[at] = tag
	e.buf = b
	e.ops++
}

// putKey writes a key out and, if there is a ref, numbers it.
func (e *Encoder) putKey(ref *KeyRef, key, b []byte) (byte, []byte) {
	if len(key) == 0 || len(key) > MaxKey {
		panic(fmt.Sprintf("BUG: kv: key of %d bytes", len(key)))
	}
	b = appendBytes(b, key)
	if ref == nil || e.next == math.MaxUint32 {
		e.prevKey = KeyRef{}
		return keyLiteral, b
	}
	*ref = KeyRef{e.epoch, e.next}
	e.next++
	e.prevKey = *ref
	return keyNew, b
}

func appendTags(b []byte, tags TagSet) []byte {
	if len(tags) > MaxTagSet {
		panic(fmt.Sprintf("BUG: kv: tag set of %d bytes", len(tags)))
	}
	return appendBytes(b, tags)
}

func appendRaw(b []byte, row *Row) []byte {
	if row.Form != FormRaw || len(row.Raw) > MaxValue {
		panic(fmt.Sprintf("BUG: kv: form %#x with %d bytes", uint8(row.Form), len(row.Raw)))
	}
	return appendBytes(b, row.Raw)
}

// DeleteRange appends a range delete. The tombstone's sequence is not written:
// it follows from the position of the operation.
func (e *Encoder) DeleteRange(t *Tombstone) {
	if len(t.Key) > MaxKey || len(t.Key) == 0 && !t.Prefix || t.To.Less(t.From) {
		panic(fmt.Sprintf("BUG: kv: range delete of a key of %d bytes from %v to %v", len(t.Key), t.From, t.To))
	}
	tag := byte(kindRange)
	if t.Prefix {
		tag |= flagPrefix
	}
	b := appendBytes(append(e.buf, tag), t.Key)
	b = appendUvarint(b, t.From.Time)
	b = appendUvarint(b, t.From.Seq)
	b = appendUvarint(b, t.To.Time)
	e.buf = appendUvarint(b, t.To.Seq)
	e.ops++
}

// Meta appends an operation that this package knows nothing about.
func (e *Encoder) Meta(kind uint8, payload []byte) {
	if len(payload) > MaxValue {
		panic(fmt.Sprintf("BUG: kv: meta payload of %d bytes", len(payload)))
	}
	e.buf = appendBytes(append(e.buf, kindMeta, kind), payload)
	e.ops++
}

func zigzag(n int64) uint64 { return uint64(n<<1 ^ n>>63) }

// appendUvarint is binary.AppendUvarint, inlined for numbers of one byte.
func appendUvarint(b []byte, n uint64) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	return binary.AppendUvarint(b, n)
}

func appendBytes(b, p []byte) []byte {
	return append(appendUvarint(b, uint64(len(p))), p...)
}
