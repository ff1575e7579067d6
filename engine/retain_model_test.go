package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// retained is a model with retention rules and expiries. What they hide is taken
// out of it for good (settle), because nothing hidden comes back as long as rules
// are not loosened; before that happens the test deletes the hidden records.
type retained struct {
	*model
	rules   map[string]Rule
	expires map[string]uint64
}

func (m *retained) rule(key string) Rule {
	if r, ok := m.rules[key]; ok {
		return r
	}
	best := Rule{}
	for _, r := range m.rules {
		if r.Prefix && strings.HasPrefix(key, string(r.Pattern)) && (!best.Prefix || len(r.Pattern) > len(best.Pattern)) {
			best = r
		}
	}
	return best
}

func (m *retained) drop(key string) {
	delete(m.keys, key)
	delete(m.last, key)
	delete(m.expires, key)
}

// settle takes out everything that is hidden at the model's time.
func (m *retained) settle() {
	for key := range m.keys {
		if at := m.expires[key]; at != 0 && at <= m.clock {
			m.drop(key)
			continue
		}
		r := m.rule(key)
		ids := m.ids(key)
		for i, id := range ids {
			old := r.AgeMS > 0 && id.Time+r.AgeMS < m.clock
			if old || r.Records > 0 && uint64(len(ids)-i) > r.Records {
				delete(m.keys[key], id)
			}
		}
	}
}

func (m *retained) clone() *retained {
	return &retained{model: m.model.clone(), rules: maps.Clone(m.rules), expires: maps.Clone(m.expires)}
}

// keeper drives a store and the model alike.
type keeper struct {
	*driver
	r *retained
}

var patterns = []string{"key:*", "key:0*", "key:03", "key:07", "key:1*", "*"}

func (k *keeper) advance() {
	step := k.rng.Uint64N(4)
	switch k.rng.IntN(12) {
	case 0:
		step = k.rng.Uint64N(1_800_000)
	case 1:
		step = k.rng.Uint64N(86_400_000)
	}
	k.r.clock += step
	k.now.Store(k.r.clock)
	k.r.settle()
}

func (k *keeper) act() {
	k.t.Helper()
	k.advance()
	switch n := k.rng.IntN(100); {
	case n < 50:
		k.write()
	case n < 56:
		k.changeRule()
	case n < 68:
		k.expire()
	case n < 72:
		key := k.key()
		k.must(k.db.Update(func(t *Tx) error {
			ok, err := t.Delete([]byte(key))
			if ok != (k.r.keys[key] != nil) {
				return fmt.Errorf("delete %q: existed %v", key, ok)
			}
			return err
		}, []byte(key)))
		k.r.drop(key)
	case n < 80:
		key, from, to := k.key(), k.near(), k.near()
		k.must(k.db.Update(func(t *Tx) error { return t.DeleteRange([]byte(key), from, to) }, []byte(key)))
		k.r.deleteRange(key, from, to)
	case n < 84:
		k.undone()
	case n < 90:
		k.must(k.db.Flush())
	case n < 95:
		k.must(k.db.Compact())
	case n < 98:
		_, err := k.db.expireDue()
		k.must(err)
	case n < 99:
		k.must(k.db.Clear())
		for key := range k.r.keys {
			k.r.drop(key)
		}
		clear(k.r.last)
	}
	k.r.settle()
}

// near returns an ID around the times that the rules cut at.
func (k *keeper) near() kv.ID {
	switch k.rng.IntN(40) {
	case 0:
		return kv.MinID
	case 1:
		return kv.ID{Time: k.r.clock + k.rng.Uint64N(7_200_000)}
	}
	back := []uint64{3, 3_600_000, 7_200_000, 86_400_000, 8 * 86_400_000}[k.rng.IntN(5)]
	return kv.ID{Time: k.r.clock - k.rng.Uint64N(back), Seq: k.rng.Uint64N(3)}
}

