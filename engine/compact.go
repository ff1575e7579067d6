package engine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"tskv/compaction"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// compactPeriod is how often compaction looks for closed windows even if nothing
// was flushed.
const compactPeriod = 10 * time.Second

// compactLoop merges files until there is nothing to gain, after each flush and
// from time to time.
func (db *DB) compactLoop() {
	tick := time.NewTicker(compactPeriod)
	defer tick.Stop()
	for {
		if err := db.compactAll(); err != nil && !errors.Is(err, ErrClosed) {
			db.metrics.CompactionErrors.Inc()
			if !db.pauseRetry("compact", err) {
				return
			}
		}
		select {
		case <-db.compactNudge:
		case <-tick.C:
		case <-db.stopping:
			return
		}
	}
}

// Compact flushes, and merges files until there is nothing to gain.
func (db *DB) Compact() error {
	if err := db.Flush(); err != nil {
		return err
	}
	return db.compactAll()
}

func (db *DB) compactAll() error {
	for {
		done, err := db.compactOnce()
		if err != nil || done {
			return err
		}
	}
}

// compactOnce does the next compaction; true if there is none to do.
func (db *DB) compactOnce() (bool, error) {
	db.compactMu.Lock()
	defer db.compactMu.Unlock()
	if db.isStopping() {
		return false, ErrClosed
	}
	if err := db.removeOrphans(); err != nil {
		return false, err
	}
	start := time.Now()
	v := db.acquire()
	if v == nil {
		return false, ErrClosed
	}
	defer v.release()
	files := make([]manifest.File, 0, len(v.data)+len(v.catalog))
	byID := make(map[uint64]*table)
	for _, t := range v.tables() {
		files = append(files, t.file)
		byID[t.file.ID] = t
	}
	plan, ok := compaction.Pick(files, compaction.PickOptions{
		Now:           uint64(max(db.options.Now().UnixMilli(), 0)),
		Tombstones:    v.tombs,
		MaxInputBytes: db.compactionRoom(),
	})
	if !ok {
		if plan, ok = db.purge(v); !ok {
			return true, nil
		}
	}
	inputs := make([]compaction.Input, len(plan.Inputs))
	removed := make([]uint64, len(plan.Inputs))
	for i, f := range plan.Inputs {
		inputs[i] = compaction.Input{Reader: byID[f.ID].Reader, File: f}
		removed[i] = f.ID
		db.metrics.CompactionBytesIn.Add(uint64(f.Size))
	}
	outputs, err := db.merge(inputs, v.tombs, plan)
	if err != nil {
		db.purging.again(plan, err)
		return false, fmt.Errorf("merge %d files (%s): %w", len(inputs), plan.Reason, err)
	}
	if err := db.installMerge(outputs, removed); err != nil {
		return false, fmt.Errorf("install merged files: %w", err)
	}
	db.metrics.Compactions.Inc()
	db.metrics.CompactionSeconds.Observe(time.Since(start))
	db.log.Info("compacted", "reason", plan.Reason, "inputs", len(inputs), "outputs", len(outputs), "seconds", time.Since(start).Seconds())
	return false, nil
}

// errShortage ends a merge under which the disk became full: a flush needs the room
// more, and what the merge may take now is planned anew.
var errShortage = errors.New("the disk became full meanwhile")

func (db *DB) merge(inputs []compaction.Input, tombs *kv.Tombstones, plan compaction.Plan) ([]manifest.File, error) {
	var outputs []manifest.File
	wasFull := db.diskFull.Load()
	pace := func(n int64) error {
		if db.checkDisk(); !wasFull && db.diskFull.Load() {
			return errShortage
		}
		return db.pace(n)
	}
	merge := func() (err error) {
		outputs, err = compaction.Merge(inputs, tombs, plan, compaction.Output{
			FS:     db.tableFS(),
			NextID: db.nextFileID,
			Codec:  sstable.CodecZstd,
			Pace:   pace,
		})
		return err
	}
	err := merge()
	for isFull(err) && plan.Reason == purgeReason && db.giveBack("purge", math.MaxInt64) { // it will free more
		err = merge()
	}
	for _, f := range outputs {
		db.metrics.CompactionBytesOut.Add(uint64(f.Size))
	}
	return outputs, err
}

// pace ends a compaction when the store closes, and lets a waiting flush go
// first.
func (db *DB) pace(int64) error {
	if db.isStopping() {
		return ErrClosed
	}
	if db.oldestFrozen() != nil {
		select {
		case <-db.flushed():
		case <-time.After(flushPatience):
		case <-db.stopping:
		}
	}
	return nil
}

// flushPatience is how long each written megabyte of a compaction waits for a
// flush: long enough that a flush gets most of the disk and the processor, and
// bounded, because a flush may itself wait for the disk space that a compaction
// would free.
const flushPatience = 20 * time.Millisecond

func (db *DB) isStopping() bool {
	select {
	case <-db.stopping:
		return true
	default:
		return false
	}
}

// compactionRoom is what a compaction may write at most: half of the disk that
// is free above MinFreeBytes, and half of all where less than that is free.
func (db *DB) compactionRoom() int64 {
	free, _, err := db.fs.Free()
	switch {
	case err != nil:
		return 1 // plans that only drop files are not bound
	case free <= db.options.MinFreeBytes:
		return int64(free/2) + 1 // in the end it takes no more than its inputs
	}
	return int64(min((free-db.options.MinFreeBytes)/2, 1<<62))
}
