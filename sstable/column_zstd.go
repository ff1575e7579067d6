package sstable

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// A column under zstd keeps all its values, or all its differences, at one
// width that fills bytes, so that values that come again are bytes that come
// again. Its miniblocks cannot be found alone in the file: whoever reads one row
// unpacks the whole column. See docs/decisions/0010.
const (
	zstdColumnHeaderSize = 17
	zstdColumnRows       = 256 // fewer are not worth a try
	sampleMiniblocks     = 4   // that are looked at before a try
)

// underZstd reports whether a column may be under zstd: those with a value for
// each row.
func underZstd(id uint8) bool { return id >= colTime && id <= colTags }

// columnCompressor finds the columns for which zstd pays. It belongs to a writer.
type columnCompressor struct {
	z      *compressor
	values []uint64
	packed []byte
	out    []byte
	census census
	pauses [colTags + 1]pause
}

// pause lets a column of a series that did not compress rest for a number of
// blocks that doubles each time.
type pause struct{ left, length int }

// maxPause bounds it: data may change its nature.
const maxPause = 16

// pack returns the column under zstd and its encoding; nil unless that saves a
// quarter of the plain bytes and a bit for each row. The result is valid until
// the next call.
func (c *columnCompressor) pack(id uint8, values []uint64, plain int) ([]byte, uint8) {
	if len(values) < zstdColumnRows || plain < len(values)/8 {
		return nil, 0
	}
	encoding := c.census.promise(values, plain)
	if encoding == 0 {
		return nil, 0
	}
	p := &c.pauses[id]
	if p.left > 0 {
		p.left--
		return nil, 0
	}
	out := c.encode(encoding, values)
	if len(out) > plain-plain/4 || len(out) > plain-len(values)/8 {
		p.length = min(2*p.length+1, maxPause)
		p.left = p.length
		return nil, 0
	}
	*p = pause{}
	return out, encoding
}

func (c *columnCompressor) encode(encoding uint8, values []uint64) []byte {
	c.values = extend(c.values[:0], len(values))
	first, v := values[0], c.values
	if encoding == encForZstd {
		first = 0
		copy(v, values)
	} else {
		for i := 1; i < len(v); i++ {
			v[i] = values[i] - values[i-1]
		}
		v[0] = v[1]
	}
	s := span{int64(v[0]), int64(v[0])}
	for _, x := range v {
		s.min, s.max = min(s.min, int64(x)), max(s.max, int64(x))
	}
	for i := range v {
		v[i] -= uint64(s.min)
	}
	width := byteWidth(s.width())
	c.packed = pack(c.packed[:0], v, width)
	out := appendUint64(c.out[:0], first)
	out = appendUint64(out, uint64(s.min))
	out = append(out, width)
	c.out = c.z.zstd.EncodeAll(c.packed, out)
	return c.out
}

// byteWidth rounds a width up so that no value lies across bytes needlessly.
func byteWidth(width uint8) uint8 {
	if width <= 4 {
		return 1 << bits.Len8(max(width, 1)-1)
	}
	return (width + 7) &^ 7
}

// census counts a sample of values and one of their differences.
type census struct{ tallies [2]tally }

// promise guesses from a sample whether zstd may save a quarter of a column of
// so many plain bytes, and returns the encoding to try, 0 for none.
func (c *census) promise(values []uint64, plain int) uint8 {
	nm := len(values) / miniblockRows
	n := min(nm, sampleMiniblocks)
	as, differences := &c.tallies[0], &c.tallies[1]
	as.start(values[0])
	differences.start(values[1] - values[0])
	for k := range n {
		at := k * nm / n * miniblockRows
		prev := 2*values[at] - values[at+1]
		for _, x := range values[at : at+miniblockRows] {
			as.count(x)
			differences.count(x - prev)
			prev = x
		}
	}
	best, encoding := 8*float64(plain)/float64(len(values)), uint8(0)
	for k, e := range [2]uint8{encForZstd, encDeltaForZstd} {
		if cost := c.tallies[k].bits(n * miniblockRows); cost < best {
			best, encoding = cost, e
		}
	}
	return encoding
}

