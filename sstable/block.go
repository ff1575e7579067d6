package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

var errBlock = errors.New("malformed block")

// columnRef is where a column lies in its block.
type columnRef struct {
	encoding    uint8
	off, length int
}

// block is a verified view of a block's bytes.
type block struct {
	data             []byte
	kind, mode       uint8
	scale            uint8
	rows, series     int
	minTime, maxTime uint64
	present          uint32 // bit id
	firsts           uint32
	columns          [maxColumnID + 1]columnRef
	firstColumns     [colTags + 1]columnRef
}

func (b *block) packed() bool  { return b.kind >= kindPackedNumeric }
func (b *block) numeric() bool { return b.kind == kindNumeric || b.kind == kindPackedNumeric }

// parse checks the checksum, the bounds and the directory of a whole block.
func (b *block) parse(data []byte, seed uint32) error {
	if err := checkBlockLength(data); err != nil {
		return err
	}
	if got, want := disk.CRC(seed, data[4:]), binary.LittleEndian.Uint32(data); got != want {
		return fmt.Errorf("%w: checksum %08x, want %08x", errBlock, got, want)
	}
	return b.parseTrusted(data)
}

func checkBlockLength(data []byte) error {
	if len(data) < blockHeaderSize+loadPad {
		return fmt.Errorf("%w: %d bytes", errBlock, len(data))
	}
	if got := int64(binary.LittleEndian.Uint32(data[4:])); got != int64(len(data)) {
		return fmt.Errorf("%w: length %d, indexed as %d", errBlock, got, len(data))
	}
	return nil
}

// parseTrusted is parse for a block whose checksum is known to be right.
func (b *block) parseTrusted(data []byte) error {
	if err := checkBlockLength(data); err != nil {
		return err
	}
	b.data = data
	b.kind, b.mode, b.scale = data[8], data[9], data[11]
	b.rows, b.series = int(binary.LittleEndian.Uint16(data[12:])), int(binary.LittleEndian.Uint16(data[14:]))
	b.minTime, b.maxTime = load64(data, 16), load64(data, 24)
	if b.kind < kindNumeric || b.kind > kindPackedRaw || b.mode > scaleUnaligned || b.scale > kv.MaxScale {
		return fmt.Errorf("%w: kind %d, mode %d, scale %d", errBlock, b.kind, b.mode, b.scale)
	}
	if b.rows == 0 || b.rows > maxBlockRows || b.series == 0 || b.series > b.rows ||
		b.series > maxPackedRun || !b.packed() && b.series != 1 {
		return fmt.Errorf("%w: %d rows of %d series", errBlock, b.rows, b.series)
	}
	return b.parseDirectory(int(data[10]))
}

func (b *block) parseDirectory(n int) error {
	off := blockHeaderSize + n*directorySize
	end := len(b.data) - loadPad
	if n > maxColumns || off > end {
		return fmt.Errorf("%w: %d columns", errBlock, n)
	}
	b.present, b.firsts = 0, 0
	for i := range n {
		d := b.data[blockHeaderSize+i*directorySize:]
		id, length := d[0], int64(binary.LittleEndian.Uint32(d[4:]))
		if length > int64(end-off) {
			return fmt.Errorf("%w: column %d leaves the block", errBlock, id)
		}
		ref := columnRef{encoding: d[1], off: off, length: int(length)}
		switch {
		case id >= 1 && id <= maxColumnID && b.present&(1<<id) == 0:
			b.present |= 1 << id
			b.columns[id] = ref
		case id&firstsBit != 0 && b.packed() && id&^firstsBit <= colTags && b.firsts&(1<<(id&^firstsBit)) == 0:
			b.firsts |= 1 << (id &^ firstsBit)
			b.firstColumns[id&^firstsBit] = ref
		default:
			return fmt.Errorf("%w: column id %#x", errBlock, id)
		}
		off += int(length)
	}
	if off != end || b.present&(1<<colTime) == 0 {
		return fmt.Errorf("%w: columns end at %d, want %d", errBlock, off, end)
	}
	return nil
}

