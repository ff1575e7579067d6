package engine

import (
	"errors"

	"tskv/kv"
)

// errCold says that an operation needs a disk read that has not been done
// beforehand: its batch goes back to its caller, who reads and tries again, so
// that the commit goroutine does not wait for a disk.
var errCold = errors.New("needs a read from disk")

// writerView reads everything that the commit goroutine has written so far, the
// unpublished included.
func (c *committer) writerView() view {
	return view{db: c.db, v: c.v, seq: c.nextSeq - 1, now: c.now, rules: c.rules, expiring: c.db.expiring.Load()}
}

// stateOf returns what is known of a key, from the hot keys or the catalog. Unless
// warm is set it returns errCold rather than read a file.
func (c *committer) stateOf(key []byte, warm bool) (*keyState, error) {
	if st := c.hot.find(key); st != nil {
		return st, nil
	}
	st := &keyState{data: internalKey(make([]byte, 0, len(key)+1), spaceData, key), since: c.nextSeq - 1}
	w := c.writerView()
	c.keyBuf = internalKey(c.keyBuf[:0], spaceCatalog, key)
	if !warm && w.needsDisk(c.keyBuf) {
		return nil, errCold
	}
	var err error
	if st.entry, st.exists, err = w.catalogEntry(c.keyBuf); err != nil {
		return nil, err
	}
	st.lastKnown = !st.exists
	c.hot.add(st)
	return st, nil
}

// needsDisk reports whether finding the newest row of a key may read a file.
func (w view) needsDisk(key []byte) bool {
	if key[0] == spaceCatalog {
		for _, m := range w.v.mem {
			if m.Find(key) != nil {
				return false
			}
		}
	}
	return len(w.files(key, kv.Everything)) > 0
}

// lastID makes st.last known.
//
// A new ID that is at least now is greater than all of a key's old IDs unless a
// file or memtable reaches into the future. So for IDAuto (future set) files
// that end before now need not be read.
func (c *committer) lastID(st *keyState, future, warm bool) error {
	if st.lastKnown {
		return nil
	}
	w := c.writerView()
	from := kv.ID{}
	if future {
		from.Time = c.now
	}
	files := w.files(st.data, kv.Range{From: from, To: kv.MaxID})
	if len(files) == 0 {
		last, filled := w.lastInMemory(st.data)
		if !future || filled && !last.Less(from) {
			c.setLast(st, last, filled)
		}
		return nil
	}
	if !warm {
		return errCold
	}
	row, ok, _, err := w.newest(st.data, kv.MaxID, nil)
	if err != nil {
		return err
	}
	c.setLast(st, row.ID, ok)
	return nil
}

func (c *committer) setLast(st *keyState, last kv.ID, filled bool) {
	if last.Less(st.entry.floor) {
		last, filled = st.entry.floor, true
	}
	st.last, st.filled, st.lastKnown = last, filled, true
}

func (w view) lastInMemory(key []byte) (last kv.ID, filled bool) {
	var tombs []kv.Tombstone
	for _, m := range w.v.mem {
		if s := m.Find(key); s != nil {
			row, _, ok := m.Newest(s, kv.MaxID, w.seq)
			if ok && !covered(tombs, row.ID) && !row.ID.Less(last) {
				last, filled = row.ID, true
			}
		}
		if m.HasTombstones() {
			tombs = m.Covering(key, w.seq, tombs)
		}
	}
	return last, filled
}

// warm does, on the caller's goroutine, the reads that the commit goroutine will
// need for b, so that it finds index and blocks in memory. It forgets what a
// read says, errors too: the commit goroutine meets them again.
func (db *DB) warm(b *Batch) error {
	v := db.acquire()
	if v == nil {
		return ErrClosed
	}
	defer v.release()
	w := db.viewOf(v)
	for i := range b.Ops {
		op := &b.Ops[i]
		switch {
		case op.Blind:
			for _, key := range op.Keys {
				w.warmKey(key)
			}
		case op.Update != nil:
			for _, key := range op.Keys {
				w.warmKey(key, kv.MaxID)
			}
		case op.Mode != IDExplicit || op.Cond == IfLast:
			w.warmKey(op.Key, kv.MaxID)
		case op.Cond != Always:
			w.warmKey(op.Key, kv.MaxID, op.ID)
		default:
			w.warmKey(op.Key)
		}
	}
	b.warmed = true
	return nil
}

// warmKey reads a key's catalog entry, and its newest records at some IDs.
func (w view) warmKey(key []byte, at ...kv.ID) {
	var space [128]byte
	_, _, _ = w.catalogEntry(internalKey(space[:0], spaceCatalog, key))
	for _, id := range at {
		_, _, _, _ = w.newest(internalKey(space[:0], spaceData, key), id, nil)
	}
}

// holds reports whether a record with exactly this ID is there.
func (c *committer) holds(st *keyState, id kv.ID, warm bool) (bool, error) {
	if !st.exists {
		return false, nil
	}
	if err := c.lastID(st, false, warm); err != nil {
		return false, err
	}
	if !st.filled || st.last.Less(id) {
		return false, nil
	}
	w := c.writerView()
	if !warm && len(w.files(st.data, kv.Range{From: id, To: id})) > 0 {
		return false, errCold
	}
	row, ok, _, err := w.newest(st.data, id, nil)
	if err != nil || !ok || row.ID != id {
		return false, err
	}
	floor, shown, err := w.visibleFrom(st.data, id == st.last)
	return shown && !id.Less(floor), err
}

// forget drops all states of hot keys, because some come from writes that were
// undone. States found earlier must be looked up again: the epoch has changed.
func (c *committer) forget() { c.hot.clear() }
