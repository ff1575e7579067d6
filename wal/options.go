package wal

import (
	"fmt"
)

// Bounds of Options.
const (
	DefaultSegmentBytes = 64 << 20
	MinSegmentBytes     = 4 << 10
	MaxSegmentBytes     = 1 << 30
	DefaultSpares       = 2
	MaxSpares           = 16
)

// Options describe a log. The zero value of a field means its default.
type Options struct {
	// SegmentBytes is the size at which a segment is Full, 4 KiB to 1 GiB;
	// default 64 MiB. A segment may end up larger by one record.
	SegmentBytes int64
	// DBID names the database; it is part of every checksum, so that the log of
	// another database is never replayed into this one.
	DBID uint64
	// Spares is how many files are kept ready for Rotate, at most 16; default 2,
	// negative for none.
	Spares int
	// Archive keeps retired segments, in the directory disk.ArchiveDir, for somebody
	// else to take away. None is recycled then.
	Archive bool
}

// Validate reports an Options that Create and Replay would refuse.
func (o Options) Validate() error {
	o = o.withDefaults()
	if o.SegmentBytes < MinSegmentBytes || o.SegmentBytes > MaxSegmentBytes {
		return fmt.Errorf("validate wal options: segment of %d bytes is not within %d..%d",
			o.SegmentBytes, MinSegmentBytes, MaxSegmentBytes)
	}
	if o.Spares > MaxSpares {
		return fmt.Errorf("validate wal options: %d spares are more than %d", o.Spares, MaxSpares)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.Spares == 0 {
		o.Spares = DefaultSpares
	}
	return o
}

// maxFileBytes bounds what Replay takes for a segment. A segment is left when
// it is Full, so it exceeds the largest SegmentBytes by one record at most.
const maxFileBytes = MaxSegmentBytes + MaxPayload + segmentHeaderSize + recordHeaderSize + recordAlign
