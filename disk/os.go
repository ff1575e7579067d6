package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	dirMode  = 0o750 // data is its owner's business
	fileMode = 0o640
)

// osFS is a directory of the operating system.
type osFS struct {
	root string // absolute
}

// NewOS returns the directory root as an FS and makes it, durably, if it is
// absent. Symbolic links below the root are followed: whoever may write there
// may put the log on a disk of its own.
func NewOS(root string) (FS, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	if err := makeDirs(abs, abs); err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	return &osFS{root: abs}, nil
}

// makeDirs makes a directory and its parents, and syncs what holds each from
// root down, even if it was there: the process that made it may have died
// before it did so. What holds root may be closed to us; it is synced if it is
// open.
func makeDirs(root, dir string) error {
	parent := filepath.Dir(dir)
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	case err == nil && len(dir) > len(root):
		return errors.Join(makeDirs(root, parent), syncDir(parent))
	case err == nil:
		if err := syncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist) || parent == dir:
		return err
	}
	if err := makeDirs(root, parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// path is the operating system's path of a checked name.
func (o *osFS) path(name string) string { return filepath.Join(o.root, filepath.FromSlash(name)) }

// Create makes a new file.
func (o *osFS) Create(name string) (File, error) {
	return o.open("create", name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open opens a file for reading.
func (o *osFS) Open(name string) (File, error) { return o.open("open", name, os.O_RDONLY) }

// OpenWrite opens a file for reading and writing.
func (o *osFS) OpenWrite(name string) (File, error) { return o.open("open", name, os.O_RDWR) }

func (o *osFS) open(op, name string, flags int) (File, error) {
	if err := CheckName(op, name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(o.path(name), flags, fileMode)
	if err != nil {
		return nil, err
	}
	file, err := newOSFile(name, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file, nil
}

// Rename moves a name.
func (o *osFS) Rename(from, to string) error {
	if err := checkNames("rename", from, to); err != nil {
		return err
	}
	return linkError(os.Rename(o.path(from), o.path(to)))
}

// Link gives a second name.
func (o *osFS) Link(from, to string) error {
	if err := checkNames("link", from, to); err != nil {
		return err
	}
	return linkError(os.Link(o.path(from), o.path(to)))
}

// linkError gives the errors of calls with two names the type of all others.
func linkError(err error) error {
	var link *os.LinkError
	if errors.As(err, &link) {
		return &fs.PathError{Op: link.Op, Path: link.Old + " " + link.New, Err: link.Err}
	}
	return err
}

func checkNames(op, from, to string) error {
	if err := CheckName(op, from); err != nil {
		return err
	}
	return CheckName(op, to)
}

// Remove deletes a name.
func (o *osFS) Remove(name string) error {
	if err := CheckName("remove", name); err != nil {
		return err
	}
	return os.Remove(o.path(name))
}

// List returns sorted names.
func (o *osFS) List(dir string) ([]string, error) {
	dir, err := CheckDir("list", dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(o.path(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// MkdirAll makes directories durably.
func (o *osFS) MkdirAll(dir string) error {
	dir, err := CheckDir("mkdir", dir)
	if err != nil {
		return err
	}
	return makeDirs(o.root, o.path(dir))
}

// SyncDir syncs the names in a directory.
func (o *osFS) SyncDir(dir string) error {
	dir, err := CheckDir("syncdir", dir)
	if err != nil {
		return err
	}
	return syncDir(o.path(dir))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close()) // os.File.Sync is fsync(2), EINTR retried
}

// Stat returns the size of a regular file.
func (o *osFS) Stat(name string) (int64, error) {
	if err := CheckName("stat", name); err != nil {
		return 0, err
	}
	info, err := os.Stat(o.path(name))
	if err != nil {
		return 0, err
	}
	if err := checkRegular("stat", o.path(name), info); err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func checkRegular(op, path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return &fs.PathError{Op: op, Path: path, Err: unix.EISDIR}
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: op, Path: path, Err: unix.EINVAL}
	}
	return nil
}

// Free asks the file system. Blocks reserved for root do not count as free.
func (o *osFS) Free() (free, total uint64, err error) {
	var st unix.Statfs_t
	for {
		err = unix.Statfs(o.root, &st)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: o.root, Err: err}
	}
	unit := uint64(st.Frsize) // the unit of the counts; Bsize is only advice
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return st.Bavail * unit, st.Blocks * unit, nil
}

// Lock takes flock(2) on a file that it makes if absent. The file stays: to
// remove it would let two processes lock two files of one name.
func (o *osFS) Lock(name string) (io.Closer, error) {
	if err := CheckName("lock", name); err != nil {
		return nil, err
	}
	path := o.path(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f, unix.LOCK_EX); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("lock %s: %w%s", path, ErrLocked, holder(f))
		} else {
			err = &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		return nil, errors.Join(err, f.Close())
	}
	// Who has it is a courtesy to whoever finds it locked; a full disk must not
	// keep the database from starting.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func tryLock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// holder names the process in a lock file, as far as it can be read.
func holder(f *os.File) string {
	var b [20]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 32)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
