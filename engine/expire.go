package engine

import (
	"bytes"
	"errors"
	"time"

	"tskv/kv"
)

// Keys with an expiry. The catalog entry says when a key expires, and every read
// asks it; the expiry index only says where to look for keys that are to be
// deleted. It is one series inside the store: its rows have the ID (time,
// sequence) and the key as value. A key has at most one row that counts, at
// catalogEntry.indexed. It may be earlier than the expiry, which has been
// postponed meanwhile: then it is written anew when its time comes, so that a key
// whose expiry is postponed with every write costs a row once per time to live,
// not once per write.

// expiryKey is the internal key of the index.
var expiryKey = []byte{spaceExpiry}

// expired reports whether the key has ended at a time in milliseconds.
func (c *catalogEntry) expired(now uint64) bool { return c.expireAt != 0 && c.expireAt <= now }

func (c *catalogEntry) info(key []byte) KeyInfo {
	return KeyInfo{Key: key, Kind: c.kind, Created: c.created, ExpireAt: c.expireAt}
}

// liveEntry is catalogEntry without keys that have expired.
func (w view) liveEntry(catalogKey []byte) (catalogEntry, bool, error) {
	entry, ok, err := w.catalogEntry(catalogKey)
	if err != nil || !ok || entry.expired(w.now) {
		return catalogEntry{}, false, err
	}
	return entry, true, nil
}

// Expires returns the number of keys with an expiry.
func (db *DB) Expires() uint64 { return db.expires.Load() }

// Now returns the snapshot's time in milliseconds since 1970, by which it tells
// what has expired; 0 if nothing could have when it was taken.
func (s *Snapshot) Now() uint64 { return s.now }

// ExpireAt returns when a key expires, in milliseconds since 1970, 0 = never;
// false if the key does not exist.
func (t *Tx) ExpireAt(key []byte) (uint64, bool, error) {
	st, err := t.state(key)
	if err != nil {
		return 0, false, err
	}
	return st.entry.expireAt, st.exists, nil
}

// SetExpireAt says when a key expires, in milliseconds since 1970; 0 = never. A
// time that is not in the future deletes the key at once. False if the key does
// not exist.
func (t *Tx) SetExpireAt(key []byte, at uint64) (bool, error) {
	st, err := t.state(key)
	if err != nil || !st.exists {
		return false, err
	}
	if err := t.grow(key, key); err != nil {
		return false, err
	}
	if at != 0 && at <= t.c.now {
		t.c.remove(t.g, st)
		return true, nil
	}
	t.c.setExpiry(t.g, st, at)
	return true, nil
}

// setExpiry writes the effects of another expiry.
func (c *committer) setExpiry(g *group, st *keyState, at uint64) {
	was := st.entry.expireAt
	if at == was {
		return
	}
	change := byte(expirySame)
	switch {
	case was == 0:
		change = expirySet
		g.expires++
		c.db.expiring.Store(true)
	case at == 0:
		change = expiryGone
		g.expires--
	}
	st.entry.expireAt = at
	if at != 0 && (st.entry.indexed == 0 || at < st.entry.indexed) {
		c.index(g, st, at)
	}
	c.row = st.entry.row(change)
	c.writeCatalog(g, st)
}

// index writes a row of the expiry index.
func (c *committer) index(g *group, st *keyState, at uint64) {
	st.entry.indexed = at
	seq := c.take(g)
	c.row = kv.Row{ID: kv.ID{Time: at, Seq: seq}, Form: kv.FormRaw, Raw: st.data[1:]}
	c.enc.Put(nil, expiryKey, &c.row)
	c.mem.Add(c.mem.Series(expiryKey), seq, &c.row)
}

