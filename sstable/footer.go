package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

var errFooter = errors.New("malformed footer")

// footer is the decoded end of a file.
type footer struct {
	version                         uint32
	fileID                          uint64
	size                            int64
	index, top, tags, filter, props place
	minTime, maxTime                uint64
	crc                             uint32
}

func (f *footer) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = appendUint64(dst, f.fileID)
	dst = appendUint64(dst, uint64(f.size))
	for _, p := range [...]place{f.index, f.top, f.tags, f.filter, f.props} {
		dst = appendUint64(dst, uint64(p.offset))
		dst = appendUint64(dst, uint64(p.length))
	}
	dst = appendUint64(dst, f.minTime)
	dst = appendUint64(dst, f.maxTime)
	dst = append(dst, footerMagic...)
	f.crc = disk.CRC(seed(f.fileID), dst[start+4:])
	binary.LittleEndian.PutUint32(dst[start:], f.crc)
	return dst
}

// parse decodes the last footerSize bytes of a file of size bytes that should
// have the given ID.
func (f *footer) parse(b []byte, fileID uint64, size int64) error {
	if len(b) != footerSize || string(b[footerSize-8:]) != footerMagic {
		return fmt.Errorf("%w: no magic", errFooter)
	}
	f.crc = binary.LittleEndian.Uint32(b)
	if got := disk.CRC(seed(fileID), b[4:]); got != f.crc {
		return fmt.Errorf("%w: checksum %08x, want %08x", errFooter, got, f.crc)
	}
	f.version = binary.LittleEndian.Uint32(b[4:])
	if f.version > formatVersion {
		return fmt.Errorf("%w: %d, this program reads up to %d", ErrVersion, f.version, formatVersion)
	}
	f.fileID, f.size = load64(b, 8), int64(load64(b, 16))
	if f.fileID != fileID || f.size != size {
		return fmt.Errorf("%w: file %d of %d bytes, want %d of %d", errFooter, f.fileID, f.size, fileID, size)
	}
	end := uint64(headerSize)
	for i, p := range [...]*place{&f.index, &f.top, &f.tags, &f.filter, &f.props} {
		off, n := load64(b, 24+16*i), load64(b, 32+16*i)
		if off < end || off > uint64(size)-footerSize || n > uint64(size)-footerSize-off {
			return fmt.Errorf("%w: section %d at %d, %d bytes", errFooter, i, off, n)
		}
		p.offset, p.length = int64(off), int(n)
		end = off + n
	}
	f.minTime, f.maxTime = load64(b, 104), load64(b, 112)
	return nil
}

// appendProperties encodes what the footer has no room for.
func appendProperties(dst []byte, p *Properties, seed uint32) []byte {
	start := len(dst)
	for _, v := range [...]uint64{
		p.Rows, p.Deletes, p.Series, p.Blocks, p.PackedBlocks,
		uint64(p.DataBytes), uint64(p.IndexBytes), p.MinSeq, p.MaxSeq, uint64(p.Window),
	} {
		dst = appendUint64(dst, v)
	}
	dst = append(dst, p.Class, byte(p.Codec), 0, 0, 0, 0, 0, 0)
	for _, k := range [...][]byte{p.MinKey, p.MaxKey} {
		dst = binary.AppendUvarint(dst, uint64(len(k)))
		dst = append(dst, k...)
	}
	return binary.LittleEndian.AppendUint32(dst, disk.CRC(seed, dst[start:]))
}

// parseProperties is the inverse of appendProperties for a verified section
// without its checksum. The keys are copies.
func parseProperties(b []byte, p *Properties) error {
	f := fields{b: append([]byte(nil), b...)}
	p.Rows, p.Deletes, p.Series = f.uint64(), f.uint64(), f.uint64()
	p.Blocks, p.PackedBlocks = f.uint64(), f.uint64()
	p.DataBytes, p.IndexBytes = int64(f.uint64()), int64(f.uint64())
	p.MinSeq, p.MaxSeq, p.Window = f.uint64(), f.uint64(), int64(f.uint64())
	flags := f.uint64()
	p.Class, p.Codec = byte(flags), Codec(flags>>8)
	p.MinKey, p.MaxKey = f.bytes(kv.MaxKey), f.bytes(kv.MaxKey)
	if f.bad || len(f.b) > 0 {
		return fmt.Errorf("%w: properties", errFooter)
	}
	return nil
}
