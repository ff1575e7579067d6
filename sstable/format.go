package sstable

import "tskv/disk"

// The layout of a table file, sst/%016x.sst, version 2. What version 1 did not
// have is marked (2); the rest is the same. All integers are little-endian,
// "uvarint" is the one of encoding/binary, a CRC is CRC32C seeded with the low
// half of the file's ID xor its high half, so that a section of another file
// never verifies. Sections start at multiples of 8 (the filter: 64), the gaps
// are zero and belong to nothing.
//
//	header | blocks and block lists | index pages | top index | tag sets | filter | properties | footer
//
// Header, 64 bytes:
//
//	 0 magic "TSKVSST1"   8 version u32   12 class u8   13 codec u8   14 zero u16
//	16 fileID u64        24 minSeq u64    32 maxSeq u64  40 window i64
//	48 zero 12 bytes     60 crc u32 over [0, 60)
//
// Block: a header of 32 bytes, a directory, columns, 8 zero bytes. At most 8192
// rows. The rows of a block ascend by ID (in a packed block: within each run).
//
//	 0 crc u32 over [4, length)   4 length u32   8 kind u8   9 scale mode u8
//	10 columns u8   11 scale u8  12 rows u16    14 series u16
//	16 minTime u64  24 maxTime u64
//	directory: columns x { id u8, encoding u8, zero u16, length u32 }
//
// Kinds 1 numeric and 2 raw hold rows of one series; 3 packed numeric and 4
// packed raw hold runs (the rows of one series each, fewer than 256) of up to
// 1024 series in key order. An absent column is all zeros.
//
//	time, seq       the ID
//	num             mantissa (i64); zero for other rows of raw blocks, anything
//	                for the exceptions of numeric blocks
//	form            kv.Form of each row (raw), or its decimals (numeric, explicit)
//	length, payload raw blocks: bytes of each FormRaw value, and all of them in a row
//	tags            tag set of each row: 0 none, 2i+1 number i of the file, 2i+2 number i of the block
//	tagSets         the block's own sets, as in the file's section
//	exceptions      numeric blocks: count u16, count x { row u16, form u8, zero u8, length u32 }, the bytes
//	runs            packed: rows of each run
//	keys            packed: uvarint bytes shared with the key before, uvarint length of the rest, the rest;
//	                (2) if compressed, their length u32 comes before
//	id | 0x80       packed: the first value of each run; column id then holds differences to
//	                the row before (anything in the first row of a run)
//
// Scale modes of numeric blocks; the block's scale is that of its widest row:
//
//	0 uniform    every decimal row has the block's scale
//	1 trimmed    mantissas at the block's scale; a row has the fewest decimals that lose no digit
//	2 explicit   mantissas at the block's scale; the form column has each row's decimals
//	3 unaligned  mantissas at each row's own scale; the form column has it
//
// Integer columns of n values; every sum wraps around at 64 bits:
//
//	0 CONST        value
//	1 CONST_DELTA  first, step
//	2 FOR          value = anchor + packed
//	3 DELTA_FOR    value = value before + delta + packed; the first one of a miniblock is its anchor
//	4 LINEAR_FOR   value = anchor + j*delta + packed, j = row in the miniblock
//	5 RAW64        8 bytes each
//	6 FOR+ZSTD     (2) value = base + packed
//	7 DELTA_FOR+ZSTD (2) value = value before + base + packed; the first one is first, its packed value nothing
//
// 6 and 7 are for the columns time to tags. They have no miniblocks:
//
//	first u64 | base u64 | width u8 (1 to 64) | zstd frame of the n values at width bits
//
// FOR, DELTA_FOR and LINEAR_FOR come in miniblocks of 128 values (the last may
// be shorter), each of which can be found and decoded alone:
//
//	anchorBase u64 | deltaBase u64 | anchorBytes u8 | deltaBytes u8 | width u8[m]
//	anchor[m], anchorBytes each, plus anchorBase | delta[m], deltaBytes each, plus deltaBase
//	values at width bits, least significant bit first: 16*width bytes a miniblock
//
// Byte columns: 16 as they are, 17 S2 block, 18 zstd frame.
//
// Block list of a series of two or more own blocks: leaves of up to 63 records,
// and a root over the leaves if there are several.
//
//	header { kind u8 (1 leaf, 2 root), zero 3 bytes, count u32, zero u64 }
//	count x { offset u64, length u32, rows u16, deletes u16 (root: blocks u32),
//	          minTime, minSeq, maxTime, maxSeq u64, tag bits u64, rows of the series before u64 }
//	crc u32 over all before, zero u32
//
// Index page, at most 4096 bytes unless one key needs more: entries in key
// order, u16 offsets of every 16th entry (which share nothing with the key
// before), their count u16, crc u32.
//
//	entry  uvarint shared, uvarint rest, rest, uvarint body length, body
//	body   flags u8 (0x03: 0 own block, 1 packed, 2 block list; 4 has seqs; 8 has deletes; 16 has tags)
//	       uvarint rows, [deletes], minTime - file's, maxTime - minTime, [minSeq, maxSeq]
//	       uvarint offset/8, uvarint length; packed: uvarint run, uvarint first row;
//	       list: uvarint blocks; [tag bits u64]
//	       (2) flag 32, packed only and not at every 16th entry: the run after that of the entry before in the
//	       same block. Offset, length, run and first row are left out; minTime and maxTime - minTime are zigzag
//	       varints of the difference to those of the entry before. With it flag 64: rows as before, left out.
//
// Tag bits are a superset: bit (crc of the tag, unseeded) & 63 of every tag.
//
// Top index: count u32, count x { uvarint key length, first key of the page,
// offset u64, length u32 }, crc u32. Tag sets: count u32, count x { uvarint
// length, kv.TagSet }, crc u32.
//
// Filter: words u64 of a bloom.BloomFilter over the keys, m u64, k u32 = 7, crc u32.
//
// Properties: rows, deletes, series, blocks, packed blocks, data bytes, index
// bytes, minSeq, maxSeq (u64 each), window i64, class u8, codec u8, zero 6
// bytes, uvarint length + minKey, uvarint length + maxKey, crc u32.
//
// Footer, 128 bytes at the end:
//
//	  0 crc u32 over [4, 128)   4 version u32   8 fileID u64   16 file size u64
//	 24 index, 40 top index, 56 tag sets, 72 filter, 88 properties: { offset u64, length u64 }
//	104 minTime u64   112 maxTime u64   120 magic "TSKVEND1"
const (
	formatVersion = 2

	headerSize  = 64
	headerMagic = "TSKVSST1"
	footerSize  = 128
	footerMagic = "TSKVEND1"

	maxBlockRows     = 8192
	miniblockRows    = 128
	maxMiniblocks    = maxBlockRows / miniblockRows
	columnHeaderSize = 18
	blockHeaderSize  = 32
	directorySize    = 8  // an entry
	maxColumns       = 16 // in a block

	// A raw block carries up to this much payload, or one larger value.
	maxBlockPayload = 32 << 10
	// Shorter runs share packed blocks.
	minOwnRows   = 256
	maxPackedRun = 1024

	listHeaderSize = 16
	listRecordSize = 64
	maxLeafRecords = 63 // a leaf stays below 4096 bytes

	maxPageSize    = 4096
	restartEvery   = 16
	maxTagSets     = 1 << 16 // of the file's dictionary; further ones go to the blocks
	maxTagSetBytes = 1 << 20

	filterBitsPerKey = 10
	filterHashes     = 7
)

