package disktest

import (
	"errors"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"syscall"

	"tskv/disk"
)

// unlimited is the size in bytes that a disk without Capacity reports.
const unlimited = 1 << 40

// find returns the file of a name.
func (d *Disk) find(name string) (*inode, error) {
	dir, err := d.parent(name)
	if err != nil {
		return nil, err
	}
	if d.dirs[name] != nil {
		return nil, syscall.EISDIR
	}
	if n := dir.names[path.Base(name)]; n != nil {
		return n, nil
	}
	return nil, syscall.ENOENT
}

// parent returns the directory that holds a name.
func (d *Disk) parent(name string) (*directory, error) {
	where := path.Dir(name)
	if dir := d.dirs[where]; dir != nil {
		return dir, nil
	}
	if where != "." {
		if _, err := d.find(where); err == nil {
			return nil, syscall.ENOTDIR
		}
	}
	return nil, syscall.ENOENT
}

// free says whether a name can be given to a file: nil, or why not.
func (d *Disk) free(name string) error {
	n, err := d.find(name)
	switch {
	case n != nil, errors.Is(err, syscall.EISDIR):
		return syscall.EEXIST
	case d.dirs[path.Dir(name)] == nil:
		return err
	}
	return nil
}

func named(name string, n *inode) change {
	return change{dir: path.Dir(name), name: path.Base(name), file: n}
}

