package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"tskv/disk/disktest"
	"tskv/kv"
)

// subject is a store under one option set.
type subject struct {
	db   *DB
	disk *disktest.Disk
	opt  Options
	set  *optionSet
	now  *atomic.Uint64 // what its clock shows, in ms
	held *Snapshot
}

func failed(err error) string { return "error: " + err.Error() }

func (p *putStep) op() Op {
	return Op{Key: []byte(p.key), Mode: p.mode, ID: p.id, Cond: p.cond, After: p.after, Value: []byte(p.value), Tags: p.tags}
}

func written(op *Op, err error) string {
	var conflict *ConflictError
	switch {
	case errors.As(err, &conflict):
		return conflict.Error()
	case err != nil:
		return err.Error()
	case !op.Written:
		return "null"
	}
	return op.ID.String()
}

func (o *writeStep) onModel(w *world) string {
	var answers []string
	for i := range o.puts {
		answers = append(answers, o.puts[i].settle(w))
	}
	return strings.Join(answers, " ")
}

func (o *writeStep) onStore(s *subject) string {
	var b Batch
	for i := range o.puts {
		*b.Add() = o.puts[i].op()
	}
	if err := s.db.Apply(&b); err != nil {
		return failed(err)
	}
	var answers []string
	for i := range b.Ops {
		answers = append(answers, written(&b.Ops[i], b.Ops[i].Err))
	}
	return strings.Join(answers, " ")
}

func (o *bulkStep) onModel(w *world) string {
	o.start = o.from.settle(w, o.key)
	for _, e := range o.events() {
		w.set(o.key, e)
	}
	return "ok"
}

func (o *bulkStep) onStore(s *subject) string {
	events := o.events()
	for len(events) > 0 {
		var b Batch
		n := min(len(events), 256)
		for i := range events[:n] {
			e := &events[i]
			*b.Add() = Op{Key: []byte(o.key), ID: e.id, Value: []byte(e.value), Tags: e.tags}
		}
		if err := s.db.Apply(&b); err != nil {
			return failed(err)
		}
		events = events[n:]
	}
	return "ok"
}

func (o *updateStep) onModel(w *world) string {
	if o.fails {
		w = w.clone()
	}
	var answers []string
	for i := range o.steps {
		s := &o.steps[i]
		key := s.put.key
		w.expire(key)
		s.settled = [3]kv.ID{s.at.settle(w, key), s.from.settle(w, key), s.to.settle(w, key)}
		switch s.what {
		case "put":
			answers = append(answers, s.put.settle(w))
		case "get":
			answers = append(answers, w.newest(key, s.settled[0]))
		case "delete", "exists":
			answers = append(answers, fmt.Sprint(w.keys[key] != nil))
			if s.what == "delete" {
				delete(w.keys, key)
			}
		case "deleteRange":
			w.deleteRange(key, s.settled[1], s.settled[2])
		}
	}
	return strings.Join(answers, " ")
}

func (o *updateStep) onStore(s *subject) string {
	var answers []string
	keys := map[string][]byte{}
	for i := range o.steps {
		keys[o.steps[i].put.key] = []byte(o.steps[i].put.key)
	}
	err := s.db.Update(func(tx *Tx) error {
		answers = answers[:0]
		for i := range o.steps {
			text, err := o.steps[i].run(tx)
			if err != nil {
				return err
			}
			if text != "" {
				answers = append(answers, text)
			}
		}
		if o.fails {
			return errUndo
		}
		return nil
	}, slices.Collect(maps.Values(keys))...)
	if err != nil && !errors.Is(err, errUndo) {
		return failed(err)
	}
	return strings.Join(answers, " ")
}

// run does one step of a transaction.
func (s *txStep) run(tx *Tx) (string, error) {
	key := []byte(s.put.key)
	switch s.what {
	case "get":
		rec, ok, err := tx.Newest(key, s.settled[0])
		return showRecord(&rec, ok), err
	case "delete":
		ok, err := tx.Delete(key)
		return fmt.Sprint(ok), err
	case "exists":
		ok, err := tx.Exists(key)
		return fmt.Sprint(ok), err
	case "deleteRange":
		return "", tx.DeleteRange(key, s.settled[1], s.settled[2])
	}
	op := s.put.op()
	return written(&op, tx.Put(&op)), nil
}

