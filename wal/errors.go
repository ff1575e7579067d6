package wal

import "errors"

var (
	// ErrSyncFailed is final: the kernel may have dropped the bytes of a failed
	// sync, so a later sync that succeeds proves nothing. Every method that
	// writes returns it from then on; the error wraps the first cause.
	ErrSyncFailed = errors.New("log sync failed, restart needed")
	// ErrSegmentEnded means that the segment must be left by Rotate first: a
	// failed write could not be cut back, or an earlier Rotate stopped halfway.
	ErrSegmentEnded = errors.New("log segment ended")
	// ErrTooLarge is returned for a payload of more than MaxPayload bytes.
	ErrTooLarge = errors.New("log payload too large")
	// ErrNoRoom ends PrepareSpare when somebody needs the room more.
	ErrNoRoom = errors.New("room is short")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log closed")
	// ErrVersion means that an intact file or record was written by a newer
	// version of the format.
	ErrVersion = errors.New("log written by a newer version")
)