func (k *keeper) write() {
	k.t.Helper()
	var b Batch
	for range 1 + k.rng.IntN(20) {
		op := b.Add()
		op.Key, op.Value, op.ID = []byte(k.key()), []byte(randomValue(k.rng)), k.near()
		if k.rng.IntN(2) == 0 {
			op.Mode = IDAuto
			op.Persist = k.rng.IntN(4) == 0
		} else if k.rng.IntN(4) == 0 {
			op.Cond = []Condition{IfAbsent, IfPresent}[k.rng.IntN(2)]
		}
	}
	k.must(k.db.Apply(&b))
	for i := range b.Ops {
		op := &b.Ops[i]
		k.must(op.Err)
		key := string(op.Key)
		k.r.settle()
		_, there := k.r.keys[key][op.ID]
		if want := op.Cond == Always || there == (op.Cond == IfPresent); op.Written != want {
			k.t.Fatalf("put %q %v, condition %d: written %v", key, op.ID, op.Cond, op.Written)
		}
		if !op.Written {
			continue
		}
		if op.Mode == IDAuto {
			k.m = k.r.model
			k.wantAuto(key, op.ID)
		}
		k.r.put(key, op.ID, show(op.Value, op.Tags))
		if op.Persist {
			delete(k.r.expires, key)
		}
	}
}

func (k *keeper) expire() {
	k.t.Helper()
	key, at := k.key(), uint64(0)
	if k.rng.IntN(4) > 0 {
		at = k.r.clock + k.rng.Uint64N(40_000_000) - min(k.r.clock, k.rng.Uint64N(1000))
	}
	k.must(k.db.Update(func(t *Tx) error {
		ok, err := t.SetExpireAt([]byte(key), at)
		if ok != (k.r.keys[key] != nil) {
			return fmt.Errorf("expire %q: existed %v", key, ok)
		}
		return err
	}, []byte(key)))
	if k.r.keys[key] != nil {
		k.r.expires[key] = at
	}
}

// changeRule deletes what the rules hide, and sets or removes one, in one Update.
func (k *keeper) changeRule() {
	k.t.Helper()
	pattern := patterns[k.rng.IntN(len(patterns))]
	name, prefix := strings.CutSuffix(pattern, "*")
	rule := Rule{Pattern: []byte(name), Prefix: prefix}
	set := k.rng.IntN(3) > 0
	switch k.rng.IntN(3) {
	case 0:
		rule.Records = 1 + k.rng.Uint64N(20)
	case 1:
		rule.Records = 1 + k.rng.Uint64N(20)
		fallthrough
	default:
		rule.AgeMS = []uint64{3_600_000, 7_200_000, 86_400_000, 7 * 86_400_000, 800 * 86_400_000}[k.rng.IntN(5)]
	}
	k.must(k.db.Update(func(t *Tx) error {
		for key := range k.r.keys {
			st, err := t.state([]byte(key))
			if err != nil {
				return err
			}
			floor, _, err := t.c.writerView().visibleFrom(st.data, false)
			if err != nil {
				return err
			}
			if last, some := floor.Prev(); some {
				if err := t.DeleteRange([]byte(key), kv.MinID, last); err != nil {
					return err
				}
			}
		}
		if set {
			return t.Retain(rule)
		}
		_, err := t.Unretain(rule.Pattern, prefix)
		return err
	}))
	delete(k.r.rules, pattern)
	if set {
		k.r.rules[pattern] = rule
	}
}

// undone changes everything about a key and a rule, and fails.
func (k *keeper) undone() {
	k.t.Helper()
	key := []byte(k.key())
	var b Batch
	b.Update(func(t *Tx) error {
		k.must(t.Retain(Rule{Pattern: []byte("key:"), Prefix: true, AgeMS: 1000 * 86_400_000}))
		_, err := t.Delete(key)
		k.must(err)
		k.must(t.Put(&Op{Key: key, Mode: IDAuto, Value: []byte("undone")}))
		_, err = t.SetExpireAt(key, k.r.clock+5)
		k.must(err)
		return errUndo
	}, key)
	k.must(b.err)
	k.must(k.db.Apply(&b))
}

