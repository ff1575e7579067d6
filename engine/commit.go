package engine

import (
	"errors"
	"slices"

	"tskv/compaction"
	"tskv/kv"
)

// group is what one turn of the commit goroutine puts into one log record.
type group struct {
	batches  []*Batch
	firstSeq uint64
	lastSeq  uint64 // firstSeq-1 while it is empty
	keys     int64  // change of the number of keys
	expires  int64  // change of the number of keys with an expiry
	cleared  bool   // both numbers start from zero in this group
	expired  uint64 // keys that it deletes because they have expired
	bytes    uint64 // of keys, values, tags and times that it puts
	err      error
	undone   bool // the log refused it: its sequences hold nothing
	before   *ruleTable
	rules    *ruleTable // what it leaves, if ruled
	ruled    bool       // it changes the retention rules
	events   *events
}

// labelOf is the label of a memtable's series of a class; 0 stands for the class
// of most.
func labelOf(class uint8) uint8 { return compaction.ClassData - class }

// birthClass returns the retention class of a new key. A key that has rows in the
// memtable keeps their class: they may be of an earlier life of the key that an
// Update has ended, which may still be undone.
func (c *committer) birthClass(st *keyState) uint8 {
	if s := c.mem.Find(st.data); s != nil {
		return compaction.ClassData - s.Label()
	}
	if r := c.rules.find(st.data[1:]); r != nil {
		return compaction.ClassOf(r.AgeMS)
	}
	return compaction.ClassData
}

// committer is the state of the commit goroutine; nothing else touches it.
//
// Effects go into the memtable while the group is being decided, before the log
// has them, so that a later operation of the group reads what an earlier one
// wrote. They stay invisible, because readers stop at the visible sequence, which
// moves only after the log record is as durable as promised. If the log refuses
// the record, the group's sequences are marked as aborted in the memtable.
type committer struct {
	db *DB
	// early is set when the log of this segment was synced ahead of its rotation.
	early     bool
	rotateErr error
	// refused is why writes are refused until a rotation works: set when the
	// memtable has grown far beyond its size because it cannot be frozen.
	refused error
	v       *version // current version, kept referenced
	mem     *memory  // its active memtable
	hot     hotKeys
	enc     kv.Encoder
	payload []byte
	nextSeq uint64
	now     uint64     // milliseconds, once per group
	rules   *ruleTable // the unpublished included
	keyBuf  []byte
	row     kv.Row  // scratch, so that rows do not escape one by one
	start   kv.Mark // the encoder at the start of the group
	waiting []*Batch
	rest    []*Batch  // of waiting: for the next group
	size    int64     // of the present batch, what its Updates wrote included
	touched []touched // by the present Update
	// admitted is how writes were admitted last; while slow, throttle spreads
	// groups of up to groupLimit bytes over time.
	admitted   writeState
	throttle   throttle
	groupLimit int
	logged     uint64 // bytes in the log that metrics know of
	// freezeNow are callers of Flush who wait for the memtable to be frozen.
	freezeNow []chan error
}

// commitLoop runs until the queue is closed and drained.
func (db *DB) commitLoop() {
	c := db.committer
	defer func() {
		answer(c.takeAll(), ErrClosed)
	}()
	for c.makeRoom() && c.slowDown() {
		if len(c.rest) == 0 {
			ready, open := db.queue.wait()
			if !open {
				return
			}
			if !ready {
				continue
			}
		}
		db.syncer.turn(db.queue)
		if len(c.rest) == 0 {
			clear(c.waiting)
			c.waiting = db.queue.take(c.waiting[:0])
			c.rest = c.waiting
		}
		if c.rotateErr != nil && !c.makeRoom() { // the disk may be well again
			return
		}
		if c.refused != nil {
			answer(c.takeAll(), db.writeError(c.refused))
			continue
		}
		g := db.syncer.group()
		c.begin(g)
		for len(c.rest) > 0 && len(c.enc.Bytes()) < c.groupLimit {
			c.batch(g, c.rest[0])
			c.rest = c.rest[1:]
		}
		c.write(g)
		db.syncer.submit(g)
	}
}

