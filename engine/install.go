package engine

import (
	"fmt"
	"slices"
	"time"

	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// installFlush makes the files of a flush live: it replaces the manifest, which is
// the moment of truth, and then swaps the version. It tries again after a failure
// until the store closes, because the files are written already.
func (db *DB) installFlush(m *memory, added []manifest.File, edit func(*manifest.State)) error {
	opened, err := db.adopt(added)
	if err != nil {
		return err
	}
	for {
		err := db.replaceManifest(opened, added, nil, edit, m)
		if err == nil {
			return nil
		}
		db.announceFlush(err)
		if !db.pauseRetry("replace manifest", err) {
			closeTables(opened)
			db.discard(added)
			return err
		}
	}
}

// discard removes tables whose installation was given up, so that they do not
// fill the disk until the next start; not if the manifest on disk may list them,
// because only the sync after its rename failed.
func (db *DB) discard(added []manifest.File) {
	onDisk, err := manifest.Load(db.fs)
	if err != nil || onDisk.Generation != db.state.Load().Generation {
		return
	}
	for _, f := range added {
		db.removeTable(f.ID)
	}
}

// installMerge makes the outputs of a compaction live and its inputs dead.
// db.compactMu is held. It tries once, so that Compact and Close need not wait for
// a disk that stays ill. After a failure the manifest on disk may be the old or
// the new one, so neither inputs nor outputs may go: the outputs are orphans
// until a manifest without them is durable.
func (db *DB) installMerge(outputs []manifest.File, inputs []uint64) error {
	opened, err := db.adopt(outputs)
	if err != nil {
		return err
	}
	if err := db.replaceManifest(opened, outputs, inputs, nil, nil); err != nil {
		closeTables(opened)
		for _, f := range outputs {
			db.orphans = append(db.orphans, f.ID)
		}
		return err
	}
	for _, id := range inputs {
		db.removeTable(id)
	}
	return nil
}

// removeOrphans writes the manifest once more, without the orphans, and removes
// them. db.compactMu is held.
func (db *DB) removeOrphans() error {
	if len(db.orphans) == 0 {
		return nil
	}
	if err := db.replaceManifest(nil, nil, nil, nil, nil); err != nil {
		return fmt.Errorf("replace manifest: %w", err)
	}
	for _, id := range db.orphans {
		db.removeTable(id)
	}
	db.orphans = nil
	return nil
}

// pauseRetry logs a failure of background work and waits before the next try;
// false if there shall be none.
func (db *DB) pauseRetry(what string, err error) bool {
	if db.recovering {
		return false
	}
	db.log.Error(what, "error", err)
	select {
	case <-time.After(db.options.retryPause):
		return true
	case <-db.stopping:
		return false
	}
}

func (db *DB) replaceManifest(opened []*table, added []manifest.File, removed []uint64, edit func(*manifest.State), flushed *memory) error {
	db.installMu.Lock()
	defer db.installMu.Unlock()
	next := nextState(db.state.Load(), added, removed, edit)
	if err := compaction.CheckOrder(next.Files); err != nil {
		panic("BUG: engine: " + err.Error())
	}
	db.prune(next, edit != nil)
	if err := db.withRoom("manifest", smallNeed, func() error { return manifest.Store(db.fs, next) }); err != nil {
		return err
	}
	db.state.Store(next)
	db.swapTables(opened, removed, next, edit != nil, flushed)
	return nil
}

// adopt opens new files. After an error the files are gone: whoever built them
// builds them again.
func (db *DB) adopt(added []manifest.File) ([]*table, error) {
	opened, err := db.openTables(added)
	if err == nil {
		return opened, nil
	}
	for _, f := range added {
		db.removeTable(f.ID)
	}
	return nil, err
}

// nextState applies one installation to the manifest's state.
func nextState(state *manifest.State, added []manifest.File, removed []uint64, edit func(*manifest.State)) *manifest.State {
	next := *state
	next.Generation++
	next.Clean = false
	gone := make(map[uint64]bool, len(removed))
	for _, id := range removed {
		gone[id] = true
	}
	next.Files = make([]manifest.File, 0, len(state.Files)+len(added))
	for _, f := range state.Files {
		if !gone[f.ID] {
			next.Files = append(next.Files, f)
		}
	}
	next.Files = append(next.Files, added...)
	for _, f := range added {
		next.NextFile = max(next.NextFile, f.ID+1)
	}
	next.Tombstones = slices.Clip(state.Tombstones) // an edit that appends copies them
	if edit != nil {
		edit(&next)
	}
	return &next
}

// openTables opens files; on error it closes the ones opened already.
func (db *DB) openTables(files []manifest.File) ([]*table, error) {
	var out []*table
	for _, f := range files {
		r, err := sstable.Open(db.fs, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC},
			sstable.ReaderOptions{NoMmap: db.options.NoMmap, Cache: db.cache, Maps: db.maps, Blocks: &db.metrics.BlocksDecoded})
		if err != nil {
			closeTables(out)
			return nil, err
		}
		out = append(out, &table{Reader: r, file: f, db: db})
	}
	return out, nil
}

func closeTables(tables []*table) {
	for _, t := range tables {
		_ = t.Close() // read-only files
	}
}

// swapTables makes a version with other tables; flushed, if not nil, is the memtable
// that the opened ones were written from.
func (db *DB) swapTables(opened []*table, removed []uint64, next *manifest.State, edited bool, flushed *memory) {
	gone := make(map[uint64]bool, len(removed))
	for _, id := range removed {
		gone[id] = true
	}
	db.versionMu.Lock()
	defer db.versionMu.Unlock()
	old := db.current.Load()
	tables := opened
	for _, t := range old.tables() {
		if !gone[t.file.ID] {
			tables = append(tables, t)
		}
	}
	frozen := old.frozen
	if flushed != nil {
		if old.mem[frozen] != flushed {
			panic("BUG: engine: flush of a memtable that is not the oldest frozen one")
		}
		frozen--
		for _, t := range opened {
			if !flushed.trimmed {
				flushed.files = append(flushed.files, t.file.ID)
			}
		}
	}
	tombs := old.tombs
	if edited || tombs.Len() != len(next.Tombstones) {
		tombs = kv.NewTombstones(next.Tombstones)
	}
	db.hotFiles.Store(int64(compaction.HotFiles(next.Files, compaction.PickOptions{Avoid: db.damaged.avoid, MaxFileBytes: split(db.options.Memory).file})))
	db.swap(newVersion(db.keepWarm(old.mem, frozen, gone), frozen, tables, tombs))
	if db.queue != nil {
		db.queue.signal() // the commit goroutine lets go of the old version
	}
}

// removeTable unlinks a dead file; readers that still have it open go on.
func (db *DB) removeTable(id uint64) {
	if db.doomed.keep(id) {
		return // a checkpoint is being made of it
	}
	if err := db.fs.Remove(disk.TableName(id)); err != nil {
		db.log.Warn("remove table", "file", id, "error", err)
	}
}