func (k *keeper) compareRetained() {
	k.t.Helper()
	snap, err := k.db.Snapshot()
	k.must(err)
	defer snap.Release()
	k.r.check(k.t, snap, k.rng)
	var want []Rule
	for _, r := range k.r.rules {
		want = append(want, r)
	}
	got := loadRules(want).list()
	if list := snap.Rules(); fmt.Sprint(list) != fmt.Sprint(got) {
		k.t.Fatalf("rules %v, want %v", list, got)
	}
	with := 0
	for key, at := range k.r.expires {
		if k.r.keys[key] == nil {
			continue
		}
		info, _, err := snap.Key([]byte(key))
		k.must(err)
		if info.ExpireAt != at {
			k.t.Fatalf("%q expires at %d, want %d", key, info.ExpireAt, at)
		}
		if at != 0 {
			with++
		}
	}
	if n := k.db.Keys(); n < uint64(len(k.r.keys)) || k.db.Expires() < uint64(with) || k.db.Expires() > n {
		k.t.Fatalf("%d keys, %d with an expiry, want %d and %d or more", n, k.db.Expires(), len(k.r.keys), with)
	}
}

// drain deletes all expired keys, after which the numbers of keys are exact.
func (k *keeper) drain() {
	k.t.Helper()
	for more := true; more; {
		var err error
		more, err = k.db.expireDue()
		k.must(err)
	}
	with := 0
	for key, at := range k.r.expires {
		if at != 0 && k.r.keys[key] != nil {
			with++
		}
	}
	if k.db.Keys() != uint64(len(k.r.keys)) || k.db.Expires() != uint64(with) {
		k.t.Fatalf("%d keys, %d with an expiry, want %d and %d", k.db.Keys(), k.db.Expires(), len(k.r.keys), with)
	}
}

// TestRetentionModel runs random histories of writes, rules and expiries with
// flushes, merges, restarts and kills, and a clock that leaps, against the model.
func TestRetentionModel(t *testing.T) {
	seeds := 10
	if testing.Short() {
		seeds = 3
	}
	for i := range seeds {
		seed := uint64(i) + 1
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runRetention(t, seed)
		})
	}
}

func runRetention(t *testing.T, seed uint64) {
	fs := disktest.New()
	k := &keeper{
		driver: &driver{t: t, rng: rand.New(rand.NewPCG(seed, 12)), m: newModel()},
		r:      &retained{model: newModel(), rules: map[string]Rule{}, expires: map[string]uint64{}},
	}
	k.now.Store(k.r.clock)
	opt := testOptions(fs)
	opt.Now = func() time.Time { return time.UnixMilli(int64(k.now.Load())) }
	opt.Sync = SyncMode(seed % 3)
	k.db = open(t, opt)
	defer func() { k.must(k.db.Close()) }()
	var old *Snapshot
	var was *retained
	steps := 500
	if testing.Short() {
		steps = 200
	}
	for i := range steps {
		k.act()
		switch {
		case i%10 == 9:
			k.compareRetained()
		case i%45 == 44:
			if old != nil {
				was.check(t, old, k.rng)
				old.Release()
			}
			var err error
			old, err = k.db.Snapshot()
			k.must(err)
			was = k.r.clone()
		case i%90 == 88:
			k.drain()
			old.Release()
			old = nil
			if k.rng.IntN(2) == 0 {
				k.must(k.db.Close())
			} else {
				killed := fs.Clone()
				k.db.stop(0)
				fs = killed
				opt.FS = fs
			}
			k.db = open(t, opt)
			k.compareRetained()
			k.drain()
		}
	}
	if old != nil {
		was.check(t, old, k.rng)
		old.Release()
	}
}
