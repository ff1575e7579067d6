package engine

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"tskv/disk"
	"tskv/manifest"
	"tskv/wal"
)

// recovered is what a replay of the log has left to do.
type recovered struct {
	start   time.Time
	sum     wal.Summary
	segment uint64 // the first one that is not of the log that was replayed
	clean   bool   // the manifest says that the last process ended in order
	tries   int    // to begin that segment
}

// settle ends a recovery: it writes what was replayed to synced tables, and only
// then begins a new log segment. It may be called again after an error.
func (db *DB) settle(r *recovered) error {
	for m := db.oldestFrozen(); m != nil; m = db.oldestFrozen() {
		if err := db.flush(m); err != nil {
			return fmt.Errorf("flush replayed log: %w", err)
		}
	}
	err := db.withRoom("log", smallNeed, func() (err error) {
		if r.tries++; r.tries > 1 {
			// A try that failed may have left its segment, which holds nothing.
			_ = db.fs.Remove(disk.SegmentName(r.segment))
		}
		db.wal, err = wal.Create(db.fs, db.walOptions(), r.segment, max(r.sum.LastSeq, db.visible.Load())+1, r.sum)
		return err
	})
	if err != nil {
		return err
	}
	db.releaseLog(r.segment)
	db.logRecovery(r)
	return nil
}

func (db *DB) logRecovery(r *recovered) {
	db.log.Info("recovered", "files", len(db.state.Load().Files), "keys", db.keys.Load(), "log_segments", r.sum.Segments,
		"log_bytes", r.sum.Bytes, "log_operations", r.sum.Ops, "torn_bytes", r.sum.TornBytes, "clean", r.clean,
		"seconds", time.Since(r.start).Seconds())
	if r.sum.TornBytes > 0 {
		db.log.Warn("the log ended in a torn record that was never acknowledged as durable",
			"segment", disk.SegmentName(r.sum.TornSegment), "offset", r.sum.TornOffset, "bytes", r.sum.TornBytes)
	}
}

// postpone lets the store open without the end of its recovery, because the disk
// is full: what was replayed is read from memory, and nothing can be written.
func (db *DB) postpone(r *recovered, cause error) {
	var err error = &ReadOnlyError{ReasonRecovery, cause}
	db.short.unfinished.Store(&err)
	db.pending = r
	db.log.Error("writes are refused: no room for what was replayed", "error", cause, "frozen_memtables", db.Stats().FrozenMemtables)
}

// finishRecovery tries until there is room for what was replayed, and then starts
// what writes. It is the only goroutine beside watch until then.
func (db *DB) finishRecovery() {
	r, told := db.pending, ""
	for {
		select {
		case <-time.After(db.options.retryPause):
		case <-db.stopping:
			return
		}
		err := db.settle(r)
		if err == nil {
			break
		}
		db.metrics.FlushErrors.Inc()
		if text := err.Error(); text != told {
			told = text
			db.log.Error("finish recovery", "error", err)
		}
		var now error = &ReadOnlyError{ReasonRecovery, err}
		db.short.unfinished.Store(&now)
	}
	db.startMu.Lock()
	defer db.startMu.Unlock()
	if db.ended {
		return
	}
	db.startWriting()
	db.short.unfinished.Store(nil)
	db.checkDisk()
	db.log.Info("the recovery is finished")
}

// markClean notes in the manifest that the process ended in order: all is in
// tables, and the log is sealed. The next start clears that before it writes.
func (db *DB) markClean() {
	next := nextState(db.state.Load(), nil, nil, func(s *manifest.State) { s.Clean = true })
	if err := db.withRoom("manifest", smallNeed, func() error { return manifest.Store(db.fs, next) }); err != nil {
		db.log.Warn("note the clean end; the next start looks at the log as after a crash", "error", err)
	}
}

// explain adds what to do to an error of Open, where that is known.
func explain(err error, files int) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w: raise the limit of open files (ulimit -n, LimitNOFILE=): each of the %d table files needs one, each client one", err, files)
	}
	return err
}