func showRecord(rec *Record, ok bool) string {
	if !ok {
		return "null"
	}
	return fact{rec.ID, string(rec.Value), rec.Tags}.String()
}

func (o *deleteRangeStep) onModel(w *world) string {
	o.from.id, o.to.id = o.from.settle(w, o.key), o.to.settle(w, o.key)
	w.deleteRange(o.key, o.from.id, o.to.id)
	return "ok"
}

func (o *deleteRangeStep) onStore(s *subject) string {
	key := []byte(o.key)
	if err := s.db.Update(func(tx *Tx) error { return tx.DeleteRange(key, o.from.id, o.to.id) }, key); err != nil {
		return failed(err)
	}
	return "ok"
}

func (o *deleteKeyStep) onModel(w *world) string {
	existed := w.keys[o.key] != nil
	delete(w.keys, o.key)
	return fmt.Sprint(existed)
}

func (o *deleteKeyStep) onStore(s *subject) string {
	existed := false
	err := s.db.Update(func(tx *Tx) (err error) {
		existed, err = tx.Delete([]byte(o.key))
		return err
	}, []byte(o.key))
	if err != nil {
		return failed(err)
	}
	return fmt.Sprint(existed)
}

func (o *clearStep) onModel(w *world) string {
	clear(w.keys)
	return "ok"
}

func (o *clearStep) onStore(s *subject) string {
	if err := s.db.Clear(); err != nil {
		return failed(err)
	}
	return "ok"
}

// settle fixes the ends of a question.
func (a *ask) settle(w *world) {
	a.opt.From, a.opt.To = a.from.settle(w, a.key), a.to.settle(w, a.key)
}

// scanWorld is a scan of the model; values and tags are left out with keysOnly.
func (a *ask) scanWorld(w *world, keysOnly bool) string {
	var out digest
	for _, e := range w.pick(&a.query) {
		if keysOnly {
			e = fact{id: e.id}
		}
		out.add(e.id, []byte(e.value), e.tags)
	}
	return out.String()
}

// scanSnapshot is a scan of a store.
func (a *ask) scanSnapshot(snap *Snapshot, keysOnly bool) string {
	opt := a.opt
	opt.KeysOnly = keysOnly
	sc, err := snap.Scan([]byte(a.key), opt)
	if err != nil {
		return failed(err)
	}
	defer sc.Close()
	var out digest
	var value []byte
	for {
		rows, err := sc.Next()
		if err != nil {
			return failed(err)
		}
		if rows == nil {
			return out.String()
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			if keysOnly {
				row = kv.Row{ID: row.ID, Form: kv.FormRaw}
			}
			value = row.AppendValue(value[:0])
			out.add(row.ID, value, row.Tags)
		}
	}
}

// withSnapshot answers from a new snapshot.
func (s *subject) withSnapshot(read func(snap *Snapshot) string) string {
	snap, err := s.db.Snapshot()
	if err != nil {
		return failed(err)
	}
	defer snap.Release()
	return read(snap)
}

func (o *scanStep) onModel(w *world) string {
	o.settle(w)
	return o.scanWorld(w, o.keysOnly)
}

func (o *scanStep) onStore(s *subject) string {
	return s.withSnapshot(func(snap *Snapshot) string { return o.scanSnapshot(snap, o.keysOnly) })
}

func (o *countStep) onModel(w *world) string {
	o.settle(w)
	return fmt.Sprint(len(w.pick(&o.query)))
}

func (o *countStep) onStore(s *subject) string {
	return s.withSnapshot(func(snap *Snapshot) string {
		n, err := snap.Count([]byte(o.key), o.opt)
		if err != nil {
			return failed(err)
		}
		return fmt.Sprint(n)
	})
}

