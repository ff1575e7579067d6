package disktest

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"syscall"

	"tskv/disk"
)

// ReadFile returns what processes would read. Like everything in this file it
// is not a call: no rule, stop, hook or counter knows of it.
func (d *Disk) ReadFile(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	b := make([]byte, n.size)
	n.read(b, 0)
	return b, nil
}

// WriteFile makes or overwrites a file, its name and its directories, durably.
// It panics if the name cannot be a file's.
func (d *Disk) WriteFile(name string, b []byte) {
	if err := disk.CheckName("write", name); err != nil {
		panic("BUG: disktest: " + err.Error())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.mkdir(path.Dir(name))
	var n *inode
	if err == nil {
		n, err = d.find(name)
	}
	if errors.Is(err, syscall.ENOENT) {
		d.inodes++
		n, err = newInode(d.inodes), nil
		d.apply(named(name, n))
	}
	if err != nil {
		panic("BUG: disktest: write " + name + ": " + err.Error())
	}
	d.settle(name, n)
	d.replace(n, b)
}

// settle makes a name durable now, whatever is pending for it.
func (d *Disk) settle(name string, n *inode) {
	where, base := path.Dir(name), path.Base(name)
	dir := d.dirs[where]
	dir.durable[base] = n
	for _, op := range dir.pending {
		op.changes = slices.DeleteFunc(op.changes, func(c change) bool {
			return c.dir == where && c.name == base
		})
	}
}

func (d *Disk) replace(n *inode, b []byte) {
	d.used += int64(len(b)) - n.size
	n.replace(b)
}

// Corrupt damages a file: fn gets a copy of its content and returns the new
// content, which is durable at once. Maps made before do not see it. It panics
// if there is no such file.
func (d *Disk) Corrupt(name string, fn func([]byte) []byte) {
	b, err := d.ReadFile(name)
	if err != nil {
		panic("BUG: disktest: corrupt: " + err.Error())
	}
	b = fn(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		panic("BUG: disktest: corrupt " + name + ": " + err.Error())
	}
	d.replace(n, b)
}

// Files returns the sorted names of all files that processes see, with their
// directories.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for where, dir := range d.dirs {
		for base := range dir.names {
			names = append(names, path.Join(where, base))
		}
	}
	slices.Sort(names)
	return names
}

// DropCaches lets the kernel forget all clean pages: what a failed Sync lost is
// now read as it is on the disk.
func (d *Disk) DropCaches() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dir := range d.dirs {
		for _, n := range dir.names {
			n.dropCache()
		}
	}
}
