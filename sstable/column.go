package sstable

import (
	"encoding/binary"
	"errors"
)

var errColumn = errors.New("malformed column")

// column is a decoded view of an integer column inside a block; format.go
// draws it. The widths are copied, so that the places of the miniblocks cannot
// change even if the bytes below do.
type column struct {
	encoding    uint8
	n           int // values
	base, step  uint64
	anchorBase  uint64
	deltaBase   uint64
	anchorBytes uint8
	deltaBytes  uint8
	widths      [maxMiniblocks]uint8
	starts      [maxMiniblocks]uint32 // of the packed values, in tail
	tail        []byte                // anchors, deltas, packed values, then whatever follows in the block
}

// parse checks a column of n values whose bytes are the first length of body.
// body must go on for at least loadPad bytes after them.
func (c *column) parse(encoding uint8, n, length int, body []byte) error {
	if n <= 0 || n > maxBlockRows || length < 0 || length+loadPad > len(body) {
		return errColumn
	}
	c.encoding, c.n = encoding, n
	switch encoding {
	case encConst:
		if length != 8 {
			return errColumn
		}
		c.base, c.step = load64(body, 0), 0
		return nil
	case encConstDelta:
		if length != 16 {
			return errColumn
		}
		c.base, c.step = load64(body, 0), load64(body, 8)
		return nil
	case encRaw64:
		if length != 8*n {
			return errColumn
		}
		c.tail = body
		return nil
	case encFor, encDeltaFor, encLinearFor:
		return c.parseMiniblocks(length, body)
	}
	return errColumn
}

func (c *column) parseMiniblocks(length int, body []byte) error {
	nm := c.miniblocks()
	if length < columnHeaderSize+nm {
		return errColumn
	}
	c.anchorBase, c.deltaBase = load64(body, 0), load64(body, 8)
	c.anchorBytes, c.deltaBytes = body[16], body[17]
	if c.anchorBytes > 8 || c.deltaBytes > 8 {
		return errColumn
	}
	copy(c.widths[:nm], body[columnHeaderSize:])
	at := nm * (int(c.anchorBytes) + int(c.deltaBytes))
	for i, w := range c.widths[:nm] {
		if w > 64 {
			return errColumn
		}
		c.starts[i] = uint32(at)
		at += int(w) * (miniblockRows / 8)
	}
	last := c.widths[nm-1] // its miniblock may be shorter
	at += packedLen(c.rowsOf(nm-1), last) - int(last)*(miniblockRows/8)
	if columnHeaderSize+nm+at != length {
		return errColumn
	}
	c.tail = body[columnHeaderSize+nm:]
	return nil
}

func (c *column) miniblocks() int { return (c.n + miniblockRows - 1) / miniblockRows }

// rowsOf returns the rows of miniblock i: 128 but in the last one.
func (c *column) rowsOf(i int) int { return min(miniblockRows, c.n-i*miniblockRows) }

// scaled reads entry i of an array of entries of size bytes.
func scaled(b []byte, off, i int, size uint8) uint64 {
	if size == 0 {
		return 0
	}
	v := load64(b, off+i*int(size))
	if size < 8 {
		v &= 1<<(8*size) - 1
	}
	return v
}

func (c *column) anchor(i int) uint64 { return c.anchorBase + scaled(c.tail, 0, i, c.anchorBytes) }

func (c *column) delta(i int) uint64 {
	return c.deltaBase + scaled(c.tail, c.miniblocks()*int(c.anchorBytes), i, c.deltaBytes)
}

// packed returns the bytes from the start of miniblock i's values on.
func (c *column) packed(i int) []byte { return c.tail[c.starts[i]:] }

// decode sets dst to the values from row lo on; lo is a multiple of
// miniblockRows and lo+len(dst) at most n.
func (c *column) decode(dst []uint64, lo int) {
	switch c.encoding {
	case encConst:
		fill(dst, c.base)
	case encConstDelta:
		v := c.base + uint64(lo)*c.step
		for i := range dst {
			dst[i] = v
			v += c.step
		}
	case encRaw64:
		for i := range dst {
			dst[i] = load64(c.tail, 8*(lo+i))
		}
	default:
		c.decodeMiniblocks(dst, lo/miniblockRows)
	}
}

func (c *column) decodeMiniblocks(dst []uint64, i int) {
	for ; len(dst) > 0; i++ {
		m := min(len(dst), miniblockRows)
		c.decodeMiniblock(dst[:m], i)
		dst = dst[m:]
	}
}

// decodeMiniblock decodes the first len(dst) values of miniblock i.
func (c *column) decodeMiniblock(dst []uint64, i int) {
	src, width, anchor := c.packed(i), c.widths[i], c.anchor(i)
	switch c.encoding {
	case encFor:
		unpack(dst, src, width, anchor)
	case encDeltaFor:
		unpack(dst, src, width, c.delta(i))
		dst[0] = 0
		for j := range dst {
			anchor += dst[j]
			dst[j] = anchor
		}
	case encLinearFor:
		step := c.delta(i)
		unpack(dst, src, width, anchor)
		var v uint64
		for j := range dst {
			dst[j] += v
			v += step
		}
	}
}

// at returns the value of one row.
func (c *column) at(row int) uint64 {
	switch c.encoding {
	case encConst:
		return c.base
	case encConstDelta:
		return c.base + uint64(row)*c.step
	case encRaw64:
		return load64(c.tail, 8*row)
	}
	i, j := row/miniblockRows, row%miniblockRows
	anchor := c.anchor(i)
	switch c.encoding {
	case encDeltaFor:
		if j == 0 {
			return anchor
		}
		var few [miniblockRows]uint64
		unpack(few[:j+1], c.packed(i), c.widths[i], c.delta(i))
		for _, d := range few[1 : j+1] {
			anchor += d
		}
		return anchor
	case encLinearFor:
		anchor += uint64(j) * c.delta(i)
	}
	if c.widths[i] == 0 {
		return anchor
	}
	return anchor + unpackOne(c.packed(i), j, c.widths[i])
}

// miniblock decodes the whole miniblock i and returns its values.
func (c *column) miniblock(dst *[miniblockRows]uint64, i int) []uint64 {
	values := dst[:c.rowsOf(i)]
	c.decode(values, i*miniblockRows)
	return values
}

func fill(dst []uint64, v uint64) {
	if v == 0 {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = v
	}
}

func appendUint64(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }
