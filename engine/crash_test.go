package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// history is a sequence of operations that can be run up to any point, and what
// the store must hold after each prefix of it.
//
// Operation i also puts record i into the key "log", in the same batch, so a
// recovered store tells how long its prefix is.
type history struct {
	seed uint64
	ops  int
	// deletes makes it a history of deletes and compactions; see deleteOp.
	deletes bool
}

func (h history) options(fs *disktest.Disk) Options {
	opt := testOptions(fs)
	if h.deletes {
		opt.purgeAfter = 12
	}
	return opt
}

// states returns the model after 0..ops operations.
func (h history) states() []*model {
	m := newModel()
	out := []*model{m.clone()}
	for i := range h.ops {
		b, then := h.op(i)
		_ = b
		then(m)
		out = append(out, m.clone())
	}
	return out
}

// op makes operation i: its batch, and what it does to the model.
func (h history) op(i int) (*Batch, func(m *model)) {
	if h.deletes {
		return h.deleteOp(i)
	}
	rng := rand.New(rand.NewPCG(h.seed, uint64(i)))
	b := &Batch{}
	id := kv.ID{Time: uint64(i)}
	b.Put([]byte("log"), id, fmt.Append(nil, i))
	key := fmt.Sprintf("key:%d", rng.IntN(5))
	if i%17 == 16 {
		b.Update(func(t *Tx) error {
			_, err := t.Delete([]byte(key))
			return err
		}, []byte(key))
		return b, func(m *model) {
			m.put("log", id, fmt.Sprint(i)+"|")
			delete(m.keys, key)
		}
	}
	var puts []Op
	for range 1 + rng.IntN(4) {
		puts = append(puts, Op{Key: []byte(fmt.Sprintf("key:%d", rng.IntN(5))), Value: []byte(randomValue(rng)), ID: kv.ID{Time: 1_600_000_000_000 + rng.Uint64N(6)*3_600_000*24*5}})
	}
	b.Ops = append(b.Ops, puts...)
	return b, func(m *model) {
		m.put("log", id, fmt.Sprint(i)+"|")
		for _, p := range puts {
			m.put(string(p.Key), p.ID, show(p.Value, nil))
		}
	}
}

// run applies operations until one fails and returns how many were acknowledged.
func (h history) run(db *DB, from int) int { return h.runTo(db, from, h.ops) }

func (h history) runTo(db *DB, from, end int) int {
	for i := from; i < end; i++ {
		b, _ := h.op(i)
		err := db.Apply(b)
		for j := range b.Ops {
			if err == nil {
				err = b.Ops[j].Err
			}
		}
		if err != nil {
			return i
		}
		if i%40 == 39 && db.Flush() != nil || h.deletes && h.maintain(db, i) != nil {
			return i + 1
		}
	}
	return end
}

// prefix opens a disk after a crash, and checks that it holds exactly a prefix of
// the history of at least acked operations. It returns the store and the length.
func (h history) prefix(t *testing.T, fs *disktest.Disk, states []*model, acked int) (*DB, int) {
	t.Helper()
	db, err := Open("crashed", h.options(fs))
	if err != nil {
		t.Fatalf("open after %d acknowledged operations: %v", acked, err)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	n, err := snap.Count([]byte("log"), ScanOptions{To: kv.MaxID})
	if err != nil {
		t.Fatal(err)
	}
	if int(n) < acked || int(n) >= len(states) {
		t.Fatalf("%d operations are there, %d were acknowledged", n, acked)
	}
	states[n].check(t, snap, rand.New(rand.NewPCG(h.seed, n)))
	if db.Keys() != uint64(len(states[n].keys)) {
		t.Fatalf("number of keys %d, want %d", db.Keys(), len(states[n].keys))
	}
	return db, int(n)
}

// TestCrashStates is goal G4: power is lost after every operation on the disk, and
// of what was not synced nothing, a tenth, a half or all survives. What is
// recovered is a prefix that holds everything acknowledged, and the store goes
// on from there.
func TestCrashStates(t *testing.T) { testCrashStates(t, history{seed: 11, ops: 150}, 3) }

func testCrashStates(t *testing.T, h history, step int) {
	states := h.states()
	count := disktest.New()
	db := open(t, h.options(count))
	h.run(db, 0)
	db.stop(0)
	if testing.Short() {
		step *= 13
	}
	tried := 0
	for stop := 1; stop < count.Ops(); stop += step {
		tried += crashAt(t, h, states, stop)
		if t.Failed() {
			t.Fatalf("power cut after disk operation %d, seed %d", stop, h.seed)
		}
	}
	t.Logf("%d crash states, %d disk operations", tried, count.Ops())
}

func crashAt(t *testing.T, h history, states []*model, stop int) int {
	t.Helper()
	fs := disktest.New()
	fs.StopAfter(stop)
	acked := 0
	db, err := Open("test", h.options(fs))
	if err == nil {
		acked = h.run(db, 0)
		db.stop(0)
	}
	matrix := disktest.CrashMatrix(uint64(stop))
	for i, how := range matrix {
		after := fs.Crash(how)
		db, n := h.prefix(t, after, states, acked)
		if i == stop%len(matrix) { // goes on, and survives another crash
			more := h.run(db, n)
			db.stop(0)
			db, _ = h.prefix(t, after.Crash(how), states, more)
		}
		db.stop(0)
		if t.Failed() {
			t.Fatal(how)
		}
	}
	return len(matrix)
}

// TestKillStates is the same for kill -9: everything written survives.
func TestKillStates(t *testing.T) {
	h := history{seed: 12, ops: 200}
	states := h.states()
	for _, mode := range []SyncMode{SyncAlways, SyncInterval, SyncOS} {
		fs := disktest.New()
		opt := testOptions(fs)
		opt.Sync = mode
		db := open(t, opt)
		h.run(db, 0)
		killed := fs.Clone()
		db.stop(0)
		after, n := h.prefix(t, killed, states, h.ops)
		if n != h.ops {
			t.Fatalf("%s: %d of %d operations", mode, n, h.ops)
		}
		after.stop(0)
	}
}
