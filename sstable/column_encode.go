package sstable

import (
	"math"
	"math/bits"
)

// columnEncoder turns integers into the shortest of the encodings. All sums and
// differences wrap around, so every u64 is representable; the order used to
// find a minimum is the signed one and influences only the size.
type columnEncoder struct {
	anchors [3][maxMiniblocks]uint64 // by encoding: FOR, LINEAR_FOR, DELTA_FOR
	deltas  [3][maxMiniblocks]uint64
	widths  [3][maxMiniblocks]uint8
	tmp     [miniblockRows]uint64
}

// planned encodings in the order in which they win a tie (fastest to decode first).
var planned = [3]uint8{encFor, encLinearFor, encDeltaFor}

// span is a running minimum and maximum in signed order.
type span struct{ min, max int64 }

func (s *span) width() uint8 { return uint8(bits.Len64(uint64(s.max) - uint64(s.min))) }

// encode appends the column of 1 to maxBlockRows values and tells its encoding.
func (e *columnEncoder) encode(dst []byte, values []uint64) ([]byte, uint8) {
	if len(values) == 0 || len(values) > maxBlockRows {
		panic("BUG: sstable: column of impossible length")
	}
	if step, ok := constantStep(values); ok {
		dst = appendUint64(dst, values[0])
		if step == 0 {
			return dst, encConst
		}
		return appendUint64(dst, step), encConstDelta
	}
	nm := (len(values) + miniblockRows - 1) / miniblockRows
	for i := range nm {
		e.plan(i, values[i*miniblockRows:min(len(values), (i+1)*miniblockRows)])
	}
	best, bestSize := -1, 8*len(values)
	for k := range planned {
		if size := e.size(k, nm, len(values)); size < bestSize {
			best, bestSize = k, size
		}
	}
	if best < 0 {
		for _, v := range values {
			dst = appendUint64(dst, v)
		}
		return dst, encRaw64
	}
	return e.write(dst, best, nm, values), planned[best]
}

// constantStep reports whether all values follow from the first by one step.
func constantStep(values []uint64) (uint64, bool) {
	if len(values) == 1 {
		return 0, true
	}
	step := values[1] - values[0]
	for i := 2; i < len(values); i++ {
		if values[i]-values[i-1] != step {
			return 0, false
		}
	}
	return step, true
}

// plan fills in anchor, delta and width of miniblock i for each encoding.
func (e *columnEncoder) plan(i int, v []uint64) {
	first := v[0]
	plain := span{int64(first), int64(first)}
	diff := span{math.MaxInt64, math.MinInt64}
	prev := first
	for _, x := range v[1:] {
		d := int64(x - prev)
		prev = x
		plain.min, plain.max = min(plain.min, int64(x)), max(plain.max, int64(x))
		diff.min, diff.max = min(diff.min, d), max(diff.max, d)
	}
	var step uint64
	if len(v) == 1 {
		diff = span{}
	} else {
		step = slope(int64(prev-first), int64(len(v)-1))
	}
	var rest span
	line := first
	for _, x := range v {
		r := int64(x - line)
		line += step
		rest.min, rest.max = min(rest.min, r), max(rest.max, r)
	}
	e.anchors[0][i], e.deltas[0][i], e.widths[0][i] = uint64(plain.min), 0, plain.width()
	e.anchors[1][i], e.deltas[1][i], e.widths[1][i] = first+uint64(rest.min), step, rest.width()
	e.anchors[2][i], e.deltas[2][i], e.widths[2][i] = first, uint64(diff.min), diff.width()
}

// slope returns d/n, rounded to the nearest integer.
func slope(d, n int64) uint64 {
	q, rest := d/n, d%n
	if 2*rest >= n {
		q++
	} else if 2*rest <= -n {
		q--
	}
	return uint64(q)
}

// size returns the bytes that encoding k would take.
func (e *columnEncoder) size(k, nm, n int) int {
	_, anchorBytes := scale(e.anchors[k][:nm])
	_, deltaBytes := scale(e.deltas[k][:nm])
	size := columnHeaderSize + nm*(1+int(anchorBytes)+int(deltaBytes))
	for i, w := range e.widths[k][:nm] {
		size += packedLen(min(miniblockRows, n-i*miniblockRows), w)
	}
	return size
}

// scale finds the base and the bytes per entry that hold all values.
func scale(values []uint64) (base uint64, size uint8) {
	s := span{int64(values[0]), int64(values[0])}
	for _, v := range values[1:] {
		s.min, s.max = min(s.min, int64(v)), max(s.max, int64(v))
	}
	return uint64(s.min), (s.width() + 7) / 8
}

func (e *columnEncoder) write(dst []byte, k, nm int, values []uint64) []byte {
	anchors, deltas, widths := e.anchors[k][:nm], e.deltas[k][:nm], e.widths[k][:nm]
	anchorBase, anchorBytes := scale(anchors)
	deltaBase, deltaBytes := scale(deltas)
	dst = appendUint64(dst, anchorBase)
	dst = appendUint64(dst, deltaBase)
	dst = append(dst, anchorBytes, deltaBytes)
	dst = append(dst, widths...)
	dst = appendScaled(dst, anchors, anchorBase, anchorBytes)
	dst = appendScaled(dst, deltas, deltaBase, deltaBytes)
	for i, w := range widths {
		if w == 0 {
			continue
		}
		v := values[i*miniblockRows : min(len(values), (i+1)*miniblockRows)]
		tmp := e.tmp[:len(v)]
		switch planned[k] {
		case encFor:
			for j, x := range v {
				tmp[j] = x - anchors[i]
			}
		case encLinearFor:
			line := anchors[i]
			for j, x := range v {
				tmp[j] = x - line
				line += deltas[i]
			}
		case encDeltaFor:
			prev := v[0] - deltas[i] // the first slot becomes 0
			for j, x := range v {
				tmp[j] = x - prev - deltas[i]
				prev = x
			}
		}
		dst = pack(dst, tmp, w)
	}
	return dst
}

func appendScaled(dst []byte, values []uint64, base uint64, size uint8) []byte {
	for _, v := range values {
		v -= base
		for range size {
			dst = append(dst, byte(v))
			v >>= 8
		}
	}
	return dst
}