// groupBytes ends a group: with one more batch of any size its record stays
// under the log's limit, whatever the Updates in it write.
const groupBytes = 16 << 20

// takeAll takes all batches that wait.
func (c *committer) takeAll() []*Batch {
	all := c.db.queue.expire(maxTime, slices.Clone(c.rest))
	c.rest = nil
	return all
}

func (c *committer) begin(g *group) {
	c.now = max(uint64(max(c.db.options.Now().UnixMilli(), 0)), c.now)
	g.firstSeq, g.lastSeq, g.before = c.nextSeq, c.nextSeq-1, c.rules
	g.events = c.db.recent.record(g.firstSeq)
	c.enc.Begin(c.payload[:0])
	c.start = c.enc.Mark()
}

// batch decides all operations of b, or sends b back to its caller if one of
// them needs a disk read first.
func (c *committer) batch(g *group, b *Batch) {
	err := c.resolve(b)
	c.size = b.bytes
	if err == nil && b.Guard != nil {
		err = b.Guard(&Tx{c: c, g: g})
		c.untouch() // no Update has used these keys
	}
	if err != nil {
		b.cold = errors.Is(err, errCold)
		b.err = nil
		if !b.cold {
			b.err = err
		}
		b.done <- struct{}{}
		return
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Update != nil {
			op.Err = c.update(g, op)
		} else {
			op.Err = c.put(g, op)
		}
	}
	g.batches = append(g.batches, b)
}

// resolve finds the states of all keys of b before anything is written. A read
// that fails for one operation is that operation's error: put meets it again.
func (c *committer) resolve(b *Batch) error {
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Update != nil {
			if err := c.resolveBlind(op, b.warmed); err != nil {
				return err
			}
			continue
		}
		st, err := c.stateOf(op.Key, b.warmed)
		if err != nil {
			return err
		}
		op.state, op.epoch = st, c.hot.epoch
		if err := c.prepare(op, st, b.warmed); errors.Is(err, errCold) {
			return err
		}
	}
	return nil
}

// resolveBlind finds the states of the keys of a blind Update.
func (c *committer) resolveBlind(op *Op, warm bool) error {
	if !op.Blind || warm {
		return nil
	}
	for _, key := range op.Keys {
		if _, err := c.stateOf(key, false); errors.Is(err, errCold) {
			return err
		}
	}
	return nil
}

// prepare reads what the operation's mode and condition will ask for.
func (c *committer) prepare(op *Op, st *keyState, warm bool) error {
	switch {
	case op.Cond == IfAbsent || op.Cond == IfPresent:
		if op.Mode == IDExplicit {
			_, err := c.holds(st, op.ID, warm)
			return err
		}
		return c.lastID(st, false, warm)
	case op.Cond == IfLast || op.Mode == IDAutoSeq:
		return c.lastID(st, false, warm)
	case op.Mode == IDAuto:
		return c.lastID(st, true, warm)
	}
	return nil
}

// put decides one put and writes its effects.
func (c *committer) put(g *group, op *Op) error {
	st := op.state
	if op.epoch != c.hot.epoch {
		var err error
		if st, err = c.stateOf(op.Key, true); err != nil {
			return err
		}
	}
	if err := c.dropExpired(g, st); err != nil {
		return err
	}
	if st.exists && st.entry.kind != KindSeries {
		return ErrWrongType
	}
	if op.Cond == IfLast {
		if err := c.lastID(st, false, true); err != nil {
			return err
		}
		if st.last != op.After {
			return &ConflictError{Last: st.last}
		}
	}
	id, err := c.chooseID(st, op)
	if err != nil {
		return err
	}
	if op.Cond == IfAbsent || op.Cond == IfPresent {
		there, err := c.holds(st, id, true)
		if err != nil {
			return err
		}
		if there != (op.Cond == IfPresent) {
			return nil
		}
	}
	if !st.exists {
		c.create(g, st)
	}
	c.row = kv.Row{ID: id, Tags: op.Tags}
	c.row.SetValue(op.Value)
	c.writeRow(g, st)
	if g.events != nil {
		c.recordPut(g, st, op.Mode)
	}
	g.bytes += uint64(len(op.Key) + len(op.Value) + len(op.Tags) + timeBytes)
	if op.Mode == IDAuto && !st.lastKnown {
		// chooseID has found nothing of the key at now or later.
		st.last, st.filled, st.lastKnown = id, true, true
	}
	st.observe(id)
	if op.Persist {
		c.setExpiry(g, st, 0)
	}
	op.ID, op.Written = id, true
	return nil
}

