package engine

import (
	"time"

	"tskv/kv"
)

// Tx is what an Update function reads and writes through. It sees everything
// written before it, the not yet visible included, and is good only during the
// call. Its methods must be called on the goroutine that runs the function.
type Tx struct {
	c *committer
	g *group
}

// undoMark is where an Update started.
type undoMark struct {
	seq     uint64
	enc     kv.Mark
	keys    int64
	bytes   uint64
	expires int64
	cleared bool
	expired uint64
	epoch   uint64
	events  int
	rules   *ruleTable
	ruled   bool
}

// touched is the state of a key before an Update used it.
type touched struct {
	st  *keyState
	was keyState
}

// update runs one Update function; if it fails, its effects are taken back.
func (c *committer) update(g *group, op *Op) error {
	mark := undoMark{
		seq: c.nextSeq, enc: c.enc.Mark(), epoch: c.hot.epoch, rules: c.rules, ruled: g.ruled, events: g.events.len(),
		keys: g.keys, expires: g.expires, bytes: g.bytes, cleared: g.cleared, expired: g.expired,
	}
	err := op.Update(&Tx{c: c, g: g})
	if err != nil && c.nextSeq != mark.seq {
		c.rollBack(g, &mark)
	}
	c.untouch()
	return err
}

// untouch forgets what an Update would have taken back.
func (c *committer) untouch() {
	clear(c.touched)
	c.touched = c.touched[:0]
	if cap(c.touched) > maxTouched {
		c.touched = nil
	}
}

// maxTouched bounds the room that is kept for the states of the next Update.
const maxTouched = 4096

// rollBack takes back what an Update wrote. The hot keys that it did not use stay
// hot: a client whose transactions fail must not cost the others anything.
func (c *committer) rollBack(g *group, mark *undoMark) {
	c.mem.Abort(mark.seq, c.nextSeq-1)
	c.enc.Rewind(mark.enc)
	c.enc.Gap(uint32(c.nextSeq - mark.seq))
	g.keys, g.expires, g.bytes, g.cleared, g.expired = mark.keys, mark.expires, mark.bytes, mark.cleared, mark.expired
	c.rules, g.rules, g.ruled = mark.rules, mark.rules, mark.ruled
	g.events.cut(mark.events)
	if c.hot.epoch != mark.epoch {
		c.forget() // states were dropped and found again, as the Update left them
		return
	}
	for i := len(c.touched) - 1; i >= 0; i-- {
		*c.touched[i].st = c.touched[i].was
	}
}

// grow accounts for a write; ErrTooLarge once the batch with all that its
// Updates write is over MaxBatchBytes.
func (t *Tx) grow(key, value []byte) error {
	t.c.size += opBytes + 2*int64(len(key)) + int64(len(value))
	if t.c.size > MaxBatchBytes {
		return ErrTooLarge
	}
	return nil
}

// Now returns the group's time in milliseconds since 1970; it never goes back.
func (t *Tx) Now() uint64 { return t.c.now }

// Newest is DB.Get inside the transaction. The value is a copy.
func (t *Tx) Newest(key []byte, at kv.ID) (Record, bool, error) {
	st, err := t.state(key)
	if err != nil || !st.exists {
		return Record{}, false, err
	}
	return t.c.writerView().get(key, at, nil)
}

// Exists reports whether the key exists.
func (t *Tx) Exists(key []byte) (bool, error) {
	st, err := t.state(key)
	if err != nil {
		return false, err
	}
	return st.exists, nil
}

func (t *Tx) state(key []byte) (*keyState, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	st, err := t.c.stateOf(key, true)
	if err != nil {
		return nil, err
	}
	t.c.touched = append(t.c.touched, touched{st, *st})
	return st, t.c.dropExpired(t.g, st)
}

// Put writes one record, with the same fields, conditions and results as an
// operation of a batch.
func (t *Tx) Put(op *Op) error {
	op.Written = false
	if err := checkPut(op); err != nil {
		return err
	}
	if err := t.grow(op.Key, op.Value); err != nil {
		return err
	}
	st, err := t.state(op.Key)
	if err != nil {
		return err
	}
	op.state, op.epoch = st, t.c.hot.epoch
	return t.c.put(t.g, op)
}

// Delete removes a key with all its records in constant time; false if it did
// not exist.
func (t *Tx) Delete(key []byte) (bool, error) {
	st, err := t.state(key)
	if err != nil || !st.exists {
		return false, err
	}
	if err := t.grow(key, nil); err != nil {
		return false, err
	}
	t.c.remove(t.g, st)
	return true, nil
}

// DeleteRange removes the records from <= ID <= to of a key. The key stays, and
// so does its last ID: "*" does not give an ID twice.
func (t *Tx) DeleteRange(key []byte, from, to kv.ID) error {
	st, err := t.state(key)
	if err != nil || !st.exists || to.Less(from) {
		return err
	}
	if err := t.grow(key, nil); err != nil {
		return err
	}
	c := t.c
	if err := c.lastID(st, false, true); err != nil {
		return err
	}
	if err := t.trimHidden(st, to); err != nil {
		return err
	}
	t.keepLast(st, from, to)
	st.changed = c.writeTombstone(t.g, kv.Tombstone{Key: st.data, From: from, To: to})
	return nil
}

// keepLast remembers the last ID of a key, which is known, in its catalog entry if
// the record is about to be deleted.
func (t *Tx) keepLast(st *keyState, from, to kv.ID) {
	if st.filled && !st.last.Less(from) && !to.Less(st.last) && st.entry.floor != st.last {
		st.entry.floor = st.last
		t.c.row = st.entry.row(expirySame)
		t.c.writeCatalog(t.g, st)
	}
}

// Clear removes all keys in constant time.
func (t *Tx) Clear() {
	t.c.writeTombstone(t.g, kv.Tombstone{Prefix: true, From: kv.MinID, To: kv.MaxID})
	t.c.forget()
	t.g.keys, t.g.expires, t.g.cleared = 0, 0, true
	if t.g.events != nil {
		t.g.events.cleared = true
	}
}

// Before returns a snapshot of the state just before the next write of this
// Update. The caller of Apply must release it after Apply has returned.
func (t *Tx) Before() *Snapshot {
	w := t.c.writerView()
	w.v = t.c.db.acquire()
	return &Snapshot{view: w}
}

// Update runs fn as a batch of its own; see Batch.Update.
func (db *DB) Update(fn func(*Tx) error, keys ...[]byte) error {
	var b Batch
	b.Update(fn, keys...)
	if err := db.Apply(&b); err != nil {
		return err
	}
	return b.Ops[0].Err
}

// Clear removes all keys and their records. A nearly full disk does not refuse it.
func (db *DB) Clear() error {
	var b Batch
	b.Update(func(t *Tx) error {
		t.Clear()
		return nil
	})
	b.Ops[0].Frees = true
	if err := db.Apply(&b); err != nil {
		return err
	}
	return b.Ops[0].Err
}

// Apply commits b as one group and waits until it is as durable as the sync mode
// promises. An error means that nothing of b was written; otherwise each
// operation has its own result. After ErrBusy, ErrReadOnly or a disk's error the
// batch may be applied again.
func (db *DB) Apply(b *Batch) error {
	if err := b.check(); err != nil {
		return err
	}
	if err := db.refusal(); err != nil && (!b.frees || db.failure() != nil || db.closed.Load()) {
		return err
	}
	return db.submit(b)
}

// submit takes a checked batch through the queue.
func (db *DB) submit(b *Batch) error {
	if b.done == nil {
		b.done = make(chan struct{}, 1)
	}
	if b.updates {
		if err := db.warm(b); err != nil {
			return err
		}
	}
	for {
		b.queued, b.cold, b.err = time.Now(), false, nil
		if err := db.queue.put(b, db.options.QueueTimeout); err != nil {
			return err
		}
		<-b.done
		if !b.cold {
			return b.err
		}
		if err := db.warm(b); err != nil {
			return err
		}
	}
}

// check bounds the batch and prepares it for the queue.
func (b *Batch) check() error {
	if len(b.Ops) > MaxBatchOps {
		return ErrTooLarge
	}
	b.bytes, b.warmed, b.updates, b.frees = 0, false, false, true
	for i := range b.Ops {
		op := &b.Ops[i]
		b.frees = b.frees && op.Frees && op.Update != nil
		op.Written, op.Err = false, nil
		if op.Update != nil {
			b.updates = b.updates || !op.Blind
			continue
		}
		if err := checkPut(op); err != nil {
			return err
		}
		b.bytes += opBytes + 2*int64(len(op.Key)) + int64(len(op.Value)+len(op.Tags))
	}
	if b.bytes > MaxBatchBytes {
		return ErrTooLarge
	}
	return nil
}

// opBytes is more than an operation takes in the log beside its bytes. Its key
// counts twice, because a new key is written into the catalog too.
const opBytes = 64

func checkPut(op *Op) error {
	if err := checkKey(op.Key); err != nil {
		return err
	}
	if op.Tags != nil {
		if err := kv.CheckTagSet(op.Tags); err != nil {
			return err
		}
	}
	if len(op.Value) > kv.MaxValue {
		return ErrValue
	}
	return nil
}

func checkKey(key []byte) error {
	if len(key) == 0 || len(key) > MaxKey {
		return ErrKey
	}
	return nil
}
