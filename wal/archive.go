package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"tskv/disk"
)

// SegmentInfo is what the header of a segment says.
type SegmentInfo struct {
	Segment    uint64
	FirstSeq   uint64 // no record of the segment has a lower sequence
	Prev       uint64 // the segment before; 0 = none
	PrevLength int64  // bytes of that one that belong to the log
	DBID       uint64
}

// ReadInfo reads the header of a segment, wherever the file lies. A file
// without a sound header is a *disk.CorruptError; ErrVersion for a newer one.
func ReadInfo(fsys disk.FS, name string) (SegmentInfo, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return SegmentInfo{}, fmt.Errorf("read segment header: %w", err)
	}
	b := make([]byte, segmentHeaderSize)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return SegmentInfo{}, fmt.Errorf("read segment header: %w", err)
	}
	h, ok, err := decodeSegmentHeader(b[:n], name, binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[48:]))
	if err == nil && !ok {
		err = disk.Corrupt(name, 0, "no segment header")
	}
	if err != nil {
		return SegmentInfo{}, fmt.Errorf("read segment header: %w", err)
	}
	return SegmentInfo{Segment: h.segment, FirstSeq: h.firstSeq, Prev: h.prev.segment, PrevLength: h.prev.length, DBID: h.dbID}, nil
}

// archive moves a retired segment out of the log, cut to its records and synced:
// what Replay read of it may have been in the page cache only.
func (l *Log) archive(no uint64) error {
	name := disk.SegmentName(no)
	f, err := l.fs.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// Without the next header the end is not known, and the file stays long. That
	// happens only where a number was skipped, once after some crashes.
	next, unknown := ReadInfo(l.fs, disk.SegmentName(no+1))
	size, err := f.Size()
	if err == nil && unknown == nil && next.Prev == no && next.PrevLength < size {
		err = f.Truncate(next.PrevLength)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(disk.ArchiveDir); err != nil {
		return err
	}
	return l.fs.Rename(name, disk.ArchivedName(no))
}
