package wal

import (
	"errors"
	"io/fs"

	"tskv/disk"
)

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
	next, unknown := ReadSegmentInfo(l.fs, disk.SegmentName(no+1))
	size, err := f.Size()
	if err == nil && unknown == nil && next.PrevSegment == no && next.PrevLength < size {
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
