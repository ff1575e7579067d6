// Package disk is the seam to the file system: every call that tskv makes goes
// through FS, so that a test can take power away or let any call fail. It also
// owns file names, the checksum, the atomic replacement of a file and the
// typed corruption error.
//
// It refuses to know records. It is a leaf. All methods of FS and File may be
// called from many goroutines, except that Close ends all other use.
package disk

import "io"

// FS is a directory tree. Names are slash-separated and relative to its root.
// Errors wrap *fs.PathError, so errors.Is(err, fs.ErrNotExist), syscall.ENOSPC
// and the like work. A name must pass CheckName; for a directory "." and "" are
// the root.
type FS interface {
	// Create makes a new file for reading and writing; fs.ErrExist if it is there.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)
	// Rename gives a file a new name, replacing what has it, or a directory one
	// that nobody has.
	Rename(from, to string) error
	// MoveOut gives a directory a place outside the root, on the same file system:
	// to is an absolute path of the operating system that nobody has, in a
	// directory that is there. It is durable when MoveOut returns. EXDEV for
	// another file system, ErrInside for a place inside the root.
	MoveOut(from, to string) error
	// Link gives a file a second name; fs.ErrExist if that is taken.
	Link(from, to string) error
	// Remove deletes the name of a file or an empty directory.
	Remove(name string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory and its parents, durably.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Stat returns a file's size in bytes.
	Stat(name string) (int64, error)
	// Lock takes a file as the exclusive lock of its directory, without waiting;
	// ErrLocked if another process has it.
	Lock(name string) (io.Closer, error)
	// Free returns the bytes that may still be written, and the disk's size.
	Free() (free, total uint64, err error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the name that the file was opened with.
	Name() string
	// Size returns the length in bytes.
	Size() (int64, error)
	// Sync makes content and length durable (fdatasync).
	Sync() error
	// Truncate sets the length.
	Truncate(size int64) error
	// Map maps the first size bytes read-only; a *CorruptError if the file is
	// shorter.
	Map(size int64) (Mapping, error)
	// DropCache tells the kernel that a range will not be read again soon.
	DropCache(off, n int64)
	// WriteBehind has the kernel begin to write a range to the disk, and does not
	// wait: so that a Sync of another file need not wait for all of a large one. It
	// makes nothing durable.
	WriteBehind(off, n int64)
}

// Mapping is a read-only view of a file's bytes. Reading it can fault when the
// file is cut behind its back: readers run under disk.Guard.
type Mapping interface {
	Bytes() []byte
	// WillNeed asks the kernel to read a range ahead.
	WillNeed(off, n int64)
	// DontNeed takes the map's pages out of the process's memory. They stay in
	// the page cache, and a reader that is looking at them gets them back from
	// there, or from the file.
	DontNeed()
	Close() error
}
