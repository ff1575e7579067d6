package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tskv/wal"
)

// makeRoom freezes a full memtable and rotates a full log segment. It waits while
// too many memtables wait for their flush; batches in the queue that have waited
// longer than the time-out are answered ErrBusy meanwhile. It returns false when
// the store closes in the middle of that.
//
// The segment that Open made grows as it is written, which makes each sync slower by
// half: it is left as soon as there is a zero-filled one.
func (c *committer) makeRoom() bool {
	db := c.db
	if c.v != db.current.Load() {
		c.refresh() // or dropped memtables and files would stay
	}
	if c.mustFreeze() && !c.waitForFlush() {
		return false
	}
	if c.mustFreeze() {
		err := c.freezeIfFilled()
		c.noteRotation(err)
		c.answerFreeze(err)
		c.refused = nil
		if err != nil && c.mem.Bytes() >= 2*db.options.MemtableBytes {
			c.refused = err
		}
	} else if db.wal.Full() || db.spareReady.CompareAndSwap(true, false) {
		err := c.rotate()
		c.noteRotation(err)
		if err == nil {
			c.enc.StartSegment()
			c.early = false
		}
	}
	return true
}

// rotate goes on to the next log segment, on a full disk with what can be given
// back: without a segment not even a delete could be written.
func (c *committer) rotate() error {
	err := c.db.withRoom("rotate log", smallNeed, func() error { return c.db.wal.Rotate(c.nextSeq) })
	c.db.checkDisk() // a second of fast writers is too long to wait for
	return err
}

func (c *committer) mustFreeze() bool {
	return len(c.freezeNow) > 0 || c.mem.aged.Load() || c.memoryFull()
}

func (c *committer) memoryFull() bool { return c.mem.Full() || !c.mem.Fits(c.nextSeq+2*queueOps) }

func (c *committer) answerFreeze(err error) {
	for _, waiting := range c.freezeNow {
		waiting <- err
	}
	c.freezeNow = c.freezeNow[:0]
}

// noteRotation logs a failed rotation, but not again for every group that meets
// the same full disk. A failed sync is final.
func (c *committer) noteRotation(err error) {
	if errors.Is(err, wal.ErrSyncFailed) {
		_ = c.db.writeError(err)
	}
	if err != nil && c.rotateErr == nil {
		c.db.log.Error("rotate log", "error", err)
	}
	c.rotateErr = err
}

// waitForFlush waits while writes are stopped: until one more memtable may be
// frozen, or no longer needs to.
// What waits in the queue for too long is answered, and a caller of Flush hears
// of a flush that fails.
func (c *committer) waitForFlush() bool {
	db := c.db
	if c.admission().state != writesStopped {
		return true
	}
	db.metrics.Stalls.Inc()
	start := time.Now()
	defer func() { db.metrics.StallSeconds.Observe(time.Since(start)) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		flushed := db.flushed()
		c.refresh()
		if c.admission().state != writesStopped {
			return true
		}
		select {
		case <-flushed:
			if err := db.lastFlush(); err != nil {
				c.answerFreeze(err)
			}
		case <-tick.C:
			if err := db.stallError(); err != nil {
				answer(c.takeAll(), err)
				continue
			}
			late := c.expire(time.Now().Add(-db.options.QueueTimeout))
			db.metrics.Busy.Add(uint64(len(late)))
			answer(late, ErrBusy)
		case <-db.giveUp:
			return false
		}
	}
}

// expire takes out all batches that have waited since before limit.
func (c *committer) expire(limit time.Time) []*Batch {
	n := 0
	for n < len(c.rest) && c.rest[n].queued.Before(limit) {
		n++
	}
	late := slices.Clone(c.rest[:n])
	c.rest = c.rest[n:]
	return c.db.queue.expire(limit, late)
}

// stallError returns why there is no use in waiting for a flush, or nil.
func (db *DB) stallError() error {
	if err := db.ailment(); err != nil {
		return err
	}
	if err := db.lastFlush(); isFull(err) {
		return db.writeError(err)
	}
	return nil
}

// refresh takes the current version.
func (c *committer) refresh() {
	old := c.v
	c.v = c.db.acquire()
	old.release()
	c.mem = c.v.mem[0]
}

// freezeIfFilled freezes the active memtable unless nothing is in it.
func (c *committer) freezeIfFilled() error {
	if c.mem.Rows() == 0 && !c.mem.HasTombstones() && !c.mem.ruled {
		return nil
	}
	return c.freeze()
}

// freeze ends the active memtable and opens a new one together with a new log
// segment.
func (c *committer) freeze() error {
	db := c.db
	if err := c.rotate(); err != nil {
		return fmt.Errorf("start log segment: %w", err)
	}
	c.enc.StartSegment()
	c.early = false
	c.mem.keys, c.mem.expires, c.mem.rules = db.keys.Load(), db.expires.Load(), c.rules
	c.mem.frozenAt.Store(c.nextSeq - 1)
	next := db.newMemory(c.nextSeq, db.wal.Segment())
	db.versionMu.Lock()
	old := db.current.Load()
	mem := db.keepWarm(append([]*memory{next}, old.mem...), old.frozen+1, nil)
	db.swap(newVersion(mem, old.frozen+1, old.tables(), old.tombs))
	db.versionMu.Unlock()
	next.Unref() // the version holds it
	c.refresh()
	db.nudge(db.flushNudge)
	return nil
}
