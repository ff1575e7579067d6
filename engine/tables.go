package engine

import (
	"errors"
	"fmt"
	"sync"

	"tskv/disk"
)

// errNamesLost ends a build of tables whose names an earlier failed sync of the
// directory may have lost: the kernel tells such an error once, perhaps to
// another goroutine, and the next sync says OK. Whoever built them builds again.
var errNamesLost = errors.New("a sync of the table directory has failed meanwhile")

// tableSyncs counts the failed syncs of the table directory.
type tableSyncs struct {
	mu     sync.Mutex
	failed int
	last   error
}

// tableFS is the disk as one build of tables sees it.
type tableFS struct {
	disk.FS
	syncs *tableSyncs
	since int // failed syncs before the first file of the build was made
}

func (db *DB) tableFS() disk.FS {
	db.tableSyncs.mu.Lock()
	defer db.tableSyncs.mu.Unlock()
	return &tableFS{FS: db.fs, syncs: &db.tableSyncs, since: db.tableSyncs.failed}
}

// SyncDir implements disk.FS.
func (t *tableFS) SyncDir(dir string) error {
	t.syncs.mu.Lock()
	defer t.syncs.mu.Unlock()
	if t.syncs.failed != t.since {
		return fmt.Errorf("%w: %w", errNamesLost, t.syncs.last)
	}
	err := t.FS.SyncDir(dir)
	if err != nil {
		t.syncs.failed, t.syncs.last = t.syncs.failed+1, err
	}
	return err
}
