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

// Compact flushes, and merges files until there is nothing to gain. Files that
// cannot be read are left as they are; if there are any, the error, after all the
// others were merged, names one.
func (db *DB) Compact() error {
	if err := db.Flush(); err != nil {
		return err
	}
	if err := db.compactAll(); err != nil {
		return err
	}
	return db.damaged.err()
}

func (db *DB) compactAll() error { return db.compactBy(db.choose) }

// chooser returns what to do next about the files of a version, which are those of a
// generation of the manifest; false if that is nothing. db.compactMu is held.
type chooser func(v *version, generation uint64) (compaction.Plan, bool)

// compactBy compacts until there is nothing left to choose.
func (db *DB) compactBy(choose chooser) error {
	for {
		done, err := db.compactOnce(choose)
		if err != nil || done {
			return err
		}
	}
}

// compactOnce does the next compaction; true if there is none to do.
func (db *DB) compactOnce(choose chooser) (bool, error) {
	db.compactMu.Lock()
	defer db.compactMu.Unlock()
	if db.isStopping() {
		return false, ErrClosed
	}
	if err := db.removeOrphans(); err != nil {
		return false, err
	}
	db.installMu.Lock() // so that both are of one moment
	v, generation := db.acquire(), db.state.Load().Generation
	db.installMu.Unlock()
	if v == nil {
		return false, ErrClosed
	}
	defer v.release()
	plan, ok := choose(v, generation)
	if !ok {
		swept, err := db.sweep()
		return !swept, err
	}
	err := db.carryOut(v, plan)
	if err != nil && db.setAside(err) {
		return false, nil // the next plan does without that file
	}
	return false, err
}

// choose is the chooser of everything that pays.
func (db *DB) choose(v *version, generation uint64) (compaction.Plan, bool) {
	db.examine(v)
	byID := make(map[uint64]*table)
	for _, t := range v.stored() {
		byID[t.file.ID] = t
	}
	opt := db.pickOptions(v)
	opt.Hidden = func(id uint64) uint64 {
		t := byID[id]
		if t == nil {
			return 0 // of the catalog, where keys are deleted row by row
		}
		return db.deletions.hiddenOf(t, v.tombs, max(t.file.Rows/compaction.RewriteFraction, 1))
	}
	if plan, ok := compaction.Pick(v.files(), opt); ok {
		return plan, true
	}
	plan, ok := db.purge(v)
	if !ok {
		plan, ok = db.reclaim(v)
	}
	if !ok {
		db.idleAt.Store(generation)
	}
	return plan, ok
}

func (db *DB) pickOptions(v *version) compaction.PickOptions {
	return compaction.PickOptions{
		Now:           uint64(max(db.options.Now().UnixMilli(), 0)),
		Tombstones:    v.tombs,
		MaxInputBytes: db.compactionRoom(),
		Avoid:         db.damaged.avoid,
		MaxFileBytes:  split(db.options.Memory).file,
	}
}

// carryOut merges what a plan says and installs the result.
func (db *DB) carryOut(v *version, plan compaction.Plan) error {
	start := time.Now()
	byID := make(map[uint64]*table)
	for _, t := range v.tables() {
		byID[t.file.ID] = t
	}
	inputs := make([]compaction.Input, len(plan.Inputs))
	removed := make([]uint64, len(plan.Inputs))
	for i, f := range plan.Inputs {
		inputs[i] = compaction.Input{Reader: byID[f.ID].Reader, File: f}
		removed[i] = f.ID
	}
	outputs, err := db.merge(inputs, v, plan)
	if err != nil {
		db.purging.again(plan, err)
		return fmt.Errorf("merge %d files (%s): %w", len(inputs), plan.Reason, err)
	}
	if plan.DropDeletes || plan.Covered {
		for i := range plan.Inputs {
			db.leaveUntold(plan.Inputs[i].MaxSeq)
		}
	}
	if err := db.installMerge(outputs, removed); err != nil {
		return fmt.Errorf("install merged files: %w", err)
	}
	db.forgetDamage(removed)
	db.metrics.Compactions.Inc()
	db.metrics.CompactionSeconds.Observe(time.Since(start))
	if plan.Covered {
		db.metrics.FilesDropped.Add(uint64(len(removed)))
	}
	db.log.Info("compacted", "reason", plan.Reason, "inputs", len(inputs), "outputs", len(outputs), "seconds", time.Since(start).Seconds())
	return nil
}

// errShortage ends a merge under which the disk became full: a flush needs the room
// more, and what the merge may take now is planned anew.
var errShortage = errors.New("the disk became full meanwhile")

func (db *DB) merge(inputs []compaction.Input, v *version, plan compaction.Plan) ([]manifest.File, error) {
	if !plan.Covered {
		for _, in := range inputs {
			db.metrics.CompactionBytesIn.Add(uint64(in.File.Size))
		}
	}
	var floor func(key []byte) kv.ID
	if plan.DropDeletes && plan.Class <= compaction.ClassData {
		floor = db.viewOf(v).floors()
	}
	var outputs []manifest.File
	wasFull := db.diskFull.Load()
	pace := func(n int64) error {
		if db.checkDisk(); !wasFull && db.diskFull.Load() {
			return errShortage
		}
		if err := db.beUrgent(&plan); err != nil {
			return err
		}
		return db.pace(n)
	}
	merge := func() (err error) {
		outputs, err = compaction.Merge(inputs, v.tombs, plan, compaction.Output{
			Floor:        floor,
			FS:           db.tableFS(),
			NextID:       db.nextFileID,
			Codec:        sstable.CodecZstd,
			MaxFileBytes: split(db.options.Memory).file,
			Pace:         pace,
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