// tally counts how often each of some integers comes, as far as a hash tells.
type tally struct {
	counts   [4096]uint16
	distinct int
	sum      float64 // of n log2 n over the counts
	span     span
}

func (t *tally) start(v uint64) { *t = tally{span: span{int64(v), int64(v)}} }

func (t *tally) count(v uint64) {
	n := &t.counts[v*0x9e3779b97f4a7c15>>52]
	if *n == 0 {
		t.distinct++
	}
	*n++
	t.sum += countSteps[*n]
	t.span.min, t.span.max = min(t.span.min, int64(v)), max(t.span.max, int64(v))
}

// bits guesses what zstd needs for one of the n integers, and asks for some more
// so that few tries are in vain. In the whole column there are more repetitions
// than in a sample, which matters to wide values.
func (t *tally) bits(n int) float64 {
	width := byteWidth(t.span.width())
	entropy := math.Log2(float64(n)) - t.sum/float64(n)
	if width <= 8 {
		return max(entropy, float64(width)/8) * 1.25 // each byte takes a bit at least
	}
	fresh := float64(t.distinct) / float64(n)
	return (fresh*float64(width) + (1-fresh)*min(16, entropy+4)) * 1.1 // new ones, and matches
}

// countSteps is how much n log2 n grows from n-1 to n.
var countSteps = makeCountSteps()

func makeCountSteps() (steps [sampleMiniblocks*miniblockRows + 1]float64) {
	last := 0.0
	for n := 2; n < len(steps); n++ {
		v := float64(n) * math.Log2(float64(n))
		steps[n] = v - last
		last = v
	}
	return steps
}

// inflate unpacks a column under zstd and makes c the plain column that it
// stands for, with an anchor for each miniblock, over memory of d or the cache.
func (d *blockReader) inflate(c *column, id, encoding uint8, n int, body []byte) error {
	if len(body) < zstdColumnHeaderSize || n <= 0 || n > maxBlockRows || !underZstd(id) || d.z == nil {
		return errColumn
	}
	first, base, width := load64(body, 0), load64(body, 8), body[16]
	if width == 0 || width > 64 {
		return errColumn
	}
	*c = column{encoding: encFor, n: n, anchorBase: base}
	nm, anchors := c.miniblocks(), 0
	if encoding == encDeltaForZstd {
		*c = column{encoding: encDeltaFor, n: n, deltaBase: base, anchorBytes: 8}
		anchors = 8 * nm
	}
	for i := range nm {
		c.widths[i] = width
		c.starts[i] = uint32(anchors + i*int(width)*(miniblockRows/8))
	}
	c.tail = d.cached.findColumn(id)
	size := anchors + packedLen(n, width)
	if len(c.tail) == size+loadPad {
		return nil
	}
	c.tail = sized(d.inflated[id], size+loadPad)
	d.inflated[id] = c.tail
	d.inflatedBytes += len(c.tail)
	if _, err := d.z.unpack(c.tail[anchors:size:size], body[zstdColumnHeaderSize:], encZstd, size-anchors); err != nil {
		return fmt.Errorf("%w: %w", errColumn, err)
	}
	clear(c.tail[size:])
	if anchors > 0 {
		c.setAnchors(first)
	}
	d.cached.addColumn(id, c.tail)
	return nil
}

// setAnchors writes the first value of each miniblock to the start of the tail.
func (c *column) setAnchors(v uint64) {
	var few [miniblockRows]uint64
	for i := range c.miniblocks() {
		diffs := few[:c.rowsOf(i)]
		unpack(diffs, c.packed(i), c.widths[i], c.deltaBase)
		if i > 0 {
			v += diffs[0]
		}
		binary.LittleEndian.PutUint64(c.tail[8*i:], v)
		for _, x := range diffs[1:] {
			v += x
		}
	}
}
