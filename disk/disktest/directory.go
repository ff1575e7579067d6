package disktest

import (
	"slices"
	"strings"
	"syscall"
)

// directory has the names of files, without their directory.
type directory struct {
	names   map[string]*inode // as processes see them
	durable map[string]*inode
	pending []*nameOp // what SyncDir has to make durable, in order
}

func newDirectory() *directory {
	return &directory{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// nameOp is one change of names, whole or absent after a crash. One that
// touches two directories stands in the lists of both.
type nameOp struct {
	seq     uint64 // ascending over the whole disk
	changes []change
}

// change gives a name to a file, or to none.
type change struct {
	dir, name string
	file      *inode
}

// apply makes changes of the current names, and notes them as not durable.
func (d *Disk) apply(changes ...change) {
	d.names++
	op := &nameOp{seq: d.names, changes: changes}
	for _, c := range changes {
		if c.file != nil {
			c.file.links++ // before any is taken away: a renamed file stays
		}
	}
	var last *directory
	for _, c := range changes {
		dir := d.dirs[c.dir]
		if old := dir.names[c.name]; old != nil {
			old.links--
			d.release(old)
		}
		setName(dir.names, c)
		if dir != last {
			dir.pending = append(dir.pending, op)
		}
		last = dir
	}
}

func setName(names map[string]*inode, c change) {
	if c.file == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.file
}

// commit makes the pending changes of a directory up to a number durable. One
// that touches another directory takes that one's earlier changes along.
func (d *Disk) commit(name string, until uint64) {
	dir := d.dirs[name]
	if dir == nil {
		return
	}
	for len(dir.pending) > 0 && dir.pending[0].seq <= until {
		op := dir.pending[0]
		dir.pending = dir.pending[1:]
		for _, c := range op.changes {
			if c.dir != name {
				d.commit(c.dir, op.seq)
			}
		}
		op.applyTo(d.dirs)
	}
}

// applyTo makes the changes durable in a set of directories.
func (op *nameOp) applyTo(dirs map[string]*directory) {
	for _, c := range op.changes {
		if dir := dirs[c.dir]; dir != nil {
			setName(dir.durable, c)
		}
	}
}

// forget drops the pending changes of a directory: its sync has failed.
func (d *Disk) forget(name string) {
	lost := d.dirs[name].pending
	for _, dir := range d.dirs {
		dir.pending = slices.DeleteFunc(dir.pending, func(op *nameOp) bool {
			return slices.Contains(lost, op)
		})
	}
}

// release gives back the room of a file that nobody can reach any more.
func (d *Disk) release(n *inode) {
	if n.links == 0 && n.opened == 0 {
		d.used -= n.size
	}
}

// renameDir gives a directory, with all below it, a name that nobody has.
func (d *Disk) renameDir(from, to string) error {
	if strings.HasPrefix(to, from+"/") {
		return syscall.EINVAL
	}
	if err := d.free(to); err != nil {
		return err
	}
	moved := func(name string) (string, bool) {
		rest, below := strings.CutPrefix(name, from+"/")
		if below {
			return to + "/" + rest, true
		}
		return to, name == from
	}
	dirs := make(map[string]*directory, len(d.dirs))
	seen := map[*nameOp]bool{}
	for name, dir := range d.dirs {
		if renamed, ok := moved(name); ok {
			name = renamed
		}
		dirs[name] = dir
		for _, op := range dir.pending {
			if seen[op] {
				continue
			}
			seen[op] = true
			for i := range op.changes {
				if renamed, ok := moved(op.changes[i].dir); ok {
					op.changes[i].dir = renamed
				}
			}
		}
	}
	d.dirs = dirs
	return nil
}
