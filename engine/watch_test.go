package engine

import (
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
