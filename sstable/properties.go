package sstable

import "tskv/kv"

// Codec compresses the payloads of raw values.
type Codec uint8

// The codecs. A payload that would shrink by less than 10 % is kept as it is.
const (
	CodecS2   Codec = 0 // fast; the default, for flushes
	CodecZstd Codec = 1 // zstd level 1, for compaction output
	CodecNone Codec = 2
)

// Properties describe a finished table.
type Properties struct {
	FileID               uint64
	Size                 int64  // bytes
	Rows                 uint64 // deletes included
	Deletes              uint64
	Series               uint64
	MinKey, MaxKey       []byte
	MinTime, MaxTime     uint64
	MinSeq, MaxSeq       uint64 // operation sequences, as told by the writer's options
	Class                uint8
	Window               int64 // start of the time window, math.MinInt64 for none
	Codec                Codec
	FooterCRC            uint32
	DataBytes            int64 // blocks
	IndexBytes           int64 // block lists, index pages, top index
	FilterBytes          int64
	Blocks, PackedBlocks uint64
	TagSets              uint64 // in the file's dictionary
}

// Expect is what the manifest knows of a file; Open refuses any other.
type Expect struct {
	FileID    uint64
	Size      int64
	FooterCRC uint32
}

// Expect returns what Open has to be told to open the described file.
func (p *Properties) Expect() Expect {
	return Expect{FileID: p.FileID, Size: p.Size, FooterCRC: p.FooterCRC}
}

// SeriesStats is what the index knows of a series.
type SeriesStats struct {
	Rows    uint64 // deletes included
	Deletes uint64
	Blocks  int // 0 when the series shares a packed block
	MinID   kv.ID
	MaxID   kv.ID
}
