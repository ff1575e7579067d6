package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"tskv/disk"
)

var _ disk.FS = (*Disk)(nil)

// Disk is a disk in memory.
type Disk struct {
	hook atomic.Pointer[func(op Op, name string)]

	mu       sync.Mutex // guards everything below, and every inode and directory
	dirs     map[string]*directory
	inodes   uint64 // files ever made; numbers them for the decisions of a crash
	names    uint64 // changes of names ever made; numbers them
	used     int64  // bytes of all files that have a name or a handle
	capacity int64  // bytes; unlimited if < 0
	handles  int    // open files, mappings and locks
	faulty   []string
	ops      int // mutating operations so far
	stop     int // no call is served once ops has reached it; never if < 0
	last     call
	calls    [opCount]int
	rules    []*rule
	failed   int
}

// call is one mutating operation, for LastOp.
type call struct {
	op          Op
	name, other string
	off, n      int64
}

// New returns an empty disk without a limit.
func New() *Disk {
	return &Disk{
		dirs:     map[string]*directory{".": newDirectory()},
		capacity: -1,
		stop:     -1,
	}
}

// Ops is the number of mutating calls so far: create, write, truncate, sync,
// syncdir, rename, link, remove, mkdir and lock, failed ones included.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// StopAfter lets the first n mutating calls since New, Clone or Crash through;
// every later call of any kind fails with ErrStopped. A negative n takes the
// stop away.
func (d *Disk) StopAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = n
}

// LastOp describes the last mutating call, to say where a crash happened.
func (d *Disk) LastOp() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.last
	text := fmt.Sprintf("op %d: %s %s", d.ops, c.op, c.name)
	switch {
	case d.ops == 0:
		return "op 0: none"
	case c.other != "":
		return text + " " + c.other
	case c.op == OpWrite:
		return text + fmt.Sprintf(" [%d,+%d)", c.off, c.n)
	case c.op == OpTruncate:
		return text + fmt.Sprintf(" to %d", c.n)
	}
	return text
}

// Calls is the number of calls of a kind so far, OpAny for all kinds.
func (d *Disk) Calls(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if op != OpAny {
		return d.calls[op]
	}
	sum := 0
	for _, n := range d.calls {
		sum += n
	}
	return sum
}

// Handles is the number of open files, mappings and locks: 0 when nothing leaks.
func (d *Disk) Handles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.handles
}

// Capacity limits the sum of all files' lengths: a write that needs more writes
// what fits and fails with ENOSPC; writing inside a file's length needs
// nothing. A negative number takes the limit away.
func (d *Disk) Capacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Before sets a function that is called, outside of all locks, before each call
// to the disk takes effect: a test can hold a Sync there. Nil removes it. The
// name is the first one of calls with two.
func (d *Disk) Before(fn func(op Op, name string)) {
	if fn == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&fn)
}

// do runs one call under the lock: counted, stopped or failed as told. fn gets
// the rule that fails this call, or nil, and returns a bare error.
func (d *Disk) do(c call, fn func(fail *rule) error) error {
	if hook := d.hook.Load(); hook != nil {
		(*hook)(c.op, c.name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop >= 0 && d.ops >= d.stop {
		return pathError(c, ErrStopped)
	}
	d.calls[c.op]++
	if c.op.mutates() {
		d.ops++
		d.last = c
	}
	fail := d.match(c)
	if fail != nil {
		d.failed++
	}
	if err := fn(fail); err != nil {
		return pathError(c, err)
	}
	return nil
}

// try is do for calls that do nothing at all when they fail.
func (d *Disk) try(c call, fn func() error) error {
	return d.do(c, func(fail *rule) error {
		if fail != nil {
			return fail.Err
		}
		return fn()
	})
}

// pathError wraps an error as the operating system's are, unless it is wrapped.
func pathError(c call, err error) error {
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) || errors.Is(err, disk.ErrCorrupt) {
		return err
	}
	name := c.name
	if c.other != "" {
		name += " " + c.other
	}
	return &fs.PathError{Op: c.op.String(), Path: name, Err: err}
}
