package engine

import (
	"bytes"
	"errors"
	"math"
	"time"

	"tskv/kv"
)

// Rules of bytes, and what rules of records hide, become range deletes from the
// start of a key, which the trimmer writes like any other write. Between its
// rounds a key may be over its bytes.

const (
	trimPeriod = 10 * time.Second
	// A round ends after so many keys or rows, and the next one goes on there.
	trimKeys = 20_000
	trimRows = 4 << 20
	// trimSlack: a key is trimmed when it is over its bytes by one part in so many,
	// so that a busy key does not cost a range delete every round.
	trimSlack = 16
	// trimCacheBytes bounds what the trimmer remembers of keys.
	trimCacheBytes = 16 << 20
	// rowBytes is what a record counts beside its value and tags.
	rowBytes = 16
)

// trimming is where the trimmer stands; it belongs to its goroutine.
type trimming struct {
	rules  *ruleTable
	rule   int    // index of the rule whose keys are being walked
	after  []byte // the last key seen of it
	keys   map[string]keySize
	memory int
	budget int // rows that the round may still read
}

// keySize is the measure of a key: the records that it keeps up to last have so
// many bytes.
type keySize struct {
	created uint64
	last    kv.ID
	bytes   uint64
}

// trimLoop trims keys from time to time.
func (db *DB) trimLoop() {
	tick := time.NewTicker(trimPeriod)
	defer tick.Stop()
	var t trimming
	for {
		select {
		case <-tick.C:
		case <-db.stopping:
			return
		}
		if err := db.trim(&t); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrBusy) {
			db.log.Warn("trim keys", "error", err)
		}
	}
}

// trim does one round: it walks keys with rules of bytes or records from where the
// last round ended, once around at most.
func (db *DB) trim(t *trimming) error {
	snap, err := db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if t.rules != snap.rules {
		*t = trimming{rules: snap.rules}
	}
	if t.rules == nil || !t.rules.sized {
		return nil
	}
	t.budget = trimRows
	list := t.rules.list()
	keys := trimKeys
	for range list {
		r := &list[t.rule]
		if r.Bytes > 0 || r.Records > 0 {
			done, err := t.walk(snap, r, &keys)
			if err != nil || !done {
				return err
			}
		}
		t.rule, t.after = (t.rule+1)%len(list), nil
	}
	return nil
}

// walk trims the keys for which r is in force; false if the round has to end.
func (t *trimming) walk(snap *Snapshot, r *Rule, left *int) (bool, error) {
	if !r.Prefix {
		return true, t.trimKey(snap, r, r.Pattern)
	}
	from := r.Pattern
	if t.after != nil {
		from = t.after
	}
	it, err := snap.Keys(from, t.after == nil)
	if err != nil {
		return false, err
	}
	defer it.Close()
	for {
		info, ok, err := it.Next()
		if err != nil || !ok || !bytes.HasPrefix(info.Key, r.Pattern) {
			return true, err
		}
		if *left--; *left < 0 || t.budget <= 0 || snap.db.isStopping() {
			return false, nil
		}
		if found := snap.rules.find(info.Key); found.Prefix == r.Prefix && bytes.Equal(found.Pattern, r.Pattern) {
			if err := t.trimKey(snap, r, info.Key); err != nil {
				return false, err
			}
		}
		t.after = append(t.after[:0], info.Key...)
	}
}

// trimKey deletes from the start of a key what is over its rule.
func (t *trimming) trimKey(snap *Snapshot, r *Rule, key []byte) error {
	info, ok, err := snap.Key(key)
	if err != nil || !ok {
		return err
	}
	internal := internalKey(nil, spaceData, key)
	young := kv.ID{Time: cutoff(r, snap.now)} // what is too old goes with whole files
	first, err := t.cutRecords(snap, internal, young, r.Records)
	if err == nil && r.Bytes > 0 {
		var cut kv.ID
		cut, err = t.cutBytes(snap, internal, young, r.Bytes, info.Created)
		first = maxID(first, cut)
	}
	last, some := first.Prev()
	if err != nil || !some {
		return err
	}
	return snap.db.trimTo(key, info.Created, snap.seq, last)
}

// cutRecords returns the ID of the n-th newest record of a key if there are some
// more, else MinID.
func (t *trimming) cutRecords(snap *Snapshot, key []byte, young kv.ID, n uint64) (kv.ID, error) {
	if n == 0 || n > math.MaxUint64/2 {
		return kv.MinID, nil
	}
	over := n + n/trimSlack + 1
	t.budget -= int(min(over, trimRows))
	_, more, err := snap.nthNewest(key, young, over)
	if err != nil || !more {
		return kv.MinID, err
	}
	first, _, err := snap.nthNewest(key, young, n)
	return first, err
}

// cutBytes returns the ID of the oldest record of a key that fits into a number of
// bytes together with all newer ones; MinID if all fit, or if by what is remembered
// they may. The newest record always fits. What is remembered may be too much,
// after deletes, but a key is measured anew before anything of it is deleted.
func (t *trimming) cutBytes(snap *Snapshot, key []byte, young kv.ID, limit, created uint64) (kv.ID, error) {
	size, known := t.keys[string(key)]
	if known && size.created == created {
		if err := t.measureNew(snap, key, &size); err != nil {
			return kv.MinID, err
		}
		if size.bytes <= limit+limit/trimSlack {
			t.remember(key, size)
			return kv.MinID, nil
		}
	}
	size = keySize{created: created}
	first, err := t.measure(snap, key, young, limit, &size)
	if err == nil {
		t.remember(key, size)
	}
	return first, err
}

// measureNew adds the records after the last measured one.
func (t *trimming) measureNew(snap *Snapshot, key []byte, size *keySize) error {
	next, some := size.last.Next()
	if !some {
		return nil
	}
	return t.each(snap, key, kv.Range{From: next, To: kv.MaxID}, func(id kv.ID, n uint64) bool {
		size.last, size.bytes = id, size.bytes+n
		return true
	})
}

// measure reads backwards from the newest record as far as the limit reaches. It
// returns the last ID that is within, if there are older ones, else MinID.
func (t *trimming) measure(snap *Snapshot, key []byte, young kv.ID, limit uint64, size *keySize) (kv.ID, error) {
	var first kv.ID
	over := false
	err := t.each(snap, key, kv.Range{From: young, To: kv.MaxID, Reverse: true}, func(id kv.ID, n uint64) bool {
		if over = size.bytes > 0 && size.bytes+n > limit; over {
			return false
		}
		if size.bytes == 0 {
			size.last = id
		}
		first, size.bytes = id, size.bytes+n
		return true
	})
	if err != nil || !over {
		return kv.MinID, err
	}
	return first, nil
}

// each calls fn with the ID and the bytes of every record until it returns false.
func (t *trimming) each(snap *Snapshot, key []byte, rg kv.Range, fn func(id kv.ID, bytes uint64) bool) error {
	src := snap.source(key, rg, walkOptions{})
	defer src.Close()
	var text []byte
	for {
		rows, err := src.Next()
		if rows == nil || err != nil {
			return snap.db.readError(err)
		}
		t.budget -= rows.Len()
		for i := range rows.Len() {
			row := rows.Row(i)
			n := len(row.Raw)
			if row.Raw == nil {
				text = row.AppendValue(text[:0])
				n = len(text)
			}
			if !fn(row.ID, uint64(rowBytes+n+len(row.Tags))) {
				return nil
			}
		}
		if snap.db.isStopping() {
			return ErrClosed
		}
	}
}

func (t *trimming) remember(key []byte, size keySize) {
	if t.keys == nil || t.memory >= trimCacheBytes {
		t.keys, t.memory = make(map[string]keySize), 0
	}
	if _, known := t.keys[string(key)]; !known {
		t.memory += len(key) + stateBytes
	}
	t.keys[string(key)] = size
}

// trimTo deletes the records of a key up to an ID, unless it was deleted since a
// sequence: then they are others.
func (db *DB) trimTo(key []byte, created, seq uint64, last kv.ID) error {
	var b Batch
	b.Update(func(t *Tx) error {
		st, err := t.state(key)
		if err != nil || !st.exists || st.entry.created != created || t.c.deletedSince(st.data, seq) {
			return err
		}
		if err := t.grow(key, nil); err != nil {
			return err
		}
		st.changed = t.c.writeTombstone(t.g, kv.Tombstone{Key: st.data, From: kv.MinID, To: last})
		return nil
	}, key)
	b.Ops[0].Frees = true
	if err := db.Apply(&b); err != nil {
		return err
	}
	db.metrics.RetentionTrims.Inc()
	return b.Ops[0].Err
}

// deletedSince reports whether a key was deleted as a whole after a sequence.
func (c *committer) deletedSince(key []byte, seq uint64) bool {
	var tombs []kv.Tombstone
	for _, m := range c.v.mem {
		tombs = m.Covering(key, c.nextSeq-1, tombs)
	}
	for _, t := range c.v.tombs.Covering(key, tombs) {
		if t.Seq > seq && t.From == kv.MinID && t.To == kv.MaxID {
			return true
		}
	}
	return false
}