const (
	kindNumeric       = 1
	kindRaw           = 2
	kindPackedNumeric = 3
	kindPackedRaw     = 4
)

const (
	colTime       = 1
	colSeq        = 2
	colNum        = 3
	colForm       = 4
	colLength     = 5
	colTags       = 6
	colRuns       = 7
	colPayload    = 8
	colExceptions = 9
	colTagSets    = 10
	colKeys       = 11
	maxColumnID   = 11
	firstsBit     = 0x80
)

const (
	scaleUniform   = 0
	scaleTrimmed   = 1
	scaleExplicit  = 2
	scaleUnaligned = 3
)

const (
	encConst        = 0
	encConstDelta   = 1
	encFor          = 2
	encDeltaFor     = 3
	encLinearFor    = 4
	encRaw64        = 5
	encForZstd      = 6
	encDeltaForZstd = 7
	encBytes        = 16
	encS2           = 17
	encZstd         = 18
)

const (
	listLeaf = 1
	listRoot = 2
)

// seed returns the start of every checksum of a file.
func seed(fileID uint64) uint32 { return uint32(fileID) ^ uint32(fileID>>32) }

// tagBit returns the bit that stands for a tag in the tag bits of a block.
func tagBit(tag []byte) uint64 { return 1 << (disk.CRC(0, tag) & 63) }
