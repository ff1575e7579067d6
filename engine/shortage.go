package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"

	"tskv/disk"
	"tskv/wal"
)

// shortage is what the store knows of a disk without room, and what it keeps for
// that day: the reserve, a file of real blocks that is given back so that a flush,
// the manifest, or a merge that frees space can finish. The zero-filled files of
// the log serve the same end and go first.
type shortage struct {
	mu sync.Mutex // of giving back and of making the reserve; taken last
	// held counts the bytes of the reserve's file, those on their way included.
	held atomic.Int64
	// wanted is what it should have, as of the last look at the disk.
	wanted atomic.Int64
	// noRoom is why the log could not be written last, while that is so.
	noRoom atomic.Pointer[error]
	// unfinished is why the recovery of the log goes on in the background.
	unfinished atomic.Pointer[error]
	// relieving is true while a flush makes deletes free their room.
	relieving atomic.Bool

	showMu sync.Mutex // so that the gauges end with the last state
}

const (
	// maxReserve bounds the reserve, and so does a share of the disk.
	maxReserve   = 256 << 20
	reserveShare = 20
	// smallNeed is what a segment's header or a manifest needs beside its bytes,
	// directories and the file system's own books included.
	smallNeed = 256 << 10
	// probeBytes is what must fit before a log that met a full disk counts as well.
	probeBytes = 64 << 10
	probeName  = "probe" + disk.TempSuffix
)

// reserveBytes is the size of the reserve on a disk of total bytes: the tables of
// one memtable and a quarter more for their overhead and for manifests. One after
// the other, flushes free as much log as they need.
func (db *DB) reserveBytes(total uint64) int64 {
	return int64(min(uint64(db.options.MemtableBytes/4*5), maxReserve, total/reserveShare))
}

// shortOf reports whether writes must stop: less than MinFreeBytes would be free
// if the reserve were whole.
func (db *DB) shortOf(free, total uint64) bool {
	want := db.reserveBytes(total)
	db.short.wanted.Store(want)
	missing := uint64(max(want-db.short.held.Load(), 0))
	return free < saturate(db.options.MinFreeBytes, missing)
}

// saturate adds without overflow.
func saturate(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// findReserve counts the reserve of an earlier process.
func (db *DB) findReserve() {
	size, err := db.fs.Stat(disk.ReserveName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		db.log.Warn("look for the reserve", "error", err)
	}
	db.short.held.Store(max(size, 0))
}

// keepReserve makes the reserve if there is room for it, and cuts one that is too
// large. It belongs into the background.
func (db *DB) keepReserve() error {
	free, total, err := db.fs.Free()
	if err != nil {
		return nil //nolint:nilerror // checkDisk tells of it
	}
	db.short.mu.Lock()
	defer db.short.mu.Unlock()
	want, held := db.reserveBytes(total), db.short.held.Load()
	if held == want || held < want && free < saturate(db.options.MinFreeBytes, uint64(want-held)) {
		return nil
	}
	// It counts from the beginning, or the disk would look full while it is made.
	db.short.held.Store(want)
	if err := db.sizeReserve(want); err != nil {
		db.dropReserve()
		return fmt.Errorf("make reserve: %w", err)
	}
	return nil
}

func (db *DB) sizeReserve(size int64) error {
	file, err := db.fs.OpenWrite(disk.ReserveName)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = db.fs.Create(disk.ReserveName)
	}
	if err != nil {
		return err
	}
	have, err := file.Size()
	if err == nil && have > size {
		err = file.Truncate(size)
	}
	if err == nil {
		err = disk.Allocate(file, size)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// dropReserve removes the reserve; false if there was none. short.mu is held.
//
// The directory is not synced: that could take away the only report of an error
// that a manifest waits for, and a reserve that a power cut brings back is as good
// as ever.
func (db *DB) dropReserve() bool {
	err := db.fs.Remove(disk.ReserveName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		db.log.Warn("remove reserve", "error", err)
		return false
	}
	db.short.held.Store(0)
	return err == nil
}

// giveBack makes room of need bytes for something that must go on: a piece of the
// reserve if that is enough, so that whoever else fills the disk gets no more than
// that; else the spares of the log, then the whole reserve. It returns false if
// there was nothing to give.
func (db *DB) giveBack(what string, need int64) bool {
	db.short.mu.Lock()
	defer db.short.mu.Unlock()
	held := db.short.held.Load()
	if need < held && db.cutReserve(held-need) == nil {
		db.spent(what, need)
		return true
	}
	var spares int
	var err error
	if db.wal != nil {
		spares, err = db.wal.DropSpares()
	} else {
		spares, err = wal.RemoveSpares(db.fs)
	}
	if err != nil {
		db.log.Warn("give room back", "error", err)
	}
	if spares > 0 {
		db.log.Warn("the disk is full: log files made ahead are given back", "for", what, "files", spares)
		return true
	}
	if !db.dropReserve() {
		return false
	}
	db.spent(what, held)
	return true
}

func (db *DB) spent(what string, bytes int64) {
	db.metrics.ReserveSpent.Inc()
	db.log.Warn("the disk is full: the reserve is given back", "for", what, "bytes", bytes, "left", db.short.held.Load())
	db.checkDisk() // it is full now for whoever only wants to write more
}

// cutReserve leaves size bytes of the reserve. short.mu is held.
func (db *DB) cutReserve(size int64) error {
	file, err := db.fs.OpenWrite(disk.ReserveName)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	db.short.held.Store(size)
	return nil
}

// withRoom runs fn, and again as long as it finds the disk full and room can be
// given back: need bytes at first, then more.
func (db *DB) withRoom(what string, need int64, fn func() error) error {
	for {
		err := fn()
		if !isFull(err) || !db.giveBack(what, need) {
			return err
		}
		need += min(need, maxReserve)
	}
}

// noteNoRoom remembers that the log met a full disk.
func (db *DB) noteNoRoom(err error) {
	if db.short.noRoom.Swap(&err) == nil {
		db.checkDisk()
	}
}

// probe looks whether a disk that was full for the log takes something again.
func (db *DB) probe() {
	if db.short.noRoom.Load() == nil {
		return
	}
	file, err := db.fs.Create(probeName)
	if err == nil {
		err = errors.Join(disk.Allocate(file, probeBytes), file.Close())
	}
	_ = db.fs.Remove(probeName) // the next start removes it, too
	if err == nil {
		db.short.noRoom.Store(nil)
	}
}

// relieve flushes deletes on a full disk: as long as they are in memory only, no
// merge can use them to free space.
func (db *DB) relieve() {
	if !db.diskFull.Load() || db.failure() != nil {
		return
	}
	v := db.acquire()
	deletes := v.mem[0].HasTombstones()
	v.release()
	if !deletes || !db.short.relieving.CompareAndSwap(false, true) {
		return
	}
	db.workDone.Go(func() {
		defer db.short.relieving.Store(false)
		if err := db.Flush(); err != nil && !errors.Is(err, ErrClosed) {
			db.log.Warn("flush deletes on a full disk", "error", err)
		}
	})
}

// checkDisk looks how much room there is, and refuses writes when it is too
// little.
func (db *DB) checkDisk() {
	free, total, err := db.fs.Free()
	if blind := err != nil; blind != db.diskBlind.Swap(blind) && blind {
		db.log.Warn("read free disk space", "error", err)
	}
	if err == nil {
		full := db.shortOf(free, total)
		if full && db.failure() == nil && db.wal != nil {
			db.wal.StopSpares()
		}
		if was := db.diskFull.Swap(full); was == full {
			// Nothing new to say.
		} else if full {
			db.log.Error("writes are refused: the disk is nearly full", "free_bytes", free)
		} else {
			db.log.Info("writes are accepted again", "free_bytes", free)
		}
	}
	db.showState()
}

// roomForSpare reports whether a zero-filled log file would leave enough.
func (db *DB) roomForSpare() bool {
	free, total, err := db.fs.Free()
	return err == nil && !db.shortOf(free-min(free, uint64(db.options.SegmentBytes)), total)
}
