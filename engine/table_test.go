package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// script is a store with a clock that a test turns.
type script struct {
	t   *testing.T
	fs  *disktest.Disk
	now atomic.Uint64
	db  *DB
}

func newScript(t *testing.T) *script {
	s := &script{t: t, fs: disktest.New()}
	s.now.Store(1000)
	s.open()
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

func (s *script) open() {
	s.t.Helper()
	opt := testOptions(s.fs)
	opt.Now = func() time.Time { return time.UnixMilli(int64(s.now.Load())) }
	s.db = open(s.t, opt)
}

// reopen makes every key cold.
func (s *script) reopen() {
	s.t.Helper()
	if err := s.db.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.open()
}

// do applies one operation to the key "k" and describes its result.
func (s *script) do(op Op) string {
	s.t.Helper()
	op.Key = []byte("k")
	if op.Value == nil {
		op.Value = []byte("v")
	}
	b := Batch{Ops: []Op{op}}
	if err := s.db.Apply(&b); err != nil {
		s.t.Fatal(err)
	}
	return result(&b.Ops[0])
}

// tx does the same inside an Update.
func (s *script) tx(op Op) string {
	s.t.Helper()
	op.Key = []byte("k")
	if op.Value == nil {
		op.Value = []byte("v")
	}
	var text string
	err := s.db.Update(func(t *Tx) error {
		op.Err = t.Put(&op)
		text = result(&op)
		return nil
	}, op.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func result(op *Op) string {
	var conflict *ConflictError
	switch {
	case errors.As(op.Err, &conflict):
		return "conflict " + conflict.Last.String()
	case errors.Is(op.Err, ErrIDTooSmall):
		return "small"
	case errors.Is(op.Err, ErrIDExhausted):
		return "exhausted"
	case op.Err != nil:
		return op.Err.Error()
	case !op.Written:
		return "no"
	}
	return op.ID.String()
}

func (s *script) update(fn func(t *Tx) error) {
	s.t.Helper()
	if err := s.db.Update(fn, []byte("k")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) del() {
	s.t.Helper()
	s.update(func(t *Tx) error { _, err := t.Delete([]byte("k")); return err })
}

func (s *script) trim(from, to kv.ID) {
	s.t.Helper()
	s.update(func(t *Tx) error { return t.DeleteRange([]byte("k"), from, to) })
}

func id(time, seq uint64) kv.ID { return kv.ID{Time: time, Seq: seq} }

// TestIDs is the table of ID rules, with the key hot, and cold before each step.
func TestIDs(t *testing.T) {
	const top = ^uint64(0)
	auto := Op{Mode: IDAuto}
	autoSeq := func(time uint64) Op { return Op{Mode: IDAutoSeq, ID: id(time, 0)} }
	explicit := func(time, seq uint64) Op { return Op{ID: id(time, seq)} }
	type step struct {
		op   any // an Op, a clock uint64, or a func(*script)
		want string
	}
	for name, steps := range map[string][]step{
		"first":        {{auto, "1000-0"}, {auto, "1000-1"}, {uint64(1001), ""}, {auto, "1001-0"}},
		"clock back":   {{auto, "1000-0"}, {uint64(900), ""}, {auto, "1000-1"}, {uint64(1000), ""}, {auto, "1000-2"}},
		"future":       {{explicit(5000, 7), "5000-7"}, {auto, "5000-8"}, {explicit(10, 0), "10-0"}, {auto, "5000-9"}},
		"past":         {{explicit(10, 0), "10-0"}, {auto, "1000-0"}, {explicit(11, 0), "11-0"}, {auto, "1000-1"}},
		"seq overflow": {{explicit(1000, top), "1000-18446744073709551615"}, {auto, "1001-0"}},
		"exhausted":    {{explicit(top, top), kv.MaxID.String()}, {auto, "exhausted"}, {autoSeq(top), "small"}},
		"auto seq":     {{autoSeq(5), "5-0"}, {autoSeq(5), "5-1"}, {autoSeq(4), "small"}, {explicit(5, 9), "5-9"}, {autoSeq(5), "5-10"}},
		"auto seq end": {{explicit(5, top), "5-18446744073709551615"}, {autoSeq(5), "small"}, {autoSeq(6), "6-0"}},
		"zero":         {{explicit(0, 0), "0-0"}, {autoSeq(0), "0-1"}},
		"trimmed last": {
			{explicit(5000, 0), "5000-0"},
			{func(s *script) { s.trim(id(5000, 0), id(5000, 0)) }, ""},
			{auto, "5000-1"},
			{func(s *script) { s.trim(kv.MinID, kv.MaxID) }, ""},
			{auto, "5000-2"},
			{autoSeq(5000), "5000-3"},
		},
		"trimmed now": {
			{auto, "1000-0"},
			{func(s *script) { s.trim(kv.MinID, kv.MaxID) }, ""},
			{auto, "1000-1"},
		},
		"deleted": {
			{explicit(5000, 0), "5000-0"},
			{func(s *script) { s.del() }, ""},
			{auto, "1000-0"},
			{autoSeq(5000), "5000-0"},
		},
		"replaced": {{explicit(5, 0), "5-0"}, {explicit(5, 0), "5-0"}, {autoSeq(5), "5-1"}},
	} {
		for _, how := range []string{"hot", "cold", "tx", "tx cold"} {
			s := newScript(t)
			for i, st := range steps {
				if i > 0 && (how == "cold" || how == "tx cold") {
					s.reopen()
				}
				switch op := st.op.(type) {
				case uint64:
					s.now.Store(op)
				case func(*script):
					op(s)
				case Op:
					apply := s.do
					if how != "hot" && how != "cold" {
						apply = s.tx
					}
					if got := apply(op); got != st.want {
						t.Errorf("%s, %s, step %d: %s, want %s", name, how, i, got, st.want)
					}
				}
			}
		}
	}
}

// TestConditions is the table of conditions: the key's state, the operation, the
// result. Each is tried hot, cold and in a transaction.
func TestConditions(t *testing.T) {
	put5 := func(s *script) { s.do(Op{ID: id(5, 0)}) }
	for _, c := range []struct {
		state string
		setup func(s *script)
		op    Op
		want  string
	}{
		{"no key", nil, Op{ID: id(5, 0), Cond: IfAbsent}, "5-0"},
		{"no key", nil, Op{ID: id(5, 0), Cond: IfPresent}, "no"},
		{"no key", nil, Op{Mode: IDAuto, Cond: IfPresent}, "no"},
		{"no key", nil, Op{Mode: IDAuto, Cond: IfAbsent}, "1000-0"},
		{"no key", nil, Op{ID: id(9, 0), Cond: IfLast}, "9-0"},
		{"no key", nil, Op{ID: id(9, 0), Cond: IfLast, After: id(1, 0)}, "conflict 0-0"},
		{"5-0", put5, Op{ID: id(5, 0), Cond: IfAbsent}, "no"},
		{"5-0", put5, Op{ID: id(5, 0), Cond: IfPresent}, "5-0"},
		{"5-0", put5, Op{ID: id(5, 1), Cond: IfPresent}, "no"},
		{"5-0", put5, Op{ID: id(4, 0), Cond: IfAbsent}, "4-0"},
		{"5-0", put5, Op{Mode: IDAuto, Cond: IfPresent}, "no"},
		{"5-0", put5, Op{Mode: IDAuto, Cond: IfLast, After: id(5, 0)}, "1000-0"},
		{"5-0", put5, Op{Mode: IDAutoSeq, ID: id(5, 0), Cond: IfLast, After: id(5, 0)}, "5-1"},
		{"5-0", put5, Op{Mode: IDAuto, Cond: IfLast, After: id(4, 0)}, "conflict 5-0"},
		{"5-0", put5, Op{Mode: IDAuto, Cond: IfLast}, "conflict 5-0"},
		{"deleted", func(s *script) { put5(s); s.del() }, Op{ID: id(5, 0), Cond: IfPresent}, "no"},
		{"deleted", func(s *script) { put5(s); s.del() }, Op{ID: id(5, 0), Cond: IfAbsent}, "5-0"},
		{"deleted", func(s *script) { put5(s); s.del() }, Op{ID: id(5, 0), Cond: IfLast}, "5-0"},
		{"trimmed", func(s *script) { put5(s); s.trim(kv.MinID, kv.MaxID) }, Op{ID: id(5, 0), Cond: IfPresent}, "no"},
		{"trimmed", func(s *script) { put5(s); s.trim(kv.MinID, kv.MaxID) }, Op{ID: id(6, 0), Cond: IfLast, After: id(5, 0)}, "6-0"},
		{"cleared", func(s *script) { put5(s); s.update(func(t *Tx) error { t.Clear(); return nil }) }, Op{ID: id(5, 0), Cond: IfAbsent}, "5-0"},
	} {
		for _, how := range []string{"hot", "cold", "tx", "tx cold"} {
			s := newScript(t)
			if c.setup != nil {
				c.setup(s)
			}
			if how == "cold" || how == "tx cold" {
				s.reopen()
			}
			apply := s.do
			if how != "hot" && how != "cold" {
				apply = s.tx
			}
			if got := apply(c.op); got != c.want {
				t.Errorf("%s, %+v, %s: %s, want %s", c.state, c.op, how, got, c.want)
			}
		}
	}
}

// TestDeleteAndRecreate places flushes and restarts at every point of a key's
// life: what was deleted never comes back, and what was written after it stays.
func TestDeleteAndRecreate(t *testing.T) {
	life := []func(s *script){
		func(s *script) {
			s.do(Op{ID: id(1, 0), Value: []byte("old")})
			s.do(Op{ID: id(2, 0), Value: []byte("old")})
		},
		func(s *script) { s.del() },
		func(s *script) { s.do(Op{ID: id(1, 0), Value: []byte("new")}) },
		func(s *script) { s.trim(id(1, 0), id(1, 0)) },
		func(s *script) { s.do(Op{ID: id(3, 0), Value: []byte("last")}) },
		func(s *script) { s.update(func(t *Tx) error { t.Clear(); return nil }) },
		func(s *script) { s.do(Op{ID: id(2, 0), Value: []byte("end")}) },
	}
	want := []string{"[1-0=old 2-0=old]", "none", "[1-0=new]", "[]", "[3-0=last]", "none", "[2-0=end]"}
	between := []func(s *script){
		func(*script) {},
		func(s *script) { s.must(s.db.Flush()) },
		func(s *script) { s.must(s.db.Compact()) },
		func(s *script) { s.reopen() },
		func(s *script) { s.kill() },
	}
	n := len(between)
	for code := range n * n * n { // three choices, used in turn
		s := newScript(t)
		choice := []int{code % n, code / n % n, code / n / n}
		for i, do := range life {
			do(s)
			between[choice[i%3]](s)
			if got := s.read(); got != want[i] {
				t.Fatalf("choices %v, step %d: %s, want %s", choice, i, got, want[i])
			}
			if keys := map[bool]uint64{true: 0, false: 1}[want[i] == "none"]; s.db.Keys() != keys {
				t.Fatalf("choices %v, step %d: %d keys", choice, i, s.db.Keys())
			}
		}
		s.must(s.db.Close())
	}
}

func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the store as kill -9 does.
func (s *script) kill() {
	s.t.Helper()
	killed := s.fs.Clone()
	s.db.stop(0)
	s.fs = killed
	s.open()
}

// read returns all records of "k", or none if there is no such key.
func (s *script) read() string {
	s.t.Helper()
	snap, err := s.db.Snapshot()
	s.must(err)
	defer snap.Release()
	_, ok, err := snap.Key([]byte("k"))
	s.must(err)
	var all []string
	sc, err := snap.Scan([]byte("k"), ScanOptions{To: kv.MaxID})
	s.must(err)
	defer sc.Close()
	for {
		rows, err := sc.Next()
		s.must(err)
		if rows == nil {
			break
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			all = append(all, fmt.Sprintf("%s=%s", row.ID, row.AppendValue(nil)))
		}
	}
	if !ok && len(all) == 0 {
		return "none"
	}
	return fmt.Sprint(all)
}
