package engine

import (
	"errors"
	"testing"
)

// changed asks whether the key "k" has changed since a sequence.
func (s *script) changed(since uint64) (yes bool) {
	s.t.Helper()
	s.must(s.db.Update(func(t *Tx) (err error) {
		yes, err = t.Changed([]byte("k"), since)
		return err
	}, []byte("k")))
	return yes
}

// coldKeys makes the commit goroutine forget all keys.
func (s *script) coldKeys() {
	s.t.Helper()
	s.must(s.db.Update(func(t *Tx) error { t.c.forget(); return nil }))
}

// TestChangedByTrim: what a rule takes from a key is a change, also of a hot one.
func TestChangedByTrim(t *testing.T) {
	for _, rule := range []Rule{{Records: 10}, {Bytes: 300}} {
		s := newScript(t)
		for i := range uint64(100) {
			s.do(Op{ID: id(i+1, 0)})
		}
		rule.Pattern = []byte("k")
		s.must(s.db.Retain(rule))
		since := s.db.Stats().VisibleSeq
		if s.changed(since) {
			t.Fatal("nothing has changed yet")
		}
		s.must(s.db.trim(&trimming{}))
		if s.db.Stats().VisibleSeq == since {
			t.Fatal("void: nothing was trimmed")
		}
		if !s.changed(since) {
			t.Errorf("%+v: the trim is no change", rule)
		}
		if s.changed(s.db.Stats().VisibleSeq) {
			t.Errorf("%+v: it changes again and again", rule)
		}
	}
}

// TestChangedByForgottenDelete: a delete of which no table says anything any more is
// still a change: of a key that was never in a file, and of one whose files were
// merged.
func TestChangedByForgottenDelete(t *testing.T) {
	for _, early := range []bool{false, true} {
		s := newScript(t)
		s.do(Op{ID: id(1, 0)})
		if early {
			s.must(s.db.Flush())
		}
		since := s.db.Stats().VisibleSeq
		s.del()
		for range 4 { // so that its memtable is not warm any more
			s.must(s.db.Update(func(t *Tx) error { return t.Put(&Op{Key: []byte("other"), ID: id(1, 0)}) }, []byte("other")))
			s.must(s.db.Flush())
		}
		s.must(s.db.CompactKey([]byte("k")))
		s.must(s.db.Compact())
		s.coldKeys()
		if !s.changed(since) {
			t.Errorf("early %v: the delete is no change", early)
		}
		if s.changed(s.db.Stats().VisibleSeq) {
			t.Errorf("early %v: it has changed since", early)
		}
	}
}

// TestGuardLeavesNoTrace: what a guard has looked at is no part of an Update that
// fails later. The key has gone on since.
func TestGuardLeavesNoTrace(t *testing.T) {
	errNo := errors.New("no")
	fail := func(s *script) {
		t.Helper()
		var b Batch
		b.Update(func(t *Tx) error {
			if err := t.Put(&Op{Key: []byte("other"), ID: id(1, 0)}); err != nil {
				return err
			}
			return errNo
		}, []byte("other"))
		s.must(s.db.Apply(&b))
		if !errors.Is(b.Ops[0].Err, errNo) {
			t.Fatal(b.Ops[0].Err)
		}
	}
	guarded := func(s *script) {
		t.Helper()
		b := Batch{Guard: func(t *Tx) error {
			if _, err := t.Exists([]byte("k")); err != nil {
				return err
			}
			return errNo
		}}
		b.Put([]byte("other"), id(2, 0), nil)
		if err := s.db.Apply(&b); !errors.Is(err, errNo) {
			t.Fatal(err)
		}
	}
	t.Run("written", func(t *testing.T) {
		s := newScript(t)
		s.do(Op{ID: id(5000, 0)})
		s.do(Op{Mode: IDAuto})
		guarded(s)
		s.do(Op{ID: id(6000, 0), Value: []byte("stays")})
		fail(s)
		if got := s.do(Op{Mode: IDAuto}); got != id(6000, 1).String() {
			t.Errorf("the next ID is %s", got)
		}
	})
	t.Run("expired", func(t *testing.T) {
		s := newScript(t)
		s.do(Op{ID: id(1, 0)})
		s.update(func(t *Tx) error { _, err := t.SetExpireAt([]byte("k"), 2000); return err })
		s.now.Store(3000)
		guarded(s)
		fail(s)
		s.do(Op{ID: id(7, 0)})
		if keys, expires := s.db.Keys(), s.db.Expires(); keys != 1 || expires != 0 {
			t.Errorf("%d keys, %d with an expiry", keys, int64(expires))
		}
	})
}
