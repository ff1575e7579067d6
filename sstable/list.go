package sstable

import (
	"encoding/binary"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// blockRef is a record of a block list: a block, or in a root a leaf.
type blockRef struct {
	place
	rows, deletes int // of a block
	blocks        int // of a leaf
	minID, maxID  kv.ID
	tagBits       uint64
	before        uint64 // rows of the series before this block
}

func (r *blockRef) append(dst []byte, root bool) []byte {
	dst = appendUint64(dst, uint64(r.offset))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.length))
	if root {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(r.blocks))
	} else {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r.rows))
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r.deletes))
	}
	for _, v := range [...]uint64{r.minID.Time, r.minID.Seq, r.maxID.Time, r.maxID.Seq, r.tagBits, r.before} {
		dst = appendUint64(dst, v)
	}
	return dst
}

// finishList wraps records into a section.
func finishList(dst []byte, kind byte, records []byte, seed uint32) []byte {
	start := len(dst)
	dst = append(dst, kind, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(records)/listRecordSize))
	dst = appendUint64(dst, 0)
	dst = append(dst, records...)
	dst = binary.LittleEndian.AppendUint32(dst, disk.CRC(seed, dst[start:]))
	return append(dst, 0, 0, 0, 0)
}

// blockList is a verified view of a block list section.
type blockList struct {
	kind    byte
	records []byte
	dataEnd int64
}

// parse checks the checksum and the header.
func (l *blockList) parse(data []byte, seed uint32, dataEnd int64) error {
	if end := len(data) - 8; end >= 0 {
		if got, want := disk.CRC(seed, data[:end]), binary.LittleEndian.Uint32(data[end:]); got != want {
			return fmt.Errorf("%w: block list checksum %08x, want %08x", errIndex, got, want)
		}
	}
	return l.parseTrusted(data, dataEnd)
}

// parseTrusted is parse for a list whose checksum is known to be right.
func (l *blockList) parseTrusted(data []byte, dataEnd int64) error {
	n := len(data) - listHeaderSize - 8
	if n < 0 || n%listRecordSize != 0 {
		return fmt.Errorf("%w: block list of %d bytes", errIndex, len(data))
	}
	l.kind, l.records, l.dataEnd = data[0], data[listHeaderSize:len(data)-8], dataEnd
	if count := int64(binary.LittleEndian.Uint32(data[4:])); l.kind != listLeaf && l.kind != listRoot ||
		count == 0 || count*listRecordSize != int64(n) || l.kind == listLeaf && count > maxLeafRecords {
		return fmt.Errorf("%w: block list of kind %d, %d records", errIndex, l.kind, count)
	}
	return nil
}

func (l *blockList) len() int { return len(l.records) / listRecordSize }

// at decodes record i.
func (l *blockList) at(i int, r *blockRef) error {
	b := l.records[i*listRecordSize : (i+1)*listRecordSize]
	offset, length := load64(b, 0), binary.LittleEndian.Uint32(b[8:])
	if offset > uint64(l.dataEnd) || uint64(length) > uint64(l.dataEnd)-offset {
		return fmt.Errorf("%w: block list record leaves the data", errIndex)
	}
	*r = blockRef{
		place: place{int64(offset), int(length)},
		minID: kv.ID{Time: load64(b, 16), Seq: load64(b, 24)}, maxID: kv.ID{Time: load64(b, 32), Seq: load64(b, 40)},
		tagBits: load64(b, 48), before: load64(b, 56),
	}
	if l.kind == listRoot {
		r.blocks = int(binary.LittleEndian.Uint32(b[12:]))
		return nil
	}
	r.rows, r.deletes = int(binary.LittleEndian.Uint16(b[12:])), int(binary.LittleEndian.Uint16(b[14:]))
	if r.rows == 0 || r.rows > maxBlockRows || r.deletes > r.rows {
		return fmt.Errorf("%w: block list record of %d rows", errIndex, r.rows)
	}
	return nil
}

func (l *blockList) minID(i int) kv.ID {
	b := l.records[i*listRecordSize:]
	return kv.ID{Time: load64(b, 16), Seq: load64(b, 24)}
}

// last returns the last record whose first row is at most id, -1 for none.
func (l *blockList) last(id kv.ID) int {
	lo, hi := 0, l.len()
	for lo < hi {
		mid := (lo + hi) / 2
		if id.Less(l.minID(mid)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo - 1
}
