package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"tskv/compaction"
	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
)

const hour = 3_600_000

// fill writes n records an hour to each of some keys, beginning at a time.
func (s *script) fill(keys int, from, hours, n uint64, value string) {
	s.t.Helper()
	var b Batch
	for h := range hours {
		for i := range n {
			for k := range keys {
				b.Put(fmt.Appendf(nil, "m%d", k), id(from+h*hour+i*hour/n, 0), []byte(value))
			}
		}
		s.must(s.db.Apply(&b))
		b = Batch{}
	}
}

func (s *script) count(key string) uint64 {
	s.t.Helper()
	snap, err := s.db.Snapshot()
	s.must(err)
	defer snap.Release()
	n, err := snap.Count([]byte(key), ScanOptions{To: kv.MaxID})
	s.must(err)
	return n
}

func (s *script) tables() int {
	s.t.Helper()
	names, err := s.fs.List(disk.TableDir)
	s.must(err)
	return len(names)
}

// TestExpiredFilesGo: files that lie wholly before the cut-off are unlinked without
// a merge, and the rest of the rows stays.
func TestExpiredFilesGo(t *testing.T) {
	s := newScript(t)
	const start = 1000 * 24 * hour
	s.now.Store(start)
	s.must(s.db.Retain(Rule{Pattern: []byte("m"), Prefix: true, AgeMS: 24 * hour}))
	s.fill(4, start, 24, 20, "1.5")
	s.do(Op{ID: id(start, 0)}) // the key "k" has no rule
	s.must(s.db.Compact())
	before, rows := s.tables(), s.db.Stats().FileRows
	s.fill(4, start+40*hour, 1, 20, "2.5")
	s.now.Store(start + 41*hour)
	if n := s.count("m1"); n != 20+7*20-20 && n != 7*20+20 {
		t.Fatalf("%d records are in force", n)
	}
	s.must(s.db.Compact())
	if s.db.metrics.RetentionFiles.Value() == 0 {
		t.Fatal("no file was dropped")
	}
	if after := s.tables(); after >= before {
		t.Fatalf("%d files, before there were %d", after, before)
	}
	if now := s.db.Stats().FileRows; now > rows/2 {
		t.Fatalf("%d rows in files, before there were %d", now, rows)
	}
	if n := s.count("k"); n != 1 {
		t.Fatalf("%d records of a key without a rule", n)
	}
	s.now.Store(start + 1000*hour)
	s.must(s.db.Compact())
	// All has expired. The last record of each key stays on disk, unseen.
	for range 2 {
		if n := s.count("m1"); n != 0 {
			t.Fatalf("%d records in force", n)
		}
		b := Batch{Ops: []Op{{Key: []byte("m1"), Mode: IDAuto, Cond: IfLast, Value: []byte("x")}}}
		s.must(s.db.Apply(&b))
		if got, want := result(&b.Ops[0]), "conflict "+id(start+40*hour+57*60_000, 0).String(); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		s.reopen() // cold
	}
}

// TestNothingOldComesOut: a record that replaced another one in an older file and
// has expired must not go before the older one, which would be seen once the rule
// is gone: not in a flush, not in a merge without that file, not with its file.
func TestNothingOldComesOut(t *testing.T) {
	for _, rule := range []Rule{{AgeMS: hour}, {Records: 1}} {
		for _, merge := range []bool{false, true} {
			s := newScript(t)
			const start = 1000 * 24 * hour
			rng := rand.New(rand.NewPCG(1, 1))
			s.now.Store(start)
			rule.Pattern = []byte("k")
			for round := range 6 {
				if round == 0 {
					s.do(Op{ID: id(start+2*hour, 0), Value: []byte("last")})
				}
				if round == 1 {
					s.now.Store(start + 2*hour)
					s.must(s.db.Retain(rule))
				}
				for i := range uint64(20) {
					s.do(Op{ID: id(start+i, 0), Value: fmt.Appendf(nil, "round %d", round)})
				}
				var b Batch
				for i := range uint64(20_000) {
					if round == 0 { // makes the first file a large one
						b.Put([]byte("j"), id(start+i, 0), fmt.Append(nil, rng.Uint32()))
						b.Put([]byte("l"), id(start+i, 0), fmt.Append(nil, rng.Uint32()))
					}
				}
				s.must(s.db.Apply(&b))
				s.must(s.db.Flush())
			}
			if merge {
				s.must(s.db.Compact())
			}
			if n := s.count("k"); n != 1 {
				t.Fatalf("%d records in force", n)
			}
			s.update(func(t *Tx) error { _, err := t.Unretain(rule.Pattern, false); return err })
			if got := s.read(); strings.Contains(strings.ReplaceAll(got, "round 5", ""), "round") {
				t.Fatalf("replaced records are back: %s", got)
			}
		}
	}
}

// TestRuleAloneIsFlushed: a clean shutdown leaves nothing to replay.
func TestRuleAloneIsFlushed(t *testing.T) {
	s := newScript(t)
	s.must(s.db.Retain(Rule{Prefix: true, Records: 7}))
	s.must(s.db.Close())
	state, err := manifest.Load(s.fs)
	s.must(err)
	if len(state.Retention) != 1 || state.Retention[0].Records != 7 {
		t.Fatalf("rules %+v", state.Retention)
	}
	s.open()
}

// TestRebirthInAnotherClass: a key that is born again under another rule gets
// another class, and neither life disturbs the other whatever happens between.
func TestRebirthInAnotherClass(t *testing.T) {
	between := []func(s *script){
		func(*script) {},
		func(s *script) { s.must(s.db.Flush()) },
		func(s *script) { s.must(s.db.Compact()) },
		func(s *script) { s.reopen() },
		func(s *script) { s.kill() },
	}
	ages := []uint64{hour, 0, 24 * hour, 800 * 24 * hour}
	n := len(between)
	for code := range n * n * n {
		s := newScript(t)
		choice := []int{code % n, code / n % n, code / n / n}
		for life, age := range ages {
			if age > 0 {
				s.must(s.db.Retain(Rule{Pattern: []byte("k"), AgeMS: age}))
			} else {
				s.update(func(t *Tx) error { _, err := t.Unretain([]byte("k"), false); return err })
			}
			for i := range 3 {
				s.do(Op{ID: id(uint64(500+i), 0), Value: fmt.Appendf(nil, "%d", life)})
				between[choice[i]](s)
				want := strings.TrimSpace(strings.Repeat("x ", i+1))
				if got := s.read(); got != "["+strings.ReplaceAll(numbered(want), "=x", fmt.Sprint("=", life))+"]" {
					t.Fatalf("choices %v, life %d: %s", choice, life, got)
				}
			}
			if choice[2] > 0 {
				s.checkClass(life, compaction.ClassOf(age), choice)
			}
			s.del()
			between[choice[life%3]](s)
			if got := s.read(); got != "none" {
				t.Fatalf("choices %v, after life %d: %s", choice, life, got)
			}
		}
		s.must(s.db.Close())
	}
}

// numbered turns "x x" into "500-0=x 501-0=x".
func numbered(list string) string {
	fields := strings.Fields(list)
	for i := range fields {
		fields[i] = fmt.Sprintf("%d-0=x", 500+i)
	}
	return strings.Join(fields, " ")
}

// checkClass: the newest file with data is of the class of the key's birth, unless
// the key was born again while rows of its last life were in memory.
func (s *script) checkClass(life int, class uint8, choice []int) {
	s.t.Helper()
	s.must(s.db.Flush())
	v := s.db.acquire()
	defer v.release()
	for _, f := range v.data {
		if len(v.data) == 1 && f.file.Class != class && choice[(life+2)%3] > 0 {
			s.t.Fatalf("choices %v, life %d: class %d, want %d", choice, life, f.file.Class, class)
		}
	}
}

// TestTrimBytes: a key is cut down to its bytes by whole records from the start,
// and what was measured is not measured again.
func TestTrimBytes(t *testing.T) {
	s := newScript(t)
	s.must(s.db.Retain(Rule{Pattern: []byte("m"), Prefix: true, Bytes: 100 * (16 + 10)}))
	s.must(s.db.Retain(Rule{Pattern: []byte("m2"), Records: 50}))
	s.fill(3, hour, 1, 1000, "0123456789")
	var tr trimming
	for range 3 {
		s.must(s.db.trim(&tr))
		for key, want := range map[string]uint64{"m0": 100, "m1": 100, "m2": 50} {
			if n := s.count(key); n != want {
				t.Fatalf("%d records of %s, want %d", n, key, want)
			}
		}
	}
	if n := s.db.metrics.RetentionTrims.Value(); n != 3 {
		t.Fatalf("%d trims", n)
	}
	left := tr.budget
	s.must(s.db.trim(&tr))
	if tr.budget != left {
		t.Fatal("measured again what is known")
	}
	s.fill(1, 3*hour, 1, 6, "0123456789") // within the slack
	s.must(s.db.trim(&tr))
	if n := s.count("m0"); n != 106 {
		t.Fatalf("%d records", n)
	}
	s.fill(1, 4*hour, 1, 6, "0123456789")
	s.must(s.db.trim(&tr))
	if n := s.count("m0"); n != 100 {
		t.Fatalf("%d records", n)
	}
	s.must(s.db.Compact())
	s.reopen()
	// The rule of records hides, the trimmer deletes: without the rule nothing is back.
	s.update(func(t *Tx) error { _, err := t.Unretain([]byte("m2"), false); return err })
	if n := s.count("m2"); n != 50 {
		t.Fatalf("%d records", n)
	}
	// A key that is deleted and born again meanwhile is not trimmed.
	snap, err := s.db.Snapshot()
	s.must(err)
	defer snap.Release()
	s.do(Op{ID: id(5, 0)})
	info, _, err := snap.Key([]byte("m0"))
	s.must(err)
	s.must(s.db.Update(func(t *Tx) error {
		if _, err := t.Delete([]byte("m0")); err != nil {
			return err
		}
		return t.Put(&Op{Key: []byte("m0"), ID: id(5, 0), Value: []byte("new")})
	}, []byte("m0")))
	s.must(s.db.trimTo([]byte("m0"), info.Created, snap.Sequence(), id(9*hour, 0)))
	if n := s.count("m0"); n != 1 {
		t.Fatal("a key in its next life was trimmed")
	}
}

