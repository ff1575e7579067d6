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

// emptySpan holds nothing.
var emptySpan = span{math.MaxInt64, math.MinInt64}

func (s *span) add(v uint64) { s.min, s.max = min(s.min, int64(v)), max(s.max, int64(v)) }

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
	best := e.choose(values, nm)
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

// choose plans the encoding that takes the fewest bytes and returns its index in
// planned, -1 if none is shorter than 8 bytes a value. A sample of every
// miniblock bounds from below what each encoding takes; only those that may still
// be the best are planned in full, the most promising one first.
func (e *columnEncoder) choose(values []uint64, nm int) int {
	least := e.bound(values, nm)
	best, bestSize := -1, 8*len(values)-1
	for range planned {
		next := -1
		for k, size := range least {
			if size <= bestSize && (next < 0 || size < least[next]) {
				next = k
			}
		}
		if next < 0 {
			break
		}
		least[next] = math.MaxInt
		for i := range nm {
			e.plan(next, i, miniblockOf(values, i))
		}
		if size := e.size(next, nm, len(values)); size < bestSize || size == bestSize && (best < 0 || next < best) {
			best, bestSize = next, size
		}
	}
	return best
}

func miniblockOf(values []uint64, i int) []uint64 {
	return values[i*miniblockRows : min(len(values), (i+1)*miniblockRows)]
}

// bound returns sizes that the encodings take at least: each 8th value of a
// miniblock tells a part of its range, and so of its width.
func (e *columnEncoder) bound(values []uint64, nm int) [3]int {
	var bits [3]int
	for i := range nm {
		v := miniblockOf(values, i)
		first, step := v[0], stepOf(v)
		plain := span{int64(first), int64(first)}
		line, diff := span{}, emptySpan
		for j := 0; j < len(v)-1; j += 8 {
			plain.add(v[j])
			line.add(v[j] - first - uint64(j)*step)
			diff.add(v[j+1] - v[j])
		}
		plain.add(v[len(v)-1])
		for k, s := range [...]span{plain, line, diff} {
			if s.min <= s.max {
				bits[k] += len(v) * int(s.width())
			}
		}
	}
	var sizes [3]int
	for k, b := range bits {
		sizes[k] = columnHeaderSize + nm + (b+7)/8
	}
	return sizes
}

// stepOf is the slope of the line from the first value to the last.
func stepOf(v []uint64) uint64 {
	if len(v) == 1 {
		return 0
	}
	return slope(int64(v[len(v)-1]-v[0]), int64(len(v)-1))
}

// plan fills in anchor, delta and width of miniblock i for encoding k.
func (e *columnEncoder) plan(k, i int, v []uint64) {
	first := v[0]
	switch planned[k] {
	case encFor:
		s := spanOf(v)
		e.anchors[k][i], e.deltas[k][i], e.widths[k][i] = uint64(s.min), 0, s.width()
	case encLinearFor:
		step := stepOf(v)
		s := spanOfLine(v, step)
		e.anchors[k][i], e.deltas[k][i], e.widths[k][i] = first+uint64(s.min), step, s.width()
	case encDeltaFor:
		s := spanOfDifferences(v)
		e.anchors[k][i], e.deltas[k][i], e.widths[k][i] = first, uint64(s.min), s.width()
	}
}

// The three loops below are where the time of a compaction goes: two running
// minima and maxima each, so that none waits for the one before.

func spanOf(v []uint64) span {
	a := span{int64(v[0]), int64(v[0])}
	b := a
	for ; len(v) >= 2; v = v[2:] {
		x, y := int64(v[0]), int64(v[1])
		a.min, a.max = min(a.min, x), max(a.max, x)
		b.min, b.max = min(b.min, y), max(b.max, y)
	}
	if len(v) > 0 {
		a.add(v[0])
	}
	return span{min(a.min, b.min), max(a.max, b.max)}
}

// spanOfLine is the span of the distances to a line from the first value on.
func spanOfLine(v []uint64, step uint64) span {
	var a, b span
	line := v[0]
	for ; len(v) >= 2; v = v[2:] {
		x, y := int64(v[0]-line), int64(v[1]-line-step)
		line += 2 * step
		a.min, a.max = min(a.min, x), max(a.max, x)
		b.min, b.max = min(b.min, y), max(b.max, y)
	}
	if len(v) > 0 {
		a.add(v[0] - line)
	}
	return span{min(a.min, b.min), max(a.max, b.max)}
}

func spanOfDifferences(v []uint64) span {
	if len(v) == 1 {
		return span{}
	}
	a := span{int64(v[1] - v[0]), int64(v[1] - v[0])}
	b := a
	for ; len(v) >= 3; v = v[2:] {
		x, y := int64(v[1]-v[0]), int64(v[2]-v[1])
		a.min, a.max = min(a.min, x), max(a.max, x)
		b.min, b.max = min(b.min, y), max(b.max, y)
	}
	if len(v) == 2 {
		a.add(v[1] - v[0])
	}
	return span{min(a.min, b.min), max(a.max, b.max)}
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