// Create makes a new file.
func (d *Disk) Create(name string) (disk.File, error) {
	if err := disk.CheckName("create", name); err != nil {
		return nil, err
	}
	var f *file
	err := d.try(call{op: OpCreate, name: name}, func() error {
		if err := d.free(name); err != nil {
			return err
		}
		d.inodes++
		n := newInode(d.inodes)
		f = d.handle(n, name, true)
		d.apply(named(name, n))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a file for reading.
func (d *Disk) Open(name string) (disk.File, error) { return d.open(name, false) }

// OpenWrite opens a file for reading and writing.
func (d *Disk) OpenWrite(name string) (disk.File, error) { return d.open(name, true) }

func (d *Disk) open(name string, writable bool) (disk.File, error) {
	if err := disk.CheckName("open", name); err != nil {
		return nil, err
	}
	var f *file
	err := d.try(call{op: OpOpen, name: name}, func() error {
		n, err := d.find(name)
		if err != nil {
			return err
		}
		f = d.handle(n, name, writable)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename moves a name, replacing what is there. Renaming two names of one file
// into each other does nothing, as POSIX says. A directory can only get a name
// that nobody has; that is durable at once, which is the worst for whoever has
// not made durable what is in it.
func (d *Disk) Rename(from, to string) error {
	if err := disk.CheckName("rename", from); err != nil {
		return err
	}
	if err := disk.CheckName("rename", to); err != nil {
		return err
	}
	return d.try(call{op: OpRename, name: from, other: to}, func() error {
		if d.dirs[from] != nil {
			return d.renameDir(from, to)
		}
		n, err := d.find(from)
		if err != nil {
			return err
		}
		if _, err := d.parent(to); err != nil {
			return err
		}
		old, err := d.find(to)
		switch {
		case d.dirs[to] != nil:
			return err
		case old != n:
			d.apply(named(from, nil), named(to, n))
		}
		return nil
	})
}

// MoveOut fails with EXDEV: a disk in memory has nothing beside it.
func (d *Disk) MoveOut(from, to string) error {
	if err := disk.CheckName("move", from); err != nil {
		return err
	}
	return d.try(call{op: OpRename, name: from, other: to}, func() error { return syscall.EXDEV })
}

// Link gives a file a second name.
func (d *Disk) Link(from, to string) error {
	if err := disk.CheckName("link", from); err != nil {
		return err
	}
	if err := disk.CheckName("link", to); err != nil {
		return err
	}
	return d.try(call{op: OpLink, name: from, other: to}, func() error {
		n, err := d.find(from)
		if err != nil {
			return err
		}
		if err := d.free(to); err != nil {
			return err
		}
		d.apply(named(to, n))
		return nil
	})
}

// Remove deletes the name of a file or an empty directory.
func (d *Disk) Remove(name string) error {
	if err := disk.CheckName("remove", name); err != nil {
		return err
	}
	return d.try(call{op: OpRemove, name: name}, func() error {
		if d.dirs[name] != nil {
			if len(d.list(name)) > 0 {
				return syscall.ENOTEMPTY
			}
			delete(d.dirs, name)
			return nil
		}
		if _, err := d.find(name); err != nil {
			return err
		}
		d.apply(named(name, nil))
		return nil
	})
}

// List returns the sorted names of files and directories in a directory.
func (d *Disk) List(dir string) ([]string, error) {
	dir, err := disk.CheckDir("list", dir)
	if err != nil {
		return nil, err
	}
	var names []string
	err = d.try(call{op: OpList, name: dir}, func() error {
		if err := d.isDir(dir); err != nil {
			return err
		}
		names = d.list(dir)
		return nil
	})
	return names, err
}

func (d *Disk) list(dir string) []string {
	names := make([]string, 0, len(d.dirs[dir].names))
	for name := range d.dirs[dir].names {
		names = append(names, name)
	}
	for sub := range d.dirs {
		if sub != "." && path.Dir(sub) == dir {
			names = append(names, path.Base(sub))
		}
	}
	slices.Sort(names)
	return names
}

// isDir returns nil for a directory, or why it is none.
func (d *Disk) isDir(dir string) error {
	if d.dirs[dir] != nil {
		return nil
	}
	if _, err := d.find(dir); err != nil {
		return err
	}
	return syscall.ENOTDIR
}

// MkdirAll makes a directory and its parents, durably.
func (d *Disk) MkdirAll(dir string) error {
	dir, err := disk.CheckDir("mkdir", dir)
	if err != nil {
		return err
	}
	return d.try(call{op: OpMkdir, name: dir}, func() error { return d.mkdir(dir) })
}

func (d *Disk) mkdir(dir string) error {
	at := "."
	for element := range strings.SplitSeq(dir, "/") {
		at = path.Join(at, element)
		if d.dirs[at] != nil {
			continue
		}
		if _, err := d.find(at); err == nil {
			return syscall.ENOTDIR
		}
		d.dirs[at] = newDirectory()
	}
	return nil
}

// SyncDir makes the names in a directory durable. When it fails, what it should
// have made durable never will be.
func (d *Disk) SyncDir(dir string) error {
	dir, err := disk.CheckDir("syncdir", dir)
	if err != nil {
		return err
	}
	return d.do(call{op: OpSyncDir, name: dir}, func(fail *rule) error {
		if err := d.isDir(dir); err != nil {
			return err
		}
		if fail != nil {
			d.forget(dir)
			return fail.Err
		}
		d.commit(dir, math.MaxUint64)
		return nil
	})
}

// Stat returns the length of a file.
func (d *Disk) Stat(name string) (int64, error) {
	if err := disk.CheckName("stat", name); err != nil {
		return 0, err
	}
	var size int64
	err := d.try(call{op: OpStat, name: name}, func() error {
		n, err := d.find(name)
		if err == nil {
			size = n.size
		}
		return err
	})
	return size, err
}

// Free returns the room that Capacity leaves.
func (d *Disk) Free() (free, total uint64, err error) {
	err = d.try(call{op: OpFree, name: "."}, func() error {
		limit := d.capacity
		if limit < 0 {
			limit = unlimited
		}
		free, total = uint64(max(limit-d.used, 0)), uint64(limit)
		return nil
	})
	return free, total, err
}

// Lock takes a file, which it makes if absent, for this disk; a Clone and the
// disk after a Crash have no locks.
func (d *Disk) Lock(name string) (io.Closer, error) {
	if err := disk.CheckName("lock", name); err != nil {
		return nil, err
	}
	var f *file
	err := d.try(call{op: OpLock, name: name}, func() error {
		n, err := d.find(name)
		if errors.Is(err, syscall.ENOENT) {
			if err = d.free(name); err == nil {
				d.inodes++
				n = newInode(d.inodes)
				d.apply(named(name, n))
			}
		}
		if err != nil {
			return err
		}
		if n.locked {
			return disk.ErrLocked
		}
		n.locked = true
		f = d.handle(n, name, false)
		f.lock = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}
