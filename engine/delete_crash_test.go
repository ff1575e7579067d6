package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

// deleteOp makes operation i of a history in which most is deleted again: single
// records, ranges, keys and once everything; and what was deleted is often
// written anew under the same key and ID.
func (h history) deleteOp(i int) (*Batch, func(m *model)) {
	rng := rand.New(rand.NewPCG(h.seed, uint64(i)))
	b := &Batch{}
	mark := kv.ID{Time: uint64(i)}
	var effects []func(m *model)
	key := func() string { return fmt.Sprintf("key:%d", rng.IntN(4)) }
	id := func() kv.ID { return kv.ID{Time: rng.Uint64N(3)*hugeWindow + rng.Uint64N(20)} }
	update := func(key string, fn func(tx *Tx) error) { b.Update(fn, []byte(key)) }
	if i == h.ops*2/3 {
		b.Update(func(tx *Tx) error {
			tx.Clear()
			for j := range i { // the operations before this one must stay countable
				if err := tx.Put(&Op{Key: []byte("log"), ID: kv.ID{Time: uint64(j)}, Value: fmt.Append(nil, j)}); err != nil {
					return err
				}
			}
			return nil
		}, []byte("log"))
		effects = append(effects, func(m *model) {
			log := m.keys["log"]
			m.keys = map[string]map[kv.ID]string{"log": log}
		})
	}
	for range 1 + rng.IntN(5) {
		k, from, to := key(), id(), id()
		if to.Less(from) {
			from, to = to, from
		}
		switch n := rng.IntN(40); {
		case n < 26:
			value := randomValue(rng)
			update(k, func(tx *Tx) error { return tx.Put(&Op{Key: []byte(k), ID: to, Value: []byte(value)}) })
			effects = append(effects, func(m *model) { m.put(k, to, value+"|") })
		case n < 39: // half of them of a few records or one
			if n < 32 {
				from = to
			} else if n < 36 {
				to = kv.ID{Time: from.Time + 3}
			}
			update(k, func(tx *Tx) error { return tx.DeleteRange([]byte(k), from, to) })
			effects = append(effects, func(m *model) { m.deleteRange(k, from, to) })
		default:
			update(k, func(tx *Tx) error {
				_, err := tx.Delete([]byte(k))
				return err
			})
			effects = append(effects, func(m *model) { delete(m.keys, k) })
		}
	}
	b.Put([]byte("log"), mark, fmt.Append(nil, i))
	effects = append(effects, func(m *model) { m.put("log", mark, fmt.Sprint(i)+"|") })
	return b, func(m *model) {
		for _, effect := range effects {
			effect(m)
		}
	}
}

// maintain flushes and compacts now and then.
func (h history) maintain(db *DB, i int) error {
	switch {
	case i%7 == 6:
		return db.Flush()
	case i%16 == 15:
		return db.Compact()
	case i%23 == 22:
		return db.CompactKey(fmt.Appendf(nil, "key:%d", i%4))
	}
	return nil
}

// TestDeletedStaysDeleted: power is lost after every few operations on the disk of
// a history of deletes, flushes and compactions: nothing that was deleted is there
// again, and nothing else is gone.
func TestDeletedStaysDeleted(t *testing.T) {
	testCrashStates(t, history{seed: 21, ops: 120, deletes: true}, 24)
}

// TestDeletedStaysDeletedLong runs long histories of deletes, restarts included,
// and checks that tombstones do not pile up.
func TestDeletedStaysDeletedLong(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		h := history{seed: 100 + seed, ops: 700, deletes: true}
		states := h.states()
		opt := h.options(nil)
		db, fs := h.play(t, opt, states)
		if n := db.Stats().Tombstones; n > 2*opt.purgeAfter+8 {
			t.Errorf("seed %d: %d tombstones at the end", h.seed, n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if n := fs.Handles(); n != 0 {
			t.Errorf("%d handles are left", n)
		}
		if t.Failed() {
			t.Fatalf("seed %d", h.seed)
		}
	}
}

// play runs the whole history with a kill in between now and then, and compares at
// each of these and at the end, after a last compaction.
func (h history) play(t *testing.T, opt Options, states []*model) (*DB, *disktest.Disk) {
	t.Helper()
	fs := disktest.New()
	opt.FS = fs
	db := open(t, opt)
	for n := 0; n < h.ops; {
		end := min(n+150, h.ops)
		if n = h.runTo(db, n, end); n != end {
			t.Fatalf("stopped at operation %d", n)
		}
		killed := fs.Clone()
		db.stop(0)
		fs = killed
		opt.FS = fs
		db = open(t, opt)
		snap, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		states[n].check(t, snap, rand.New(rand.NewPCG(h.seed, uint64(n))))
		snap.Release()
	}
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	states[h.ops].check(t, snap, rand.New(rand.NewPCG(h.seed, 1)))
	return db, fs
}
