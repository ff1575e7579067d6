package engine

import (
	"testing"

	"tskv/kv"
)

// TestFlushSeesFilesOfWarmMemtables: a record that has replaced another one is not
// left out of a flush because of a rule while the older one lies in a file that
// readers leave to a warm memtable: it would be seen once the rule is gone.
func TestFlushSeesFilesOfWarmMemtables(t *testing.T) {
	for _, rule := range []Rule{{AgeMS: hour}, {Records: 1}} {
		s := newScript(t)
		const start = 1000 * 24 * hour
		s.now.Store(start)
		rule.Pattern = []byte("k")
		s.db.compactMu.Lock() // so that no file is dropped
		s.do(Op{ID: id(start, 0), Value: []byte("replaced")})
		s.must(s.db.Flush())
		if s.db.Stats().WarmMemtables != 1 {
			t.Fatal("void: no memtable is warm")
		}
		s.must(s.db.Retain(rule))
		s.do(Op{ID: id(start, 0), Value: []byte("new")})
		s.do(Op{ID: id(start+2*hour, 0), Value: []byte("last")})
		s.now.Store(start + 2*hour)
		s.must(s.db.Flush())
		s.update(func(t *Tx) error { _, err := t.Unretain(rule.Pattern, false); return err })
		s.db.compactMu.Unlock()
		s.reopen() // without warm memtables
		if rec, ok, err := s.db.Get([]byte("k"), id(start, 0), nil); err != nil || ok && string(rec.Value) != "new" {
			t.Errorf("%+v: a replaced record is back: %q %v", rule, rec.Value, err)
		}
	}
}

// TestWarmHoldsNoMoreThanFiles: what a flush has left out because of a rule is gone
// for every reader, also while its memtable could still be read.
func TestWarmHoldsNoMoreThanFiles(t *testing.T) {
	for _, rule := range []Rule{{AgeMS: hour}, {Records: 1}} {
		s := newScript(t)
		const start = 1000 * 24 * hour
		s.now.Store(start)
		rule.Pattern = []byte("k")
		s.must(s.db.Retain(rule))
		s.do(Op{ID: id(start, 0), Value: []byte("old")})
		s.do(Op{ID: id(start+2*hour, 0), Value: []byte("last")})
		s.now.Store(start + 2*hour)
		s.must(s.db.Flush())
		s.update(func(t *Tx) error { _, err := t.Unretain(rule.Pattern, false); return err })
		counted, read := s.count("k"), s.rows("k")
		s.reopen()
		if again := s.rows("k"); read != again || counted != uint64(read) {
			t.Errorf("%+v: %d records are read, %d counted, after a restart there are %d", rule, read, counted, again)
		}
	}
}

// rows scans a key and returns the number of its records.
func (s *script) rows(key string) (n int) {
	s.t.Helper()
	snap, err := s.db.Snapshot()
	s.must(err)
	defer snap.Release()
	sc, err := snap.Scan([]byte(key), ScanOptions{To: kv.MaxID})
	s.must(err)
	defer sc.Close()
	for {
		rows, err := sc.Next()
		s.must(err)
		if rows == nil {
			return n
		}
		n += rows.Len()
	}
}
