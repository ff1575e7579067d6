package disktest

import (
	"io"
	"io/fs"
	"path"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"tskv/disk"
)

// file is a handle of a file.
type file struct {
	d        *Disk
	n        *inode
	name     string
	writable bool
	lock     bool
	closed   bool // guarded by d.mu
}

// handle opens a file.
func (d *Disk) handle(n *inode, name string, writable bool) *file {
	n.opened++
	d.handles++
	return &file{d: d, n: n, name: name, writable: writable}
}

// Name is the name that the file was opened with.
func (f *file) Name() string { return f.name }

// do is Disk.do for an open handle.
func (f *file) do(c call, fn func(fail *rule) error) error {
	c.name = f.name
	return f.d.do(c, func(fail *rule) error {
		if f.closed {
			return fs.ErrClosed
		}
		return fn(fail)
	})
}

// try is Disk.try for an open handle.
func (f *file) try(c call, fn func() error) error {
	return f.do(c, func(fail *rule) error {
		if fail != nil {
			return fail.Err
		}
		return fn()
	})
}

// ReadAt reads what processes see; io.EOF after the end.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	err := f.try(call{op: OpRead, off: off, n: int64(len(p))}, func() error {
		if off < 0 {
			return syscall.EINVAL
		}
		n = f.n.read(p, off)
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteAt writes, as much as there is room for.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	err := f.do(call{op: OpWrite, off: off, n: int64(len(p))}, func(fail *rule) error {
		switch {
		case !f.writable:
			return syscall.EBADF
		case off < 0:
			return syscall.EINVAL
		case off > maxFile-int64(len(p)):
			return syscall.EFBIG
		}
		n = len(p)
		var err error
		if fail != nil {
			n, err = min(fail.Short, n), fail.Err
		}
		if fits := f.d.room(f.n) - off; int64(n) > fits {
			n, err = int(max(fits, 0)), syscall.ENOSPC
		}
		before := f.n.size
		f.n.write(p[:n], off)
		f.d.used += f.n.size - before
		return err
	})
	return n, err
}

// room is the length that a file can have.
func (d *Disk) room(n *inode) int64 {
	if d.capacity < 0 {
		return maxFile
	}
	return n.size + max(d.capacity-d.used, 0)
}

// Size returns the length.
func (f *file) Size() (int64, error) {
	var size int64
	err := f.try(call{op: OpStat}, func() error {
		size = f.n.size
		return nil
	})
	return size, err
}

// Sync makes content and length durable, or loses what is not (see the package
// comment).
func (f *file) Sync() error {
	return f.do(call{op: OpSync}, func(fail *rule) error {
		if fail != nil {
			f.n.clean()
			return fail.Err
		}
		f.n.sync()
		return nil
	})
}

// Truncate sets the length.
func (f *file) Truncate(size int64) error {
	return f.try(call{op: OpTruncate, n: size}, func() error {
		switch {
		case !f.writable, size < 0:
			return syscall.EINVAL
		case size > maxFile:
			return syscall.EFBIG
		case size > f.d.room(f.n):
			return syscall.ENOSPC
		}
		f.d.used += size - f.n.size
		f.n.truncate(size)
		return nil
	})
}

// WriteBehind does nothing: it promises nothing.
func (f *file) WriteBehind(off, n int64) {}

// DropCache does nothing: here it could change nothing but speed.
func (f *file) DropCache(off, n int64) {}

// Close ends the handle and the lock, even when it fails.
func (f *file) Close() error {
	err := f.try(call{op: OpClose}, func() error { return nil })
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return err
	}
	f.closed = true
	f.d.handles--
	f.n.opened--
	if f.lock {
		f.n.locked = false
	}
	f.d.release(f.n)
	return err
}

// Map returns a copy of the content of this moment: later writes are not seen
// in it. See FaultMaps for maps that cannot be read.
func (f *file) Map(size int64) (disk.Mapping, error) {
	m := &mapping{d: f.d}
	err := f.try(call{op: OpMap, n: size}, func() error {
		if err := disk.CheckMap(f.name, size, f.n.size); err != nil {
			return err
		}
		if size > 0 && f.d.faults(f.name) {
			var err error
			m.data, err = unix.Mmap(-1, 0, int(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
			m.mapped = err == nil
			if err != nil {
				return err
			}
		} else {
			m.data = make([]byte, size)
			f.n.read(m.data, 0)
		}
		f.d.handles++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// FaultMaps lets every read of a map fault, under disk.Guard an error, if the
// map is made from now on and its name matches the pattern of path.Match. It
// panics on a malformed pattern.
func (d *Disk) FaultMaps(pattern string) {
	if _, err := path.Match(pattern, ""); err != nil {
		panic("BUG: disktest: fault maps: " + err.Error())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faulty = append(d.faulty, pattern)
}

func (d *Disk) faults(name string) bool {
	for _, pattern := range d.faulty {
		if ok, _ := path.Match(pattern, name); ok { // checked by FaultMaps
			return true
		}
	}
	return false
}

// mapping is a copy of a file's bytes, or memory that may not be read.
type mapping struct {
	d      *Disk
	data   []byte
	mapped bool
	once   sync.Once
}

// Bytes returns the mapped bytes.
func (m *mapping) Bytes() []byte { return m.data }

// WillNeed does nothing.
func (m *mapping) WillNeed(off, n int64) {}

// DontNeed does nothing.
func (m *mapping) DontNeed() {}

// Close ends the map; a second Close does nothing.
func (m *mapping) Close() error {
	var err error
	m.once.Do(func() {
		if m.mapped {
			err = unix.Munmap(m.data)
		}
		m.data = nil
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		m.d.handles--
	})
	return err
}