func (b *block) has(id uint8) bool       { return b.present&(1<<id) != 0 }
func (b *block) hasFirsts(id uint8) bool { return b.firsts&(1<<id) != 0 }

// integers opens an integer column of n values; an absent one is all zeros.
func (b *block) integers(c *column, id uint8, n int) error {
	if !b.has(id) {
		*c = column{encoding: encConst, n: n}
		return nil
	}
	ref := &b.columns[id]
	if err := c.parse(ref.encoding, n, ref.length, b.data[ref.off:]); err != nil {
		return fmt.Errorf("%w %d of %d rows", err, id, n)
	}
	return nil
}

// firstValues opens the column of the first values of each run.
func (b *block) firstValues(c *column, id uint8) error {
	ref := &b.firstColumns[id]
	if err := c.parse(ref.encoding, b.series, ref.length, b.data[ref.off:]); err != nil {
		return fmt.Errorf("%w %d of first values", err, id)
	}
	return nil
}

// bytes returns a byte column and its encoding; nil if it is absent.
func (b *block) bytes(id uint8) ([]byte, uint8) {
	if !b.has(id) {
		return nil, encBytes
	}
	ref := &b.columns[id]
	return b.data[ref.off : ref.off+ref.length], ref.encoding
}

// blockBuilder assembles one block; its memory is reused for the next.
type blockBuilder struct {
	directory []byte
	body      []byte
	out       []byte
	encoder   columnEncoder
	zstd      *columnCompressor // nil: none
}

func (b *blockBuilder) start() { b.directory, b.body = b.directory[:0], b.body[:0] }

// entry notes that column id ends here and began at start.
func (b *blockBuilder) entry(id, encoding uint8, start int) {
	b.directory = append(b.directory, id, encoding, 0, 0)
	b.directory = binary.LittleEndian.AppendUint32(b.directory, uint32(len(b.body)-start))
}

// integers adds an integer column, unless it is all zeros and may be absent.
func (b *blockBuilder) integers(id uint8, values []uint64) {
	start := len(b.body)
	var encoding uint8
	b.body, encoding = b.encoder.encode(b.body, values)
	if encoding == encConst && values[0] == 0 && id != colTime && id&firstsBit == 0 {
		b.body = b.body[:start]
		return
	}
	if b.zstd != nil && underZstd(id) && encoding >= encFor {
		if p, better := b.zstd.pack(id, values, len(b.body)-start); p != nil {
			b.body, encoding = append(b.body[:start], p...), better
		}
	}
	b.entry(id, encoding, start)
}

func (b *blockBuilder) bytes(id, encoding uint8, p []byte) {
	start := len(b.body)
	b.body = append(b.body, p...)
	b.entry(id, encoding, start)
}

// blockHeader is what finish writes into the first bytes.
type blockHeader struct {
	kind, mode, scale uint8
	rows, series      int
	minTime, maxTime  uint64
}

// finish closes the block and returns its bytes, valid until the next finish.
func (b *blockBuilder) finish(h blockHeader, seed uint32) []byte {
	p := append(b.out[:0], make([]byte, blockHeaderSize)...)
	p = append(p, b.directory...)
	p = append(p, b.body...)
	p = append(p, make([]byte, loadPad)...)
	b.out = p
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)))
	p[8], p[9], p[10], p[11] = h.kind, h.mode, byte(len(b.directory)/directorySize), h.scale
	binary.LittleEndian.PutUint16(p[12:], uint16(h.rows))
	binary.LittleEndian.PutUint16(p[14:], uint16(h.series))
	binary.LittleEndian.PutUint64(p[16:], h.minTime)
	binary.LittleEndian.PutUint64(p[24:], h.maxTime)
	binary.LittleEndian.PutUint32(p, disk.CRC(seed, p[4:]))
	return p
}
