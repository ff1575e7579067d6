package engine

import (
	"errors"
	"fmt"
	"syscall"

	"tskv/wal"
)

// Reason says in one word why writes are refused.
type Reason string

// The reasons; there are no others, so that they can be labels of a metric.
const (
	// ReasonDiskFull: writes resume by themselves when there is room.
	ReasonDiskFull Reason = "disk_full"
	// ReasonRecovery: what was replayed at the start had no room in tables yet. It
	// is served from memory; writes resume by themselves when there is room.
	ReasonRecovery Reason = "recovery"
	// ReasonSyncFailed: final until a restart.
	ReasonSyncFailed Reason = "sync_failed"
)

// ReadOnlyError is the error of every write that is refused because of the disk.
// It matches ErrReadOnly and its cause.
type ReadOnlyError struct {
	Reason Reason
	Err    error // the disk's error, or what is missing
}

// Error says what the reason means, and the cause.
func (e *ReadOnlyError) Error() string {
	text := map[Reason]string{
		ReasonDiskFull:   ": the disk is full: ",
		ReasonRecovery:   ": the disk is full, so the log of the last run is still in memory: ",
		ReasonSyncFailed: " until a restart, because a sync of the log failed: ",
	}[e.Reason]
	return ErrReadOnly.Error() + text + e.Err.Error()
}

// Unwrap returns ErrReadOnly and the cause.
func (e *ReadOnlyError) Unwrap() []error { return []error{ErrReadOnly, e.Err} }

// ReadOnly returns why writes are refused at present, or nil. But for ErrClosed
// it is a *ReadOnlyError.
func (db *DB) ReadOnly() error {
	if err := db.refusal(); err != nil {
		return err
	}
	if err := db.short.noRoom.Load(); err != nil {
		return *err
	}
	return nil
}

// refusal returns why writes are refused at present, or nil. A log that has met a
// full disk is no reason: the next write is tried.
func (db *DB) refusal() error {
	if db.closed.Load() {
		return ErrClosed
	}
	return db.ailment()
}

// ailment returns what is wrong with the disk, so that writes are refused, or
// nil.
func (db *DB) ailment() error {
	if err := db.failure(); err != nil {
		return err
	}
	if db.diskFull.Load() {
		return &ReadOnlyError{ReasonDiskFull, fmt.Errorf("less than %d bytes are free above the reserve", db.options.MinFreeBytes)}
	}
	return nil
}

// failure returns why nothing can be written, not even what makes room, or nil.
func (db *DB) failure() error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	if err := db.short.unfinished.Load(); err != nil {
		return *err
	}
	return nil
}

// fail refuses all writes from now until a restart, because of a failed sync.
func (db *DB) fail(cause error) {
	var err error = &ReadOnlyError{ReasonSyncFailed, cause}
	if db.failed.CompareAndSwap(nil, &err) {
		db.log.Error("writes are refused until a restart", "error", err)
		db.showState()
	}
}

// writeError turns the log's error into the answer of the group.
func (db *DB) writeError(err error) error {
	switch {
	case errors.Is(err, wal.ErrSyncFailed):
		db.fail(err)
		return db.failure()
	case isFull(err):
		err = &ReadOnlyError{ReasonDiskFull, err}
		db.noteNoRoom(err)
		return err
	}
	return fmt.Errorf("write log: %w", err)
}

// isFull reports whether there was no room on the disk, which may change.
func isFull(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, wal.ErrSyncFailed)
}

// showState sets the gauges that say whether writes are refused, and why.
func (db *DB) showState() {
	db.short.showMu.Lock()
	defer db.short.showMu.Unlock()
	var why *ReadOnlyError
	errors.As(db.ReadOnly(), &why)
	gauge := func(on bool) int64 {
		if on {
			return 1
		}
		return 0
	}
	m := db.metrics
	m.ReadOnly.Set(gauge(why != nil))
	m.ReadOnlyFull.Set(gauge(why != nil && why.Reason == ReasonDiskFull))
	m.ReadOnlyRecovery.Set(gauge(why != nil && why.Reason == ReasonRecovery))
	m.ReadOnlySync.Set(gauge(why != nil && why.Reason == ReasonSyncFailed))
	m.ReserveBytes.Set(db.short.held.Load())
}
