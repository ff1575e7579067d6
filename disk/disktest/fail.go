package disktest

import (
	"errors"
	"path"
	"syscall"
)

// ErrStopped is wrapped by every call after the one that StopAfter allowed.
var ErrStopped = errors.New("the disk has stopped")

// Op is a kind of call.
type Op uint8

// The kinds of calls. OpAny stands for all of them in a FailRule.
const (
	OpAny Op = iota
	OpCreate
	OpOpen // Open and OpenWrite
	OpWrite
	OpRead
	OpSync
	OpSyncDir
	OpRename
	OpLink
	OpRemove
	OpTruncate
	OpList
	OpMap
	OpLock
	OpMkdir
	OpStat // Stat and Size
	OpFree
	OpClose
	opCount
)

// opNames are the words for the kinds in errors.
var opNames = [opCount]string{
	"any", "create", "open", "write", "read", "sync", "syncdir", "rename", "link", "remove",
	"truncate", "list", "map", "lock", "mkdir", "stat", "free", "close",
}

// String is the word for the kind.
func (o Op) String() string { return opNames[o] }

// mutates says whether the kind changes what is on the disk.
func (o Op) mutates() bool {
	switch o {
	case OpCreate, OpWrite, OpTruncate, OpSync, OpSyncDir, OpRename, OpLink, OpRemove, OpMkdir, OpLock:
		return true
	}
	return false
}

// FailRule says which calls fail. A failed Sync loses the file's unsynced pages
// (see the package comment); other failed calls have no effect, except a write
// with Short. A failed Close closes.
type FailRule struct {
	Op     Op     // kind of call; OpAny for all
	Name   string // path.Match pattern of the name ("wal/*.wal"), or of either name; "" for all
	Nth    int    // the Nth such call from now fails, counted from 1; 0 means 1
	Sticky bool   // and all after it
	Err    error  // what it fails with; nil means EIO
	Short  int    // bytes that a failing write writes first
}

// rule is a FailRule at work.
type rule struct {
	FailRule
	left int // matching calls that still pass
	done bool
}

// Fail adds a rule. When several match a call, all of them count it and the
// first added that is due fails it. It panics on a malformed pattern.
func (d *Disk) Fail(r FailRule) {
	if _, err := path.Match(r.Name, ""); err != nil {
		panic("BUG: disktest: fail rule: " + err.Error())
	}
	if r.Err == nil {
		r.Err = syscall.EIO
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = append(d.rules, &rule{FailRule: r, left: max(r.Nth, 1) - 1})
}

// Heal takes all rules away.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = nil
}

// Failed is the number of calls that rules have failed.
func (d *Disk) Failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// match finds the rule that fails a call.
func (d *Disk) match(c call) *rule {
	var due *rule
	for _, r := range d.rules {
		if r.done || !r.matches(c) {
			continue
		}
		if r.left > 0 {
			r.left--
			continue
		}
		if due == nil {
			due = r
			r.done = !r.Sticky
		}
	}
	return due
}

func (r *rule) matches(c call) bool {
	if r.Op != OpAny && r.Op != c.op {
		return false
	}
	if r.Name == "" {
		return true
	}
	first, _ := path.Match(r.Name, c.name) // the pattern was checked by Fail
	second, _ := path.Match(r.Name, c.other)
	return first || second
}
