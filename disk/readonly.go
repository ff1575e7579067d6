package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// readOnlyFS is a directory that is only looked at.
type readOnlyFS struct{ *osFS }

// NewReadOnly returns an existing directory as an FS that changes nothing, on
// the disk's side either: it works where the directory is mounted read-only.
// Every call that would change something fails with EROFS. Lock takes a shared
// lock on a lock file that is there: it keeps the owner of the store out, not
// other readers, and does not write its pid.
func NewReadOnly(root string) (FS, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	info, err := os.Stat(abs)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: abs, Err: unix.ENOTDIR}
	}
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	return &readOnlyFS{&osFS{root: abs}}, nil
}

func (r *readOnlyFS) refuse(op, name string) error {
	return &fs.PathError{Op: op, Path: r.path(name), Err: unix.EROFS}
}

// Create is refused.
func (r *readOnlyFS) Create(name string) (File, error) { return nil, r.refuse("create", name) }

// OpenWrite is refused.
func (r *readOnlyFS) OpenWrite(name string) (File, error) { return nil, r.refuse("open", name) }

// Rename is refused.
func (r *readOnlyFS) Rename(from, _ string) error { return r.refuse("rename", from) }

// Link is refused.
func (r *readOnlyFS) Link(from, _ string) error { return r.refuse("link", from) }

// Remove is refused.
func (r *readOnlyFS) Remove(name string) error { return r.refuse("remove", name) }

// MkdirAll is refused.
func (r *readOnlyFS) MkdirAll(dir string) error { return r.refuse("mkdir", dir) }

// SyncDir is refused.
func (r *readOnlyFS) SyncDir(dir string) error { return r.refuse("syncdir", dir) }

// Lock takes a shared flock(2) on a file that is there.
func (r *readOnlyFS) Lock(name string) (io.Closer, error) {
	if err := CheckName("lock", name); err != nil {
		return nil, err
	}
	path := r.path(name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f, unix.LOCK_SH); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("lock %s: %w%s", path, ErrLocked, holder(f))
		} else {
			err = &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
