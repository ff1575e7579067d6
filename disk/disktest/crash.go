package disktest

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

// CrashOptions says what a power cut leaves of what was not synced. The zero
// value leaves nothing of it. Equal options on equal disks give equal disks.
type CrashOptions struct {
	Seed    uint64
	Sectors int  // percent of each file's unsynced sectors that survive, 0 to 100
	Names   int  // percent of the unsynced changes of names that survive, 0 to 100
	Torn    bool // an eighth of the surviving sectors is new up to some byte only
	Reorder bool // any changes of names survive, not a prefix per directory
}

// String is what a failing test prints to be run again.
func (o CrashOptions) String() string {
	return fmt.Sprintf("seed=%d sectors=%d%% names=%d%% torn=%t reorder=%t",
		o.Seed, o.Sectors, o.Names, o.Torn, o.Reorder)
}

// CrashMatrix returns the crashes that every state should be tried with: each
// of 0, 10, 50, 100 percent of sectors with each of names; the shares between
// with torn sectors and reordered names in turn.
func CrashMatrix(seed uint64) []CrashOptions {
	shares := []int{0, 10, 50, 100}
	var all []CrashOptions
	for i, sectors := range shares {
		for j, names := range shares {
			all = append(all, CrashOptions{
				Seed: mix(seed, uint64(i), uint64(j)), Sectors: sectors, Names: names,
				Torn: (i+j)%2 == 1, Reorder: (i+j/2)%2 == 1,
			})
		}
	}
	return all
}

// Clone is the disk as a process finds it that starts after this one was killed
// with -9: all content and names, synced or not, which a later Crash of the
// clone may still take. It has no rules, stop, hook, handles or locks, and
// counts from 0.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New()
	c.capacity, c.inodes, c.names = d.capacity, d.inodes, d.names
	copies := map[*inode]*inode{nil: nil}
	twin := func(n *inode) *inode {
		if _, ok := copies[n]; !ok {
			copies[n] = n.clone()
		}
		return copies[n]
	}
	ops := map[*nameOp]*nameOp{}
	for name, dir := range d.dirs {
		e := newDirectory()
		for base, n := range dir.names {
			e.names[base] = twin(n)
		}
		for base, n := range dir.durable {
			e.durable[base] = twin(n)
		}
		for _, op := range dir.pending {
			if ops[op] == nil {
				o := &nameOp{seq: op.seq, changes: slices.Clone(op.changes)}
				for i := range o.changes {
					o.changes[i].file = twin(o.changes[i].file)
				}
				ops[op] = o
			}
			e.pending = append(e.pending, ops[op])
		}
		c.dirs[name] = e
	}
	c.account()
	return c
}

// Crash is the disk after a power cut now: everything synced, and of the rest
// what the options say. Everything on it is durable. This disk is left as it
// is. Like a Clone, it has no rules, stop, hook, handles or locks.
func (d *Disk) Crash(opt CrashOptions) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New()
	c.capacity, c.inodes, c.names = d.capacity, d.inodes, d.names
	for name, dir := range d.dirs {
		e := newDirectory()
		e.durable = maps.Clone(dir.durable)
		c.dirs[name] = e
	}
	for _, op := range d.survivors(opt) {
		op.applyTo(c.dirs)
	}
	copies := map[*inode]*inode{}
	for _, dir := range c.dirs {
		for base, n := range dir.durable {
			if copies[n] == nil {
				copies[n] = n.crash(opt)
			}
			dir.durable[base] = copies[n]
		}
		dir.names = maps.Clone(dir.durable)
	}
	c.account()
	return c
}

// account counts links and room of a new disk.
func (d *Disk) account() {
	seen := map[*inode]bool{}
	for _, dir := range d.dirs {
		for _, n := range dir.names {
			if !seen[n] {
				seen[n] = true
				n.links = 0
				d.used += n.size
			}
			n.links++
		}
	}
}

