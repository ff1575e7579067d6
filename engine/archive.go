package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tskv/disk"
)

// archived is one log segment that is kept for backups.
type archived struct {
	no   uint64
	size int64
}

// releaseLog lets go of the log before a segment: recycled, or moved to the
// archive, of which the oldest go when it has grown over its bound.
func (db *DB) releaseLog(minSegment uint64) {
	db.archiveMu.Lock()
	defer db.archiveMu.Unlock()
	if err := db.wal.Release(minSegment); err != nil {
		db.log.Warn("release log segments", "error", err)
	}
	if db.options.ArchiveBytes > 0 {
		if err := db.trimArchive(); err != nil {
			db.log.Warn("look after the archive of the log", "error", err)
		}
	}
}

// archive lists the archived segments, oldest first. archiveMu is held.
func (db *DB) archive() ([]archived, error) {
	names, err := db.fs.List(disk.ArchiveDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []archived
	for _, name := range names {
		no, ok := disk.ParseArchived(path.Join(disk.ArchiveDir, name))
		if !ok {
			continue
		}
		size, err := db.fs.Stat(disk.ArchivedName(no))
		if err != nil {
			return nil, err
		}
		list = append(list, archived{no, size})
	}
	return list, nil
}

// trimArchive removes the oldest segments of an archive over its bound. Whoever
// restores from a backup older than those cannot go beyond it: so it is said
// aloud.
func (db *DB) trimArchive() error {
	list, err := db.archive()
	if err != nil {
		return err
	}
	var bytes int64
	for _, s := range list {
		bytes += s.size
	}
	for len(list) > 0 && bytes > db.options.ArchiveBytes {
		if err := db.fs.Remove(disk.ArchivedName(list[0].no)); err != nil {
			return err
		}
		db.metrics.ArchiveDropped.Inc()
		db.log.Warn("the archive of the log is full: a segment that no backup has taken is gone, and with it the way to restore to positions in it",
			"segment", list[0].no, "bytes", list[0].size)
		bytes -= list[0].size
		list = list[1:]
	}
	db.measureArchive(len(list), bytes)
	return nil
}

func (db *DB) measureArchive(segments int, bytes int64) {
	db.metrics.ArchiveSegments.Set(int64(segments))
	db.metrics.ArchiveBytes.Set(bytes)
}

// ReleaseArchive removes the archived log segments up to a number, because they
// are in a backup, and returns how many. Any goroutine.
func (db *DB) ReleaseArchive(last uint64) (int, error) {
	db.archiveMu.Lock()
	defer db.archiveMu.Unlock()
	if db.closed.Load() {
		return 0, ErrClosed
	}
	list, err := db.archive()
	if err != nil {
		return 0, fmt.Errorf("release archive: %w", err)
	}
	removed := 0
	var bytes int64
	for _, s := range list {
		if s.no > last {
			bytes += s.size
			continue
		}
		if err := db.fs.Remove(disk.ArchivedName(s.no)); err != nil {
			return removed, fmt.Errorf("release archive: %w", err)
		}
		removed++
	}
	db.measureArchive(len(list)-removed, bytes)
	return removed, nil
}
