package command

import (
	"tskv/engine"
	"tskv/kv"
)

func seriesCommands() []spec {
	const write = flagWrite | flagFast | flagQueued
	one := keySpec{1, 1, 1}
	return []spec{
		{
			name: "put", arity: -4, flags: write, keys: one, group: "series", since: "0.1.0",
			syntax:  "key <*|id> value [TAG tag]... [NX|XX|AFTER id]",
			summary: "Writes one record and answers its ID; null if NX or XX is not met, CONFLICT if AFTER is not the last ID.",
			run:     (*session).put,
		},
		{
			name: "mput", arity: -4, flags: write, keys: keySpec{1, -1, 3}, group: "series", since: "0.1.0",
			syntax: "key <*|id> value [key <*|id> value]...", summary: "Writes many records, all or none, and answers their IDs.",
			run: (*session).mput,
		},
		{
			name: "get", arity: -2, flags: flagReadonly | flagFast, keys: one, group: "series", since: "0.1.0",
			syntax: "key [AT bound]", summary: "The newest value, or the newest at or before a time.", run: (*session).get,
		},
		{
			name: "getrec", arity: -2, flags: flagReadonly | flagFast, keys: one, group: "series", since: "0.1.0",
			syntax: "key [AT bound]", summary: "The newest record: ID, value and tags.", run: (*session).getRecord,
		},
		{
			name: "scan", arity: -2, flags: flagReadonly, group: "series", since: "0.1.0",
			syntax:  "key from to [REV] [COUNT n] [OFFSET n] [TAG tag]... [WITHTAGS] [BLOCK ms] | cursor [MATCH pattern] [COUNT n] [TYPE type]",
			summary: "The records of a time range in order; or, with a cursor, the keys page by page.", run: (*session).scan,
		},
		{
			name: "tscan", arity: -4, flags: flagReadonly, keys: one, group: "series", since: "0.1.0",
			syntax:  "key from to [REV] [COUNT n] [OFFSET n] [TAG tag]... [WITHTAGS] [BLOCK ms]",
			summary: "The records of a time range in order.", run: (*session).scanRange,
		},
		{
			name: "count", arity: -2, flags: flagReadonly | flagFast, keys: one, group: "series", since: "0.1.0",
			syntax: "key [from to] [TAG tag]...", summary: "The number of records, of all or of a time range.", run: (*session).countRecords,
		},
		{
			name: "delrange", arity: 4, flags: write, keys: one, group: "series", since: "0.1.0",
			syntax: "key from to", summary: "Deletes the records of a time range and answers how many there were.", run: (*session).deleteRange,
		},
	}
}

func (s *session) put(args [][]byte) error {
	if err := checkPair(args[1], args[3]); err != nil {
		return err
	}
	want := engine.Op{Key: args[1], Value: args[3]}
	var err error
	if want.ID, want.Mode, err = parsePutID(args[2], s.h.opt.Now); err != nil {
		return err
	}
	if len(args) > 4 {
		if err := parsePutOptions(args[4:], &want); err != nil {
			return err
		}
	}
	*s.queuePut(args, replyID) = want
	return nil
}

func parsePutOptions(args [][]byte, op *engine.Op) error {
	var tags [][]byte
	for i := 0; i < len(args); i++ {
		value := i+1 < len(args)
		condition := engine.Always
		switch {
		case equalFold(args[i], "tag") && value:
			i++
			tags = append(tags, args[i])
			continue
		case equalFold(args[i], "nx"):
			condition = engine.IfAbsent
		case equalFold(args[i], "xx"):
			condition = engine.IfPresent
		case equalFold(args[i], "after") && value:
			i++
			condition = engine.IfLast
			var err error
			if op.After, err = kv.ParseID(args[i], 0); err != nil {
				return errInvalidID
			}
		}
		if condition == engine.Always || op.Cond != engine.Always {
			return errSyntax
		}
		op.Cond = condition
	}
	var err error
	op.Tags, err = kv.MakeTagSet(tags)
	return err
}

// replyID answers the ID that a put was given, or null if its condition was not
// met.
func replyID(s *session, q *queued) error {
	op := &s.batch.Ops[q.index]
	if !op.Written {
		s.out.Null()
		return nil
	}
	var text [41]byte
	s.out.Bulk(op.ID.Append(text[:0]))
	return nil
}

func (s *session) mput(args [][]byte) error {
	if len(args)%3 != 1 {
		return errArity("mput")
	}
	ops := make([]engine.Op, 0, len(args)/3)
	keys := make([][]byte, 0, len(args)/3)
	now, blind := s.h.opt.Now, true
	for i := 1; i < len(args); i += 3 {
		if err := checkPair(args[i], args[i+2]); err != nil {
			return err
		}
		id, mode, err := parsePutID(args[i+1], now)
		if err != nil {
			return err
		}
		blind = blind && mode == engine.IDExplicit
		ops = append(ops, engine.Op{Key: args[i], ID: id, Mode: mode, Value: args[i+2]})
		keys = append(keys, args[i])
	}
	q := s.queueUpdate(args, putAll, replyIDs, keys...)
	q.ops = ops
	s.batch.Ops[q.index].Blind = blind
	return nil
}

