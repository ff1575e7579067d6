package wal

import (
	"encoding/binary"
	"fmt"

	"tskv/disk"
)

// A log is a directory of segments wal/%016x.wal, numbered upwards (numbers may
// be skipped, never reused). All integers are little-endian; CRC is CRC32C.
//
//	segment = header, record, record, ..., tail
//
//	segment header, 64 bytes
//	+--------+----------+----------+-----------+---------+-------------+-------+------+----------+-----+
//	| magic  | segNo    | firstSeq | prevSegNo | prevLen | prevLastCRC | flags | dbID | reserved | crc |
//	| 8      | u64      | u64      | u64       | u64     | u32         | u32   | u64  | u32 = 0  | u32 |
//	| @0     | @8       | @16      | @24       | @32     | @40         | @44   | @48  | @56      | @60 |
//	+--------+----------+----------+-----------+---------+-------------+-------+------+----------+-----+
//
//	magic        "TSKVWAL1"; the last byte is the version. Every version keeps
//	             magic at 0 and, at 60, the crc of bytes 0..59, so that a newer
//	             one is told apart from a damaged one (ErrVersion).
//	firstSeq     no record of the segment has a lower sequence
//	prev...      the segment before: number (0 = none), offset at which its last
//	             record ends, crc of that record (0 = it has none). Bytes behind
//	             prevLen are what a failed write left there: ignored.
//	flags        1 = recycled: the tail may hold records of a retired segment
//	             2 = recovered: first segment after a Replay, see below
//
// A segment gets its name only after everything in its predecessor is durable
// (Rotate syncs). So a segment that has a successor is never torn: whatever is
// missing or wrong in it is corruption. The exception is a predecessor that was
// replayed: what Replay read may have been in the page cache only. So if the
// successor is flagged recovered, its predecessor may be torn as long as no
// record follows: the engine writes none before the replayed ones are safe
// elsewhere.
//
//	record, aligned to 8 bytes
//	+-----+-----+----------+------+------+-------+-------+----------+---------+----------+
//	| crc | len | firstSeq | nOps | type | codec | flags | syncedTo | payload | zero pad |
//	| u32 | u32 | u64      | u32  | u8   | u8    | u16=0 | u64      | len     | 0..7     |
//	| @0  | @4  | @8       | @16  | @20  | @21   | @22   | @24      | @32     |          |
//	+-----+-----+----------+------+------+-------+-------+----------+---------+----------+
//
//	crc       over bytes 4..32+len, starting from seed(segNo, dbID) xor offset/8.
//	          Two segments of a database whose numbers differ by less than 2^32
//	          have different seeds, so stale bytes of a recycled file never
//	          verify where they lie, nor does a record that was moved.
//	len       stored bytes of the payload, 1..128 MiB; 0 = nothing here
//	firstSeq  sequence of the first operation; above all of the record before
//	type      1 group: nOps >= 1 operations
//	          2 seal: end of a log that was closed in order. nOps = 0, firstSeq =
//	          the next sequence, payload = the highest sequence of the log, u64
//	codec     0 none, 1 s2 block (decodes to at most 128 MiB and 64 times len)
//	syncedTo  everything in this segment before that offset was durable when the
//	          record was written; 0 = not even the header was
//
// An unknown type, codec or flag in a record with a good crc is ErrVersion.
//
// The log ends at the first offset o of the last segment at which no record
// verifies. Zeros there (a tail filled ahead) and stale bytes are normal. If a
// record after o verifies and claims syncedTo > o, then bytes that had been
// durable are gone: corruption. Otherwise it is a torn tail. The same rule with
// o = 0 holds for a last segment whose header is not there.
const (
	segmentHeaderSize = 64
	recordHeaderSize  = 32
	recordAlign       = 8
	sealPayloadSize   = 8

	// MaxPayload is the largest payload of a record in bytes, as it is given to
	// Append and as it is stored.
	MaxPayload = 128 << 20

	// maxExpansion bounds what a forged record can make a reader allocate.
	maxExpansion = 64
)

// The magic without its version byte, and the version that is written.
const (
	magicPrefix   = "TSKVWAL"
	formatVersion = '1'
)

const (
	flagRecycled  uint32 = 1
	flagRecovered uint32 = 2
	knownFlags           = flagRecycled | flagRecovered
)

// RecordType says what a record's payload is.
type RecordType uint8

const (
	// TypeGroup is one commit group: all of it or nothing of it is in the log.
	TypeGroup RecordType = 1
	// TypeSeal ends a log that was closed in order. Replay does not hand it out.
	TypeSeal RecordType = 2
)

const (
	codecNone uint8 = 0
	codecS2   uint8 = 1
)

type segmentHeader struct {
	segment, firstSeq uint64
	prev              link
	flags             uint32
	dbID              uint64
}

// link names the end of a segment.
type link struct {
	segment uint64
	length  int64
	lastCRC uint32
}

