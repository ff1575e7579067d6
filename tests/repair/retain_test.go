package repair

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/inspect"
	"tskv/kv"
	"tskv/manifest"
)

// far is an expiry that no test reaches, and base a time of which no rule of a test
// tires, in milliseconds.
const (
	far  = 1 << 44
	base = 1_690_000_000_000
)

func (s *store) retain(r engine.Rule) {
	s.t.Helper()
	before := s.sequence()
	s.must(s.db.Retain(r))
	s.did(before, func(contents) {})
}

func (s *store) expire(key string, at uint64) {
	s.t.Helper()
	before := s.sequence()
	s.must(s.db.Update(func(tx *engine.Tx) error {
		found, err := tx.SetExpireAt([]byte(key), at)
		if err == nil && !found {
			err = errors.New("there is no such key")
		}
		return err
	}, []byte(key)))
	s.did(before, func(c contents) { // which alone would make the key
		if c[key] == nil {
			c[key] = map[kv.ID]string{}
		}
	})
}

// retained makes a store with a bit of everything that retention adds: keys of
// several classes, expiries set, moved and taken back, deletes of such keys, in
// tables and in the log. Rules and expiries hide nothing yet. Of its keys 5 have an
// expiry.
func retained(t *testing.T, seed uint64) *store {
	t.Helper()
	s := newStore(t, seed)
	s.retain(engine.Rule{Pattern: []byte("aged:"), Prefix: true, AgeMS: 700 * day})
	s.retain(engine.Rule{Pattern: []byte("some:"), Prefix: true, Records: 1000})
	for _, key := range []string{"aged:1", "aged:2", "aged:3", "some:1", "plain:1", "plain:2", "plain:3", "plain:4"} {
		s.fill(key, base, 20)
		s.put(key, kv.ID{Time: base + 40*day}, "text", "tag")
	}
	for _, key := range []string{"aged:1", "plain:1", "plain:2", "plain:3"} {
		s.expire(key, far)
	}
	s.flush()
	s.expire("aged:1", far+5) // later: the index stays as it is
	s.expire("plain:1", far-5)
	s.expire("plain:2", 0)
	s.delete("plain:3")
	s.delete("aged:2")
	s.deleteRange("aged:3", kv.ID{}, kv.ID{Time: base + 5000})
	s.flush()
	s.must(s.db.Compact()) // nothing is left to do beside the log
	s.retain(engine.Rule{Pattern: []byte("late:"), Prefix: true, AgeMS: 300 * day})
	s.put("late:1", kv.ID{Time: base}, "1.5")
	s.expire("late:1", far)
	s.put("aged:2", kv.ID{Time: base + 7}, "again")
	s.expire("aged:2", far)
	s.expire("some:1", far)
	s.delete("plain:4")
	return s
}

const retainedExpires = 5

// checkRetained wants a store to hold what retained has written, its rules, and
// to hide what expires from that moment on.
func checkRetained(t *testing.T, what string, d *disktest.Disk, want contents, rules int) {
	t.Helper()
	compare(t, what, read(t, d), want)
	clock := time.UnixMilli(far + 10)
	db, err := engine.Open("test", options(d.Clone(), &clock))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if s := db.Stats(); s.Expires != retainedExpires || s.Rules != rules {
		t.Errorf("%s: %d keys have an expiry, there are %d rules", what, s.Expires, s.Rules)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	for _, key := range []string{"aged:1", "plain:1", "late:1", "aged:2", "some:1"} {
		if _, ok, err := snap.Last([]byte(key)); ok || err != nil {
			t.Errorf("%s: %s is seen after its end: %v", what, key, err)
		}
	}
	if _, ok, err := snap.Last([]byte("plain:2")); !ok || err != nil {
		t.Errorf("%s: a key without an expiry has ended: %v", what, err)
	}
}

// TestRetainedStore checks, dumps and salvages stores that have used retention.
func TestRetainedStore(t *testing.T) {
	s := retained(t, 1)
	s.kill()
	closed := s.disk.Clone()
	if err := replay(closed); err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string]*disktest.Disk{"killed": s.disk, "closed": closed} {
		if r := check(t, d); !r.Sound || r.Warnings > 0 {
			t.Errorf("%s: %+v", what, r)
		}
		text := dumpAll(t, d)
		if !strings.Contains(text, "expiries") || what == "killed" && !strings.Contains(text, "put class-9 \"late:1\"") {
			t.Errorf("%s: the dump shows no expiries, or no class:\n%s", what, text)
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, "internal ") {
				t.Errorf("%s: a key is shown by its bytes: %s", what, line)
			}
		}
		to, r := salvage(t, what, d, false)
		if !r.Complete {
			t.Errorf("%s: %+v", what, r)
		}
		if r := check(t, to); !r.Sound || r.Warnings > 0 {
			t.Errorf("%s, salvaged: %+v", what, r)
		}
		checkRetained(t, what+", salvaged", to, s.want, 3)
		checkRetained(t, what, d, s.want, 3)
	}
}

// TestSalvageCountsExpiries: without a manifest, or with an older one, the keys
// with an expiry are counted anew. Or else they would live for ever.
func TestSalvageCountsExpiries(t *testing.T) {
	s := retained(t, 2)
	s.kill()
	if err := replay(s.disk); err != nil { // so that the log has none of it
		t.Fatal(err)
	}
	for _, prev := range []bool{true, false} {
		d := s.disk.Clone()
		lost := []string{disk.ManifestName}
		if !prev {
			lost = append(lost, disk.PrevManifestName)
		}
		for _, name := range lost {
			if err := d.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		to, r := salvage(t, "no manifest", d, false)
		if r.Keys == 0 {
			t.Errorf("%+v", r)
		}
		clock := time.UnixMilli(1_700_000_000_000)
		db, err := engine.Open("test", options(to, &clock))
		if err != nil {
			t.Fatal(err)
		}
		// Point deletes of keys are in tables, so what was deleted stays so.
		if n := db.Expires(); n != retainedExpires {
			t.Errorf("older manifest %v: %d keys have an expiry, want %d", prev, n, retainedExpires)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if !prev {
			checkRetained(t, "no manifest", to, read(t, to), 0)
		}
	}
}

// TestCheckCountsExpiries: a manifest with a wrong number is found.
func TestCheckCountsExpiries(t *testing.T) {
	s := retained(t, 3)
	s.close()
	if r := check(t, s.disk); !r.Sound || r.Expires != retainedExpires {
		t.Fatalf("%+v", r)
	}
	wrongExpires(t, s.disk)
	r, err := inspect.Check(s.disk, inspect.CheckOptions{})
	if err != nil || r.Sound || r.Errors != 1 || !strings.Contains(r.Findings[0].What, "expiry") {
		t.Errorf("%v: %+v", err, r)
	}
	to, report := salvage(t, "wrong number", s.disk, false)
	if !report.Complete {
		t.Errorf("%+v", report)
	}
	checkRetained(t, "wrong number", to, s.want, 3)
}

// wrongExpires makes the manifest say another number.
func wrongExpires(t *testing.T, d *disktest.Disk) {
	t.Helper()
	state, err := manifest.Load(d)
	if err == nil {
		state.Expires++
		err = manifest.Store(d, state)
	}
	if err != nil {
		t.Fatal(err)
	}
}
