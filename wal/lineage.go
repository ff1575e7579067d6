package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tskv/disk"
)

// lineage returns the link to the segment before one that Replay has found no
// predecessor of, because it was to begin with that number: a crash has come
// after the engine said so and before the segment was durable. Whoever replays
// the archive needs to know that nothing is missing in between.
func (l *Log) lineage() (link, error) {
	no, name := uint64(0), ""
	for _, retired := range l.retired {
		if retired > no {
			no, name = retired, disk.SegmentName(retired)
		}
	}
	names, err := l.fs.List(disk.ArchiveDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return link{}, err
	}
	for _, n := range names {
		n = path.Join(disk.ArchiveDir, n)
		if archived, ok := disk.ParseArchived(n); ok && archived > no {
			no, name = archived, n
		}
	}
	if no == 0 {
		return link{}, nil
	}
	end, err := endOf(l.fs, l.opt.DBID, segmentFile{no: no, name: name})
	if errors.Is(err, disk.ErrCorrupt) {
		return link{}, nil // of another database, or damaged: a gap for backups, nothing to the store
	}
	return end, err
}

// endOf reads a segment to its end.
func endOf(fsys disk.FS, dbID uint64, s segmentFile) (end link, err error) {
	if err := s.readHeader(fsys, dbID); err != nil || !s.ok {
		return link{}, err
	}
	r := &replay{fs: fsys, dbID: dbID, fn: func(*Record) error { return nil }}
	if err := r.w.open(fsys, s.name); err != nil {
		return link{}, err
	}
	defer func() { err = errors.Join(err, r.w.file.Close()) }()
	end = link{segment: s.no, length: segmentHeaderSize}
	for !r.sum.Sealed {
		size, crc, err := r.record(&s, segmentSeed(s.no, dbID), end.length)
		if errors.Is(err, errNoRecord) {
			break
		}
		if err != nil {
			return link{}, fmt.Errorf("look for the end of %s: %w", s.name, err)
		}
		end.length, end.lastCRC = end.length+size, crc
	}
	return end, nil
}
