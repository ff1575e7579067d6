package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tskv/disk"
)

// StopSpares begins a shortage: until the next PrepareSpare there are no more
// spares than those that wait now. Any goroutine.
func (l *Log) StopSpares() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lean = true
}

// DropSpares removes the files that wait for Rotate, because their room is
// needed, and returns how many there were. From now on, until the next
// PrepareSpare, retired segments are removed as well instead of kept, and a spare
// that is being made is given up soon. Any goroutine.
func (l *Log) DropSpares() (int, error) {
	l.StopSpares()
	dropped := 0
	for {
		sp, ok := l.takeSpare()
		if !ok {
			return dropped, nil
		}
		if err := l.fs.Remove(sp.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.putSpare(sp)
			return dropped, fmt.Errorf("drop spare: %w", err)
		}
		dropped++
	}
}

// RemoveSpares removes all spares of a log that is not open, and returns how many
// there were.
func RemoveSpares(fsys disk.FS) (int, error) {
	names, err := fsys.List(disk.SegmentDir)
	if err != nil {
		return 0, fmt.Errorf("remove spares: %w", err)
	}
	removed := 0
	for _, name := range names {
		name = path.Join(disk.SegmentDir, name)
		if kind, _, _ := disk.ParseName(name); kind != disk.KindTemp {
			continue
		}
		if err := fsys.Remove(name); err != nil {
			return removed, fmt.Errorf("remove spares: %w", err)
		}
		removed++
	}
	return removed, nil
}