// TestExpiryIndex: an expiry that is brought forward is met in time, and one that
// is postponed with every write costs no row each.
func TestExpiryIndex(t *testing.T) {
	s := newScript(t)
	expire := func(at uint64) {
		s.t.Helper()
		s.update(func(t *Tx) error { _, err := t.SetExpireAt([]byte("k"), at); return err })
	}
	s.do(Op{ID: id(5, 0)})
	expire(5000)
	expire(3000)
	s.now.Store(3000)
	_, err := s.db.expireDue()
	s.must(err)
	if s.db.Keys() != 0 || s.db.Expires() != 0 || s.db.metrics.ExpiredKeys.Value() != 1 {
		t.Fatalf("%d keys, %d with an expiry", s.db.Keys(), s.db.Expires())
	}
	s.do(Op{ID: id(5, 0)})
	for i := range uint64(1000) {
		expire(10_000 + i)
	}
	rows := s.indexRows()
	if rows != 2 { // the stale one of 5000 included
		t.Fatalf("%d rows in the index", rows)
	}
	for _, step := range []struct{ now, keys uint64 }{{10_500, 1}, {10_998, 1}, {10_999, 0}} {
		s.now.Store(step.now)
		s.reopen()
		for more := true; more; {
			more, err = s.db.expireDue()
			s.must(err)
		}
		if s.db.Keys() != step.keys {
			t.Fatalf("%d keys at %d", s.db.Keys(), step.now)
		}
	}
	if n := s.indexRows(); n != 0 {
		t.Fatalf("%d rows are left in the index", n)
	}
}

func (s *script) indexRows() uint64 {
	s.t.Helper()
	v := s.db.acquire()
	defer v.release()
	n, _, _, err := s.db.viewOf(v).skip(expiryKey, kv.Everything, ^uint64(0), nil)
	s.must(err)
	return n
}

// TestReplayHasNoClock: what the log says is all that replay goes by.
func TestReplayHasNoClock(t *testing.T) {
	s := newScript(t)
	s.must(s.db.Retain(Rule{Pattern: []byte("k"), AgeMS: hour}))
	s.do(Op{Mode: IDAuto})
	s.update(func(t *Tx) error { _, err := t.SetExpireAt([]byte("k"), 2000); return err })
	killed := s.fs.Clone()
	opt := testOptions(killed)
	opt.Now = func() time.Time {
		stack := make([]byte, 1<<16)
		if bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("engine.(*DB).recover(")) {
			t.Error("recovery asks for the time")
		}
		return time.UnixMilli(1500)
	}
	db := open(t, opt)
	if db.Keys() != 1 || db.Expires() != 1 {
		t.Errorf("%d keys, %d with an expiry", db.Keys(), db.Expires())
	}
	s.must(db.Close())
}

// TestRulesSurviveCrashes: every operation changes a rule and writes a record in
// one group; after a power cut the rule is the one of the last record that is there.
func TestRulesSurviveCrashes(t *testing.T) {
	const ops = 60
	run := func(fs *disktest.Disk) (acked uint64) {
		db, err := Open("test", testOptions(fs))
		if err != nil {
			return 0
		}
		defer db.stop(0)
		for i := range uint64(ops) {
			err := db.Update(func(t *Tx) error {
				if err := t.Retain(Rule{Pattern: []byte("k"), Records: i + 1}); err != nil {
					return err
				}
				return t.Put(&Op{Key: []byte("log"), ID: id(i, 0), Value: make([]byte, 2000)})
			}, []byte("log"))
			if err != nil {
				return acked
			}
			if acked++; i%20 == 19 && db.Flush() != nil {
				return acked
			}
		}
		return acked
	}
	count := disktest.New()
	run(count)
	for stop := 1; stop < count.Ops(); stop += 5 {
		fs := disktest.New()
		fs.StopAfter(stop)
		acked := run(fs)
		for _, how := range disktest.CrashMatrix(uint64(stop)) {
			s := &script{t: t, fs: fs.Crash(how)}
			s.open()
			snap, err := s.db.Snapshot()
			s.must(err)
			rule, _ := snap.Rule([]byte("k"))
			snap.Release()
			if n := s.count("log"); n < acked || rule.Records != n {
				t.Fatalf("%v after operation %d: %d records, %d acknowledged, rule %+v", how, stop, n, acked, rule)
			}
			s.db.stop(0)
		}
	}
}