func (o *getStep) onModel(w *world) string {
	o.at.id = o.at.settle(w, o.key)
	return w.newest(o.key, o.at.id)
}

func (o *getStep) onStore(s *subject) string {
	rec, ok, err := s.db.Get([]byte(o.key), o.at.id, nil)
	if err != nil {
		return failed(err)
	}
	return showRecord(&rec, ok)
}

func (o *listStep) onModel(w *world) string {
	o.counted = !w.expiring // or else expired keys are still to be deleted
	number := 0
	if o.counted {
		number = len(w.keys)
	}
	return fmt.Sprint(number, slices.Sorted(maps.Keys(w.keys)))
}

func (o *listStep) onStore(s *subject) string {
	return s.withSnapshot(func(snap *Snapshot) string {
		it, err := snap.Keys(nil, true)
		if err != nil {
			return failed(err)
		}
		defer it.Close()
		var keys []string
		for {
			info, ok, err := it.Next()
			if err != nil {
				return failed(err)
			}
			if !ok && o.counted {
				return fmt.Sprint(s.db.Keys(), keys)
			}
			if !ok {
				return fmt.Sprint(0, keys)
			}
			keys = append(keys, string(info.Key))
		}
	})
}

func (o *holdStep) onModel(w *world) string {
	w.held = w.clone()
	return "ok"
}

func (o *holdStep) onStore(s *subject) string {
	s.letGo()
	var err error
	if s.held, err = s.db.Snapshot(); err != nil {
		return failed(err)
	}
	return "ok"
}

func (s *subject) letGo() {
	if s.held != nil {
		s.held.Release()
		s.held = nil
	}
}

func (o *recallStep) onModel(w *world) string {
	if w.held == nil {
		return "none is held"
	}
	o.settle(w.held)
	n := len(w.held.pick(&o.query))
	return fmt.Sprint(n, o.scanWorld(w.held, false))
}

func (o *recallStep) onStore(s *subject) string {
	if s.held == nil {
		return "none is held"
	}
	n, err := s.held.Count([]byte(o.key), o.opt)
	if err != nil {
		return failed(err)
	}
	return fmt.Sprint(n, o.scanSnapshot(s.held, false))
}

func (o *maintainStep) onModel(w *world) string {
	if o.what == "reopen" || o.what == "kill" {
		w.held = nil
	}
	return "ok"
}

func (o *maintainStep) onStore(s *subject) string {
	var err error
	switch o.what {
	case "flush":
		err = s.db.Flush()
	case "compact":
		if !s.set.noCompaction {
			err = s.db.Compact()
		}
	case "reopen":
		err = s.close()
		if err == nil {
			err = s.open()
		}
	case "kill":
		err = s.kill()
	}
	if err != nil {
		return failed(err)
	}
	return "ok"
}

func (s *subject) open() error {
	var err error
	if s.db, err = Open("test", s.opt); err != nil {
		return err
	}
	if s.set.noCompaction {
		s.db.compactMu.Lock()
	}
	return nil
}

func (s *subject) close() error {
	s.letGo()
	s.allowCompaction()
	return s.db.Close()
}

// allowCompaction lets background work end.
func (s *subject) allowCompaction() {
	if s.set.noCompaction {
		s.db.compactMu.Unlock()
	}
}

// kill goes on with what the disk holds when nothing has been ended.
func (s *subject) kill() error {
	killed := s.disk.Clone()
	s.letGo()
	s.allowCompaction()
	s.db.stop(0)
	s.disk, s.opt.FS = killed, killed
	return s.open()
}

// everything is a last look at all that a store holds.
func everything(keys int, now uint64) []move {
	steps := []move{{now, &listStep{}}}
	for i := range keys {
		all := ask{from: spot{nth: -1}, to: spot{id: kv.MaxID, nth: -1}, query: query{key: fmt.Sprintf("key:%d", i)}}
		steps = append(steps, move{now, &scanStep{ask: all}}, move{now, &countStep{all}})
	}
	return steps
}