// remove writes the effects of deleting a key.
func (c *committer) remove(g *group, st *keyState) {
	if st.entry.expireAt != 0 {
		st.entry.expireAt = 0
		g.expires--
		c.row = st.entry.row(expiryGone)
		c.writeCatalog(g, st)
	}
	c.row = kv.Row{Form: kv.FormDelete}
	c.writeCatalog(g, st)
	st.changed = c.writeTombstone(g, kv.Tombstone{Key: st.data, From: kv.MinID, To: kv.MaxID})
	g.keys--
	if g.events != nil {
		c.recordGone(g, st)
	}
	st.exists, st.entry = false, catalogEntry{}
	st.last, st.filled, st.lastKnown = kv.ID{}, false, true
}

// dropExpired deletes a key whose time has come, before anything is decided about
// it: then it is as if it had never been.
func (c *committer) dropExpired(g *group, st *keyState) error {
	if !st.exists || !st.entry.expired(c.now) {
		return nil
	}
	c.size += 3 * (opBytes + int64(len(st.data)))
	if c.size > MaxBatchBytes {
		return ErrTooLarge
	}
	c.remove(g, st)
	g.expired++
	return nil
}

// Bounds of one turn of the expiry job.
const (
	expirePeriod = time.Second
	expireKeys   = 1000
	expireBytes  = 1 << 20
)

// expireLoop deletes keys that have expired, so that their space comes back.
func (db *DB) expireLoop() {
	tick := time.NewTicker(expirePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-db.stopping:
			return
		}
		for more := true; more && !db.isStopping(); {
			var err error
			if more, err = db.expireDue(); err != nil {
				more = false
				if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrBusy) {
					db.log.Warn("delete expired keys", "error", err)
				}
			}
		}
	}
}

// expireDue deletes some of the keys that have expired; true if there may be more.
func (db *DB) expireDue() (bool, error) {
	if !db.expiring.Load() {
		return false, nil
	}
	v := db.acquire()
	if v == nil {
		return false, ErrClosed
	}
	defer v.release()
	w := db.viewOf(v)
	due, err := w.dueKeys(kv.MaxID)
	if err != nil || len(due.keys) == 0 {
		return false, err
	}
	var b Batch
	b.Update(func(t *Tx) error { return t.expireUpTo(due.last) }, due.keys...)
	b.Ops[0].Frees = true
	if err := db.Apply(&b); err != nil {
		return false, err
	}
	return true, b.Ops[0].Err
}

// due is a part of the expiry index.
type due struct {
	keys  [][]byte
	times []uint64
	last  kv.ID
}

// dueKeys reads the index up to now and up to an ID.
func (w view) dueKeys(to kv.ID) (due, error) {
	if last := (kv.ID{Time: w.now, Seq: kv.MaxID.Seq}); last.Less(to) {
		to = last
	}
	var d due
	src := w.source(expiryKey, kv.Range{From: kv.MinID, To: to}, walkOptions{})
	defer src.Close()
	size := 0
	for {
		rows, err := src.Next()
		if rows == nil || err != nil {
			return d, w.db.readError(err)
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			if len(d.keys) == expireKeys || size >= expireBytes {
				return d, nil
			}
			d.keys = append(d.keys, bytes.Clone(row.AppendValue(nil)))
			d.times = append(d.times, row.ID.Time)
			d.last, size = row.ID, size+len(row.Raw)
		}
	}
}

// expireUpTo works the index off up to an ID. It reads the index itself: what was
// written into it since the caller looked is worked off as well, or stays.
func (t *Tx) expireUpTo(to kv.ID) error {
	d, err := t.c.writerView().dueKeys(to)
	if err != nil || len(d.keys) == 0 {
		return err
	}
	for i, key := range d.keys {
		st, err := t.state(key) // which deletes it if its time has come
		if err != nil {
			return err
		}
		if !st.exists || st.entry.indexed != d.times[i] {
			continue
		}
		if err := t.grow(key, key); err != nil {
			return err
		}
		st.entry.indexed = 0
		if st.entry.expireAt != 0 {
			t.c.index(t.g, st, st.entry.expireAt)
		}
		t.c.row = st.entry.row(expirySame)
		t.c.writeCatalog(t.g, st)
	}
	t.c.writeTombstone(t.g, kv.Tombstone{Key: expiryKey, From: kv.MinID, To: d.last})
	return nil
}