// timeBytes is what the time of a record counts for in the metric of user bytes.
const timeBytes = 8

// chooseID gives the record its ID.
func (c *committer) chooseID(st *keyState, op *Op) (kv.ID, error) {
	switch op.Mode {
	case IDAuto:
		if err := c.lastID(st, true, true); err != nil {
			return kv.ID{}, err
		}
		return c.freshID(st)
	case IDAutoSeq:
		if err := c.lastID(st, false, true); err != nil {
			return kv.ID{}, err
		}
		id := kv.ID{Time: op.ID.Time}
		if st.filled && !st.last.Less(id) {
			next, ok := st.last.Next()
			if !ok || next.Time != id.Time {
				return kv.ID{}, ErrIDTooSmall
			}
			id = next
		}
		return id, nil
	}
	return op.ID, nil
}

// freshID returns now-0 or, if the key has that or a later ID, the successor of
// its last one. It changes nothing: the ID may not be written in the end.
func (c *committer) freshID(st *keyState) (kv.ID, error) {
	id, last, filled := kv.ID{Time: c.now}, st.last, st.filled
	if !st.lastKnown { // no record lies at now or later
		last, filled = st.entry.floor, st.entry.floor != kv.ID{}
	}
	if filled && !last.Less(id) {
		next, ok := last.Next()
		if !ok {
			return kv.ID{}, ErrIDExhausted
		}
		id = next
	}
	return id, nil
}

// create writes the catalog row of a new key.
func (c *committer) create(g *group, st *keyState) {
	st.exists, st.lastKnown = true, true
	st.entry = catalogEntry{kind: KindSeries, class: c.birthClass(st), created: c.now}
	st.ref = kv.KeyRef{} // the log's key depends on the class
	c.row = birthRow(KindSeries, c.now, st.entry.class)
	c.writeCatalog(g, st)
	g.keys++
}

func (c *committer) writeCatalog(g *group, st *keyState) {
	c.keyBuf = st.catalogKey(c.keyBuf[:0])
	c.enc.Put(nil, c.keyBuf, &c.row)
	st.changed = c.take(g)
	c.mem.Add(c.mem.Series(c.keyBuf), st.changed, &c.row)
}

// writeRow writes c.row into the group and the memtable.
func (c *committer) writeRow(g *group, st *keyState) {
	var series memSeries
	if st.memory == c.mem.number {
		series = c.mem.Numbered(st.series)
	} else {
		series = c.mem.Series(st.data)
		st.memory, st.series = c.mem.number, series.Number()
	}
	series.SetLabel(labelOf(st.entry.class))
	key := st.data
	if st.entry.class != compaction.ClassData {
		c.keyBuf = internalKey(c.keyBuf[:0], spaceClass+st.entry.class, st.data[1:])
		key = c.keyBuf
	}
	c.enc.Put(&st.ref, key, &c.row)
	st.changed = c.take(g)
	c.mem.Add(series, st.changed, &c.row)
}

func (c *committer) writeTombstone(g *group, t kv.Tombstone) uint64 {
	t.Seq = c.take(g)
	c.enc.DeleteRange(&t)
	c.mem.AddTombstone(t)
	return t.Seq
}

func (c *committer) take(g *group) uint64 {
	seq := c.nextSeq
	c.nextSeq++
	g.lastSeq = seq
	return seq
}