// putAll writes all of q.ops, or returns the first error and so undoes them.
func putAll(tx *engine.Tx, q *queued) error {
	for i := range q.ops {
		if err := tx.Put(&q.ops[i]); err != nil {
			return err
		}
	}
	return nil
}

func replyIDs(s *session, q *queued) error {
	s.out.ArrayHeader(len(q.ops))
	var text [41]byte
	for i := range q.ops {
		s.out.Bulk(q.ops[i].ID.Append(text[:0]))
	}
	return nil
}

// readAt gets the record that GET and GETREC ask for; false if there is none.
func (s *session) readAt(args [][]byte) (engine.Record, bool, error) {
	at := kv.MaxID
	if len(args) > 2 {
		if len(args) != 4 {
			return engine.Record{}, false, errArity(s.sp.name)
		}
		if !equalFold(args[2], "at") {
			return engine.Record{}, false, errSyntax
		}
		b, err := parseBound(args[3], s.h.opt.Now)
		if err != nil {
			return engine.Record{}, false, err
		}
		if b.last {
			return s.readLast(args[1], b)
		}
		var possible bool
		if at, possible = b.to(); !possible {
			return engine.Record{}, false, nil
		}
	}
	return s.read(args[1], at)
}

// read gets one record; its value may lie in the scratch memory.
func (s *session) read(key []byte, at kv.ID) (rec engine.Record, ok bool, err error) {
	if s.at != nil {
		rec, ok, err = s.at.Get(key, at, s.scratch[:0])
	} else {
		rec, ok, err = s.db.Get(key, at, s.scratch[:0])
	}
	if cap(rec.Value) > cap(s.scratch) {
		s.scratch = rec.Value[:0]
	}
	return rec, ok, err
}

// readLast reads at "$" or "($", both in one snapshot.
func (s *session) readLast(key []byte, b bound) (engine.Record, bool, error) {
	snap, err := s.snapshot()
	if err != nil {
		return engine.Record{}, false, err
	}
	defer snap.Release()
	found, err := b.resolve(snap, key)
	at, possible := b.to()
	if err != nil || !found || !possible {
		return engine.Record{}, false, err
	}
	return snap.Get(key, at, nil)
}

func (s *session) get(args [][]byte) error {
	rec, ok, err := s.readAt(args)
	if err != nil {
		return err
	}
	if ok {
		s.out.Bulk(rec.Value)
	} else {
		s.out.Null()
	}
	return nil
}

func (s *session) getRecord(args [][]byte) error {
	rec, ok, err := s.readAt(args)
	if err != nil {
		return err
	}
	if !ok {
		s.out.NullArray()
		return nil
	}
	var text [41]byte
	s.out.ArrayHeader(3)
	s.out.Bulk(rec.ID.Append(text[:0]))
	s.out.Bulk(rec.Value)
	s.out.ArrayHeader(rec.Tags.Len())
	for tag := range rec.Tags.All() {
		s.out.Bulk(tag)
	}
	return nil
}

func (s *session) countRecords(args [][]byte) error {
	w := window{key: args[1], from: bound{}, to: bound{low: kv.MaxID, high: kv.MaxID}}
	rest := args[2:]
	if len(rest) >= 2 && !equalFold(rest[0], "tag") {
		var err error
		if w, err = s.parseWindow(args[1], rest[0], rest[1]); err != nil {
			return err
		}
		rest = rest[2:]
	}
	var tags [][]byte
	for ; len(rest) >= 2 && equalFold(rest[0], "tag"); rest = rest[2:] {
		tags = append(tags, rest[1])
	}
	if len(rest) > 0 {
		return errSyntax
	}
	set, err := kv.MakeTagSet(tags)
	if err != nil {
		return err
	}
	return s.readWindow(&w, func(snap *engine.Snapshot, from, to kv.ID) error {
		n, err := snap.Count(w.key, engine.ScanOptions{From: from, To: to, Tags: set, Stop: s.untilGone()})
		if err == nil {
			s.out.Uint(n)
		}
		return err
	})
}

func (s *session) deleteRange(args [][]byte) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	w, err := s.parseWindow(args[1], args[2], args[3])
	if err != nil {
		return err
	}
	q := s.queueUpdate(args, deleteWindow, replyDeleted, args[1])
	s.freesDisk()
	q.window = &w
	return nil
}

// deleteWindow deletes on the commit goroutine and keeps the state before it, so
// that the deleted records can be counted exactly without holding writes up.
func deleteWindow(tx *engine.Tx, q *queued) error {
	w := q.window
	if w.from.last || w.to.last {
		rec, ok, err := tx.Newest(w.key, kv.MaxID)
		if err != nil || !ok {
			return err
		}
		w.from.settle(rec.ID)
		w.to.settle(rec.ID)
	}
	from, to, some := w.ids()
	if !some {
		return nil
	}
	q.snap = tx.Before()
	return tx.DeleteRange(w.key, from, to)
}

func replyDeleted(s *session, q *queued) error {
	var n uint64
	if q.snap != nil {
		from, to, _ := q.window.ids()
		var err error
		if n, err = q.snap.Count(q.window.key, engine.ScanOptions{From: from, To: to, Stop: s.untilGone()}); err != nil {
			return err
		}
	}
	s.out.Uint(n)
	return nil
}
