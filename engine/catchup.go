package engine

import (
	"bytes"
	"errors"
	"sort"

	"tskv/kv"
)

// place is where a tail stands in one key.
type place struct {
	id  kv.ID // the greatest delivered, or the start
	any bool  // there is one
	// read is what passes over the key's records have covered, by ascending IDs and
	// sequences, as long as recent events may be as old: each takes a new snapshot
	// every few thousand records, so that a slow consumer keeps no memtable alive.
	read []step
}

// step: the records with IDs up to id (and above that of the step before) were
// read at the sequence seq.
type step struct {
	seq uint64
	id  kv.ID
}

// maxSteps bounds the steps of one pass over a key. Beyond it the first ones are
// made one, of the lowest sequence: a record that came late meanwhile may be
// delivered twice then, but none is left out.
const maxSteps = 4096

// has reports whether a pass has delivered what was committed at seq with this ID.
func (p *place) has(id kv.ID, seq uint64) bool {
	i := sort.Search(len(p.read), func(i int) bool { return !p.read[i].id.Less(id) })
	return i < len(p.read) && p.read[i].seq >= seq
}

func (p *place) observe(id kv.ID) {
	if !p.any || p.id.Less(id) {
		p.id, p.any = id, true
	}
}

// covered notes that a pass has read up to id at a sequence.
func (p *place) covered(seq uint64, id kv.ID) {
	if n := len(p.read); n > 0 && p.read[n-1].seq == seq {
		p.read[n-1].id = id
		return
	}
	if len(p.read) == maxSteps {
		half := maxSteps / 2
		p.read[half-1].seq = p.read[0].seq
		p.read = append(p.read[:0], p.read[half-1:]...)
	}
	p.read = append(p.read, step{seq, id})
}

// fallBehind begins a pass, because recent events after t.seq are gone. It tells if
// some of them cannot be found in a pass.
func (t *Tail) fallBehind(oldest uint64) error {
	since := t.seq
	if t.full {
		t.seq = oldest
		return &LaggedError{Oldest: oldest}
	}
	t.behind, t.goal, t.done = true, 0, nil
	var missed error
	for key, p := range t.places {
		slot := t.slot
		if t.one == nil {
			slot = t.db.recent.slot([]byte(key))
		}
		if missed == nil && t.db.recent.lateSince(slot, since) {
			missed = &LaggedError{Key: []byte(key), Oldest: oldest}
		}
		// What is delivered so far is as of since.
		p.read = nil
		if p.any {
			p.read = []step{{since, p.id}}
		}
		t.places[key] = p
	}
	return missed
}

// catchUp goes on with a pass over the records that the tail's keys have beyond
// their places, at a snapshot of its own. When the pass is at its end, recent events
// after its first snapshot follow.
func (t *Tail) catchUp() error {
	snap, err := t.db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if t.goal == 0 {
		t.goal = max(snap.Sequence(), 1)
	}
	finished := false
	if t.one != nil {
		finished, err = t.readKey(snap, t.one)
	} else {
		finished, err = t.readKeys(snap)
	}
	if errors.Is(err, ErrSnapshotTooOld) {
		t.wake() // what was read is kept; the next look takes another snapshot
		return nil
	}
	if finished && err == nil {
		t.behind, t.seq, t.goal, t.done = false, t.goal, 0, nil
	}
	return err
}

// readKeys goes on with the keys of a pattern; true after the last.
func (t *Tail) readKeys(snap *Snapshot) (finished bool, err error) {
	finished = true
	err = t.eachKey(snap, t.done, func(key []byte) (bool, error) {
		if _, known := t.places[string(key)]; !known && len(t.places) == maxTailKeys {
			t.full = true
			return false, nil
		}
		done, err := t.readKey(snap, bytes.Clone(key))
		if err != nil || !done {
			finished = false
			return false, err
		}
		t.done = append(t.done[:0], key...)
		return true, nil
	})
	if t.full {
		t.places = nil
	}
	return finished, err
}

// readKey delivers a key's records beyond its place; true if that were all.
func (t *Tail) readKey(snap *Snapshot, key []byte) (bool, error) {
	p := t.places[string(key)]
	o := ScanOptions{To: kv.MaxID}
	if p.any {
		next, ok := p.id.Next()
		if !ok {
			return true, nil
		}
		o.From = next
	}
	sc, err := snap.Scan(key, o)
	if err != nil {
		return false, err
	}
	defer sc.Close()
	delivered := len(t.out)
	for {
		rows, err := sc.Next()
		if err != nil {
			t.out = t.out[:delivered] // the place has not moved
			return false, err
		}
		if rows == nil {
			p.covered(snap.Sequence(), kv.MaxID)
			t.places[string(key)] = p
			return true, nil
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			t.append(key, &row)
			p.observe(row.ID)
			if len(t.room) >= tailBytes || len(t.out) >= tailRows {
				p.covered(snap.Sequence(), p.id)
				t.places[string(key)] = p
				return false, nil
			}
		}
	}
}
