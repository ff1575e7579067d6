package engine

import (
	"errors"
	"fmt"

	"tskv/kv"
)

var (
	// ErrClosed is returned by everything after Close.
	ErrClosed = errors.New("the database is closed")
	// ErrBusy is returned when a write waited too long for room in the queue.
	ErrBusy = errors.New("storage stalled")
	// ErrReadOnly is wrapped by the error of every write that is refused because
	// of a failed sync (for good) or a full disk (until there is room).
	ErrReadOnly = errors.New("writes are refused")
	// ErrTooLarge is returned for a batch over MaxBatchBytes or MaxBatchOps.
	ErrTooLarge = errors.New("batch too large")
	// ErrKey is returned for a key that is empty or longer than MaxKey.
	ErrKey = errors.New("a key has 1 to 65535 bytes")
	// ErrValue is returned for a value over kv.MaxValue bytes.
	ErrValue = errors.New("value too large")
	// ErrWrongType is returned for a command on a key of another kind.
	ErrWrongType = errors.New("wrong kind of value")
	// ErrIDExhausted is returned when no ID follows the last one asked for.
	ErrIDExhausted = errors.New("no ID is left after the key's last ID")
	// ErrIDTooSmall is returned for "time-*" when the key already has a later ID.
	ErrIDTooSmall = errors.New("the ID is not after the key's last ID")
	// ErrSnapshotTooOld is returned by a snapshot, and by its scans, that had to give
	// up memory.
	ErrSnapshotTooOld = errors.New("the snapshot keeps too much memory: read faster, or again")
	// ErrConflict is matched by every *ConflictError.
	ErrConflict = errors.New("conflict")
)

// ConflictError is the answer to a compare-and-append whose key has moved on.
type ConflictError struct {
	Last kv.ID // the key's last ID now; the zero ID if it has no record
}

// Error names the last ID.
func (e *ConflictError) Error() string { return fmt.Sprintf("conflict: last=%s", e.Last) }

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
