package engine

import (
	"fmt"
	"path"

	"tskv/disk"
	"tskv/manifest"
)

// Restore turns the copy of a store in dir, a checkpoint or what a backup holds,
// into a store with a history of its own. The log segments in it are replayed in
// whole groups as far as position to, which is the last sequence that may be in
// it; 0 replays nothing. It returns the position reached, at most to. What was
// replayed is in tables afterwards, the log is gone, and the database has another
// ID, so that no segment of the old history is ever taken for one of the new.
//
// It is not atomic: dir is a place that nobody takes for a store yet.
func Restore(dir string, opt Options, to uint64) (reached uint64, err error) {
	opt.bounded, opt.replayTo, opt.ArchiveBytes = true, to, 0
	if opt.FS == nil {
		if opt.FS, err = disk.NewOS(dir); err != nil {
			return 0, fmt.Errorf("restore %s: %w", dir, err)
		}
	}
	db, err := Open(dir, opt)
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	if err := db.Close(); err != nil {
		return 0, fmt.Errorf("restore %s: %w", dir, err)
	}
	if reached, err = beginHistory(opt.FS); err != nil {
		return 0, fmt.Errorf("restore %s: %w", dir, err)
	}
	return reached, nil
}

// beginHistory removes the log of a store that is closed, and gives it a new ID.
func beginHistory(fsys disk.FS) (position uint64, err error) {
	state, err := manifest.Load(fsys)
	if err != nil {
		return 0, err
	}
	names, err := fsys.List(disk.SegmentDir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := fsys.Remove(path.Join(disk.SegmentDir, name)); err != nil {
			return 0, err
		}
	}
	if err := fsys.SyncDir(disk.SegmentDir); err != nil {
		return 0, err
	}
	state.DBID = newDatabaseID()
	state.Generation++
	return state.FlushedSeq, manifest.Store(fsys, state)
}