// segmentSeed is where the checksums of a segment's records start.
func segmentSeed(segment, dbID uint64) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[0:], segment)
	binary.LittleEndian.PutUint64(b[8:], dbID)
	return disk.CRC(0, b[:])
}

func (h *segmentHeader) encode() []byte {
	b := make([]byte, 0, segmentHeaderSize)
	b = append(b, magicPrefix...)
	b = append(b, formatVersion)
	b = binary.LittleEndian.AppendUint64(b, h.segment)
	b = binary.LittleEndian.AppendUint64(b, h.firstSeq)
	b = binary.LittleEndian.AppendUint64(b, h.prev.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.prev.length))
	b = binary.LittleEndian.AppendUint32(b, h.prev.lastCRC)
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	b = binary.LittleEndian.AppendUint64(b, h.dbID)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, disk.CRC(0, b))
}

// decodeSegmentHeader reads the header of segment want. ok is false where there
// is none: torn, absent, or left by the segment that the file was recycled from.
func decodeSegmentHeader(b []byte, file string, want, dbID uint64) (h segmentHeader, ok bool, err error) {
	if len(b) < segmentHeaderSize || string(b[:len(magicPrefix)]) != magicPrefix ||
		binary.LittleEndian.Uint32(b[60:]) != disk.CRC(0, b[:60]) {
		return h, false, nil
	}
	if v := b[len(magicPrefix)]; v != formatVersion {
		return h, false, fmt.Errorf("read segment header: %w: file=%s version=%q", ErrVersion, file, v)
	}
	h.segment = binary.LittleEndian.Uint64(b[8:])
	if h.segment != want {
		return h, false, nil
	}
	h.firstSeq = binary.LittleEndian.Uint64(b[16:])
	h.prev.segment = binary.LittleEndian.Uint64(b[24:])
	length := binary.LittleEndian.Uint64(b[32:])
	h.prev.lastCRC = binary.LittleEndian.Uint32(b[40:])
	h.flags = binary.LittleEndian.Uint32(b[44:])
	h.dbID = binary.LittleEndian.Uint64(b[48:])
	switch {
	case h.flags&^knownFlags != 0 || binary.LittleEndian.Uint32(b[56:]) != 0:
		return h, false, fmt.Errorf("read segment header: %w: file=%s flags=%#x", ErrVersion, file, h.flags)
	case h.dbID != dbID:
		return h, false, disk.Corrupt(file, 48, "segment of database %016x, not of %016x", h.dbID, dbID)
	case h.prev.segment >= h.segment || length > maxFileBytes || length%recordAlign != 0:
		return h, false, disk.Corrupt(file, 24, "impossible predecessor %d of length %d", h.prev.segment, length)
	}
	h.prev.length = int64(length)
	return h, true, nil
}

type recordHeader struct {
	crc      uint32
	length   uint32
	firstSeq uint64
	ops      uint32
	kind     RecordType
	codec    uint8
	flags    uint16
	syncedTo int64
}

// encode writes all but the crc, which putCRC adds.
func (h *recordHeader) encode(b []byte) {
	_ = b[recordHeaderSize-1]
	binary.LittleEndian.PutUint32(b[4:], h.length)
	binary.LittleEndian.PutUint64(b[8:], h.firstSeq)
	binary.LittleEndian.PutUint32(b[16:], h.ops)
	b[20], b[21] = byte(h.kind), h.codec
	binary.LittleEndian.PutUint16(b[22:], h.flags)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.syncedTo))
}

func putCRC(record []byte, crc uint32) { binary.LittleEndian.PutUint32(record, crc) }

func (h *recordHeader) decode(b []byte) {
	_ = b[recordHeaderSize-1]
	h.crc = binary.LittleEndian.Uint32(b[0:])
	h.length = binary.LittleEndian.Uint32(b[4:])
	h.firstSeq = binary.LittleEndian.Uint64(b[8:])
	h.ops = binary.LittleEndian.Uint32(b[16:])
	h.kind, h.codec = RecordType(b[20]), b[21]
	h.flags = binary.LittleEndian.Uint16(b[22:])
	h.syncedTo = int64(binary.LittleEndian.Uint64(b[24:]))
}

// known reports whether this version can read the record.
func (h *recordHeader) known() bool {
	return (h.kind == TypeGroup || h.kind == TypeSeal) && h.codec <= codecS2 && h.flags == 0
}

// fits reports whether the record's length is possible in a file of size bytes.
func (h *recordHeader) fits(off, size int64) bool {
	return h.length > 0 && h.length <= MaxPayload && int64(h.length) <= size-off-recordHeaderSize
}

// recordSeed is where the checksum of the record at off starts.
func recordSeed(seed uint32, off int64) uint32 { return seed ^ uint32(off/recordAlign) }

// recordCRC is the checksum of a record: its header and payload, without pad.
func recordCRC(seed uint32, off int64, record []byte) uint32 {
	return disk.CRC(recordSeed(seed, off), record[4:])
}

// align rounds up to the next record offset.
func align(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }
