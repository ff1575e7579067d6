package memtable

import (
	"math"

	"tskv/kv"
)

// Newest returns the row of the highest ID <= at among the rows with a
// sequence <= maxSeq that no tombstone of this table hides (of equal IDs the
// one of the highest sequence), and its sequence. Rows of FormDelete count. Raw
// and Tags share the table's memory: they are valid while the caller holds a
// reference. It does not allocate. Any goroutine.
func (t *Table) Newest(s *Series, at kv.ID, maxSeq uint64) (row kv.Row, seq uint64, ok bool) {
	limit, ok := t.maxDelta(maxSeq)
	if !ok {
		return row, 0, false
	}
	aborted := t.abortedRanges()
	if s.late.Load() == nil && aborted == nil && !t.HasTombstones() {
		p := s.floor(s.end(), at, limit)
		if p.none() {
			return row, 0, false
		}
		r := s.record(p)
		t.arena.load(r, &row)
		return row, t.base + uint64(r.delta), true
	}
	l := newestLookup{t: t, maxSeq: maxSeq, at: at, limit: limit, aborted: aborted}
	var room [4][]kv.Tombstone
	if t.HasTombstones() {
		l.lists = t.tombstoneLists(s.key, room[:0])
	}
	best := l.inChain(s)
	if late := s.late.Load(); late != nil {
		best = higher(best, l.inRun(&late.buffer))
		for i := range late.runs {
			best = higher(best, l.inRun(&late.runs[i]))
		}
	}
	if best == nil {
		return row, 0, false
	}
	t.arena.load(best, &row)
	return row, t.base + uint64(best.delta), true
}

// higher returns the record with the higher ID, of equal ones the newer.
func higher(a, b *record) *record {
	if a == nil || b != nil && (b.above(a.id()) || b.id() == a.id() && b.delta > a.delta) {
		return b
	}
	return a
}

type newestLookup struct {
	t       *Table
	at      kv.ID
	maxSeq  uint64
	limit   uint32
	aborted []seqRange
	lists   [][]kv.Tombstone
}

// inChain goes down from the last record that at and maxSeq let see. A
// tombstone that hides one record of a chain hides all before it down to its
// From, since those have lower sequences.
func (l *newestLookup) inChain(s *Series) *record {
	p := s.floor(s.end(), l.at, l.limit)
	for !p.none() {
		r := s.record(p)
		seq := l.t.base + uint64(r.delta)
		if isAborted(l.aborted, seq) {
			p = s.before(p)
			continue
		}
		d := hiding(l.lists, l.aborted, r.id(), seq, l.maxSeq)
		if d == nil {
			return r
		}
		id, ok := d.From.Prev()
		if !ok {
			return nil
		}
		p = s.floor(p, id, math.MaxUint32)
	}
	return nil
}

// inRun does the same in a run, where sequences are in no order: it can leap
// only over a tombstone that is newer than the whole run.
func (l *newestLookup) inRun(r *run) *record {
	if len(r.records) == 0 || r.minDelta > l.limit {
		return nil
	}
	for i := r.search(l.at) - 1; i >= 0; i-- {
		rec := &r.records[i]
		seq := l.t.base + uint64(rec.delta)
		if rec.delta > l.limit || isAborted(l.aborted, seq) {
			continue
		}
		d := hiding(l.lists, l.aborted, rec.id(), seq, l.maxSeq)
		if d == nil {
			return rec
		}
		if d.Seq <= l.t.base+uint64(r.maxDelta) {
			continue
		}
		id, ok := d.From.Prev()
		if !ok {
			return nil
		}
		i = r.search(id)
	}
	return nil
}
