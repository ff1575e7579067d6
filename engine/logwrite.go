package engine

import (
	"errors"
	"slices"

	"tskv/wal"
)

// write puts the group into the log with one write(2). A group without effects
// is not written, but is answered in its turn.
func (c *committer) write(g *group) {
	ops := c.enc.Ops()
	c.payload = c.enc.Bytes()
	if ops > 0 {
		if g.err = c.append(g, ops); g.err != nil {
			c.undo(g)
		} else {
			if c.db.short.noRoom.Load() != nil {
				c.db.short.noRoom.Store(nil)
			}
			c.db.countKeys(g)
			c.db.metrics.WALAppends.Inc()
			c.account(g)
			c.db.metrics.GroupOps.ObserveValue(uint64(ops))
			c.db.metrics.GroupBatches.ObserveValue(uint64(len(g.batches)))
			c.syncEarly()
		}
	}
	if cap(c.payload) > 4<<20 {
		c.payload = nil
	}
}

// account counts a written group.
func (c *committer) account(g *group) {
	c.throttle.admit(len(c.payload))
	c.mem.logged.Add(int64(len(c.payload)))
	m := c.db.metrics
	m.WALBytes.Add(uint64(len(c.payload)))
	m.UserBytes.Add(g.bytes)
	stored := c.db.wal.Stats().Bytes
	m.WALStored.Add(stored - c.logged)
	c.logged = stored
}

// append writes the group's record. One that only deletes may use what a full
// disk gets back.
func (c *committer) append(g *group, ops uint32) error {
	err := c.db.wal.Append(g.firstSeq, ops, c.payload)
	if !isFull(err) || slices.ContainsFunc(g.batches, func(b *Batch) bool { return !b.frees }) {
		return err
	}
	return c.db.withRoom("delete", int64(len(c.payload))+smallNeed, func() error { return c.db.wal.Append(g.firstSeq, ops, c.payload) })
}

// syncEarly starts a sync when a segment is nearly full, because its rotation
// has to sync what is left. In SyncAlways nothing ever is.
func (c *committer) syncEarly() {
	db := c.db
	if db.options.Sync != SyncAlways && !c.early && db.wal.Size() > db.options.SegmentBytes/4*3 {
		c.early = true
		db.nudge(db.spareNudge)
	}
}

// undo hides the effects of a group that the log refused. Nothing of it was or
// will be visible; the next group goes on with higher sequences.
func (c *committer) undo(g *group) {
	c.mem.Abort(g.firstSeq, g.lastSeq)
	c.forget()
	c.rules, g.ruled = g.before, false
	c.enc.Rewind(c.start)
	if errors.Is(g.err, wal.ErrSegmentEnded) && c.rotateErr != nil {
		g.err = c.rotateErr // says why there is no other segment
	}
	g.err, g.undone = c.db.writeError(g.err), true
}
