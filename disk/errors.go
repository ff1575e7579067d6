package disk

import (
	"errors"
	"fmt"
	"strconv"
)

var (
	// ErrLocked is wrapped by FS.Lock when another process, or another Lock of
	// this one, has the lock file.
	ErrLocked = errors.New("locked by another process")
	// ErrCorrupt is matched by every *CorruptError.
	ErrCorrupt = errors.New("corrupt")
	// ErrName is wrapped when a name is absolute, leaves the root or is not clean.
	ErrName = errors.New("a name must be relative, clean and inside the root")
	// ErrOutside is wrapped when a place outside the root is not an absolute path.
	ErrOutside = errors.New("a place outside the root needs an absolute path")
	// ErrInside is wrapped when a place outside the root was asked for and this is
	// the root or inside it.
	ErrInside = errors.New("the place is inside the root")
)

// UnknownOffset is the Offset of a CorruptError whose place is not known.
const UnknownOffset = -1

// CorruptError says which bytes of which file are not what was written. It
// matches ErrCorrupt.
type CorruptError struct {
	File   string // name relative to the root of the FS
	Offset int64  // bytes from the start of the file, or UnknownOffset
	Reason string
}

// Error names file, offset and reason, in this order.
func (e *CorruptError) Error() string {
	offset := "unknown"
	if e.Offset >= 0 {
		offset = strconv.FormatInt(e.Offset, 10)
	}
	return "corrupt file=" + e.File + " offset=" + offset + ": " + e.Reason
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Corrupt makes a *CorruptError whose reason is formatted as by fmt.Sprintf.
func Corrupt(file string, offset int64, format string, args ...any) error {
	return &CorruptError{File: file, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