// survivors returns the unsynced changes of names that a crash leaves, in order.
func (d *Disk) survivors(opt CrashOptions) []*nameOp {
	all := map[uint64]*nameOp{}
	cut := map[string]uint64{} // by directory: the first number that is lost
	for name, dir := range d.dirs {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name)) // a hash never fails
		kept := 0
		for _, op := range dir.pending {
			all[op.seq] = op
			if chance(opt.Names, opt.Seed, h.Sum64(), op.seq) {
				kept++
			}
		}
		if kept < len(dir.pending) {
			cut[name] = dir.pending[kept].seq
		}
	}
	order := slices.Sorted(maps.Keys(all))
	var left []*nameOp
	for _, seq := range order {
		op := all[seq]
		if opt.Reorder {
			if chance(opt.Names, opt.Seed, seq, 0) {
				left = append(left, op)
			}
			continue
		}
		if op.lost(cut) {
			op.cut(cut)
			continue
		}
		left = append(left, op)
	}
	return left
}

// lost says whether a change lies behind the cut of a directory it touches.
func (op *nameOp) lost(cut map[string]uint64) bool {
	for _, c := range op.changes {
		if first, ok := cut[c.dir]; ok && op.seq >= first {
			return true
		}
	}
	return false
}

// cut ends what survives of every directory that a lost change touches. Changes
// come in ascending order, so what survived before it stays valid.
func (op *nameOp) cut(cut map[string]uint64) {
	for _, c := range op.changes {
		if first, ok := cut[c.dir]; !ok || first > op.seq {
			cut[c.dir] = op.seq
		}
	}
}

// crash is what a power cut leaves of a file.
func (n *inode) crash(opt CrashOptions) *inode {
	c := newInode(n.id)
	c.pages = slices.Clone(n.durable)
	whole := opt.Sectors >= 100 && !opt.Torn
	for i, mask := range n.dirty {
		switch {
		case opt.Sectors <= 0:
		case whole:
			c.pages = put(c.pages, i, at(n.pages, i))
			if i < len(n.owned) {
				n.owned[i] = false
			}
		default:
			c.pages = put(c.pages, i, n.crashPage(i, mask, opt))
		}
	}
	c.size = n.crashSize(opt)
	c.cutOff()
	c.durable, c.durableSize = slices.Clone(c.pages), c.size
	c.owned = make([]bool, len(c.pages))
	return c
}

// crashPage mixes durable and unsynced sectors.
func (n *inode) crashPage(i int, mask uint8, opt CrashOptions) *page {
	mixed := *bytesOf(at(n.durable, i))
	last := bytesOf(at(n.pages, i))
	for s := range pageSectors {
		sector := int64(i)*pageSectors + int64(s)
		if mask&(1<<s) == 0 || !chance(opt.Sectors, opt.Seed, n.id, uint64(sector)) {
			continue
		}
		from, dice := s*sectorBytes, mix(opt.Seed+1, n.id, uint64(sector))
		newer := last[from : from+sectorBytes]
		if v := n.between[sector]; v.data != nil && opt.Sectors < 100 && dice%4 == 0 {
			newer = v.data[:]
		}
		if dice >>= 2; opt.Torn && dice%8 == 0 {
			newer = newer[:1+(dice>>3)%(sectorBytes-1)]
		}
		copy(mixed[from:], newer)
	}
	if mixed == zeroPage {
		return nil
	}
	return &mixed
}

// crashSize is the length that a power cut leaves.
func (n *inode) crashSize(opt CrashOptions) int64 {
	low, high := min(n.size, n.durableSize), max(n.size, n.durableSize)
	dice := mix(opt.Seed+2, n.id, 0)
	switch {
	case opt.Sectors <= 0:
		return n.durableSize
	case opt.Sectors >= 100:
		return n.size
	case dice%3 == 0:
		return n.durableSize
	case dice%3 == 1:
		return n.size
	}
	return low + int64((dice>>2)%uint64(high-low+1))
}

// cutOff zeroes what lies behind the length.
func (n *inode) cutOff() {
	i, start := int(n.size/pageBytes), int(n.size%pageBytes)
	if p := at(n.pages, i); p != nil && start > 0 {
		own := *p
		clear(own[start:])
		n.pages[i] = &own
		i++
	}
	if i < len(n.pages) {
		clear(n.pages[i:])
		n.pages = n.pages[:i]
	}
}

// chance is true in percent of all cases, depending on nothing but its arguments.
func chance(percent int, seed, a, b uint64) bool {
	return int(mix(seed, a, b)%100) < percent
}

// mix hashes three numbers, each with the finalizer of splitmix64 (Steele,
// Lea, Flood 2014).
func mix(a, b, c uint64) uint64 {
	var h uint64
	for _, x := range [3]uint64{a, b, c} {
		h += x + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
