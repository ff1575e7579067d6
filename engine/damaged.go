package engine

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"tskv/compaction"
	"tskv/disk"
)

// A file that a merge could not read is set aside: the same plan would fail again
// and again, and hold up all others. It is tried again after a pause that doubles,
// because some errors of a disk go away.
const (
	damagePause    = time.Minute
	maxDamagePause = 24 * time.Hour
)

// damage is one file that is set aside.
type damage struct {
	err   error
	count int       // failed tries
	until time.Time // of the monotonic clock; no merge takes the file before
}

// damagedFiles are the files that are set aside. They are forgotten with the
// process: a restart tries them once more.
type damagedFiles struct {
	mu    sync.Mutex
	files map[uint64]*damage
}

// isDamage reports whether an error says that bytes of a file cannot be had.
func isDamage(err error) bool { return errors.Is(err, disk.ErrCorrupt) || errors.Is(err, syscall.EIO) }

// avoid reports whether merges leave the file alone at present.
func (d *damagedFiles) avoid(id uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[id]
	return f != nil && time.Now().Before(f.until)
}

// note sets a file aside; first is false if it was known.
func (d *damagedFiles) note(id uint64, err error) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[id]
	if f == nil {
		f, first = &damage{}, true
		if d.files == nil {
			d.files = make(map[uint64]*damage)
		}
		d.files[id] = f
	}
	f.err = err
	f.until = time.Now().Add(min(damagePause<<min(f.count, 16), maxDamagePause))
	f.count++
	return first
}

// forget takes a file off the list that is no longer live, or that was read.
func (d *damagedFiles) forget(id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, id)
}

// count returns how many files are on the list.
func (d *damagedFiles) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.files)
}

// err returns what is wrong with one of the files, or nil.
func (d *damagedFiles) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lowest uint64
	var err error
	for id, f := range d.files {
		if err == nil || id < lowest {
			lowest, err = id, f.err
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%d damaged files were left as they are: %w", len(d.files), err)
}

// setAside takes the file that a merge failed to read out of later plans; false if
// the error is of another kind.
func (db *DB) setAside(err error) bool {
	var input *compaction.InputError
	if !errors.As(err, &input) || !isDamage(input.Err) {
		return false
	}
	if db.damaged.note(input.File, input.Err) {
		db.log.Error("a damaged file is left out of compaction", "file", disk.TableName(input.File), "error", input.Err)
	}
	db.metrics.DamagedFiles.Set(int64(db.damaged.count()))
	return true
}

// forgetDamage is called with files that have been replaced.
func (db *DB) forgetDamage(ids []uint64) {
	for _, id := range ids {
		db.damaged.forget(id)
	}
	db.metrics.DamagedFiles.Set(int64(db.damaged.count()))
}
