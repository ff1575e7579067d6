package engine

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// model is the store as a map: what every history must equal.
type model struct {
	keys  map[string]map[kv.ID]string // value|tags
	last  map[string]kv.ID
	clock uint64
}

func newModel() *model {
	return &model{keys: map[string]map[kv.ID]string{}, last: map[string]kv.ID{}, clock: 1_700_000_000_000}
}

func (m *model) clone() *model {
	c := &model{keys: map[string]map[kv.ID]string{}, last: maps.Clone(m.last), clock: m.clock}
	for k, rows := range m.keys {
		c.keys[k] = maps.Clone(rows)
	}
	return c
}

func (m *model) put(key string, id kv.ID, value string) {
	if m.keys[key] == nil {
		m.keys[key] = map[kv.ID]string{}
	}
	m.keys[key][id] = value
	if last, ok := m.last[key]; !ok || last.Less(id) {
		m.last[key] = id
	}
}

func (m *model) ids(key string) []kv.ID {
	return slices.SortedFunc(maps.Keys(m.keys[key]), kv.ID.Compare)
}

func (m *model) deleteRange(key string, from, to kv.ID) {
	for id := range m.keys[key] {
		if !id.Less(from) && !to.Less(id) {
			delete(m.keys[key], id)
		}
	}
}

// check compares everything that a snapshot reads with the model.
func (m *model) check(t *testing.T, snap *Snapshot, rng *rand.Rand) {
	t.Helper()
	var got []string
	it, err := snap.Keys(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for {
		info, ok, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, string(info.Key))
	}
	if want := slices.Sorted(maps.Keys(m.keys)); !slices.Equal(got, want) {
		t.Fatalf("keys: got %q, want %q", got, want)
	}
	for key := range m.keys {
		m.checkKey(t, snap, key, rng)
	}
}

func (m *model) checkKey(t *testing.T, snap *Snapshot, key string, rng *rand.Rand) {
	t.Helper()
	ids := m.ids(key)
	checkScan(t, snap, key, m.keys[key], ids, ScanOptions{To: kv.MaxID})
	checkScan(t, snap, key, m.keys[key], ids, ScanOptions{To: kv.MaxID, Reverse: true})
	o := ScanOptions{From: randomID(rng, m.clock), To: randomID(rng, m.clock), Reverse: rng.IntN(2) == 0, Limit: uint64(rng.IntN(6)), Offset: uint64(rng.IntN(3))}
	checkScan(t, snap, key, m.keys[key], ids, o)
	at := randomID(rng, m.clock)
	i, exact := slices.BinarySearchFunc(ids, at, kv.ID.Compare)
	if exact {
		i++
	}
	rec, ok, err := snap.Get([]byte(key), at, nil)
	if err != nil || ok != (i > 0) {
		t.Fatalf("get %q at %v: %v %v, want found %v", key, at, ok, err, i > 0)
	}
	if ok && (rec.ID != ids[i-1] || show(rec.Value, rec.Tags) != m.keys[key][rec.ID]) {
		t.Fatalf("get %q at %v: %v %q, want %v %q", key, at, rec.ID, rec.Value, ids[i-1], m.keys[key][ids[i-1]])
	}
}

func checkScan(t *testing.T, snap *Snapshot, key string, rows map[kv.ID]string, ids []kv.ID, o ScanOptions) {
	t.Helper()
	var want []kv.ID
	for _, id := range ids {
		if !id.Less(o.From) && !o.To.Less(id) {
			want = append(want, id)
		}
	}
	if o.Reverse {
		slices.Reverse(want)
	}
	want = want[min(uint64(len(want)), o.Offset):]
	if o.Limit > 0 {
		want = want[:min(uint64(len(want)), o.Limit)]
	}
	sc, err := snap.Scan([]byte(key), o)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	var got []kv.ID
	for {
		batch, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if batch == nil {
			break
		}
		for i := range batch.Len() {
			row := batch.Row(i)
			got = append(got, row.ID)
			if text := show(row.AppendValue(nil), row.Tags); text != rows[row.ID] {
				t.Fatalf("scan %q %+v: %v is %q, want %q", key, o, row.ID, text, rows[row.ID])
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("scan %q %+v: got %v, want %v", key, o, got, want)
	}
	n, err := snap.Count([]byte(key), o)
	if err != nil || n != uint64(len(want)) {
		t.Fatalf("count %q %+v: %d %v, want %d", key, o, n, err, len(want))
	}
}

func show(value []byte, tags kv.TagSet) string { return string(value) + "|" + string(tags) }

func randomID(rng *rand.Rand, clock uint64) kv.ID {
	switch rng.IntN(10) {
	case 0:
		return kv.MinID
	case 1:
		return kv.MaxID
	case 2:
		return kv.ID{Time: clock - rng.Uint64N(5), Seq: rng.Uint64N(3)}
	}
	return kv.ID{Time: 1_600_000_000_000 + rng.Uint64N(20)*3_600_000*24*5, Seq: rng.Uint64N(3)}
}

func randomValue(rng *rand.Rand) string {
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("event %d {\"a\":%d}", rng.IntN(1000), rng.IntN(10))
	case 1:
		return string(make([]byte, rng.IntN(3000)))
	}
	return fmt.Sprintf("%d.%02d", rng.IntN(1000)-500, rng.IntN(100))
}

// driver applies random operations to a store and its model alike.
type driver struct {
	t   *testing.T
	rng *rand.Rand
	db  *DB
	m   *model
	now atomic.Uint64 // the clock that the store sees
}

func (d *driver) key() string { return fmt.Sprintf("key:%02d", d.rng.IntN(12)) }

func (d *driver) tags() (kv.TagSet, error) {
	if d.rng.IntN(4) > 0 {
		return nil, nil
	}
	return kv.MakeTagSet([][]byte{fmt.Appendf(nil, "t%d", d.rng.IntN(3)), []byte("all")})
}

func (d *driver) step() {
	d.t.Helper()
	d.m.clock += d.rng.Uint64N(3)
	d.now.Store(d.m.clock)
	switch n := d.rng.IntN(100); {
	case n < 60:
		d.puts()
	case n < 75:
		d.conditional()
	case n < 80:
		d.failing()
	case n < 84:
		key := d.key()
		err := d.db.Update(func(t *Tx) error {
			ok, err := t.Delete([]byte(key))
			if ok != (d.m.keys[key] != nil) {
				return fmt.Errorf("delete %q: existed %v", key, ok)
			}
			return err
		}, []byte(key))
		d.must(err)
		delete(d.m.keys, key)
		delete(d.m.last, key)
	case n < 92:
		key, from, to := d.key(), randomID(d.rng, d.m.clock), randomID(d.rng, d.m.clock)
		d.must(d.db.Update(func(t *Tx) error { return t.DeleteRange([]byte(key), from, to) }, []byte(key)))
		d.m.deleteRange(key, from, to)
	case n < 96:
		d.must(d.db.Flush())
	case n < 98:
		d.must(d.db.Compact())
	case n < 99:
		d.must(d.db.Clear())
		d.m.keys, d.m.last = map[string]map[kv.ID]string{}, map[string]kv.ID{}
	}
}

func (d *driver) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) puts() {
	d.t.Helper()
	var b Batch
	for range 1 + d.rng.IntN(20) {
		op := b.Add()
		tags, err := d.tags()
		d.must(err)
		op.Key, op.Value, op.Tags = []byte(d.key()), []byte(randomValue(d.rng)), tags
		op.ID = kv.ID{Time: 1_600_000_000_000 + d.rng.Uint64N(20)*3_600_000*24*5, Seq: d.rng.Uint64N(3)}
		if d.rng.IntN(3) == 0 {
			op.Mode = IDAuto
		}
	}
	d.must(d.db.Apply(&b))
	for i := range b.Ops {
		op := &b.Ops[i]
		d.must(op.Err)
		if op.Mode == IDAuto {
			d.wantAuto(string(op.Key), op.ID)
		}
		d.m.put(string(op.Key), op.ID, show(op.Value, op.Tags))
	}
}

func (d *driver) wantAuto(key string, id kv.ID) {
	d.t.Helper()
	want := kv.ID{Time: d.m.clock}
	if last, ok := d.m.last[key]; ok && !last.Less(want) {
		want, _ = last.Next()
	}
	if id != want {
		d.t.Fatalf("auto ID of %q: %v, want %v", key, id, want)
	}
}

func (d *driver) conditional() {
	d.t.Helper()
	key, id := d.key(), kv.ID{Time: 1_600_000_000_000 + d.rng.Uint64N(20)*3_600_000*24*5, Seq: d.rng.Uint64N(3)}
	var b Batch
	op := b.Add()
	op.Key, op.ID, op.Value = []byte(key), id, []byte(randomValue(d.rng))
	op.Cond = []Condition{IfAbsent, IfPresent, IfLast}[d.rng.IntN(3)]
	last := d.m.last[key]
	if op.Cond == IfLast {
		op.After, op.Mode = last, IDAuto
		if d.rng.IntN(2) == 0 {
			op.After.Seq++
		}
	}
	d.must(d.db.Apply(&b))
	_, there := d.m.keys[key][id]
	var conflict *ConflictError
	switch {
	case op.Cond == IfLast && op.After != last:
		if !errors.As(op.Err, &conflict) || conflict.Last != last || op.Written {
			d.t.Fatalf("put %q after %v: %v, want conflict last=%v", key, op.After, op.Err, last)
		}
		return
	case op.Cond != IfLast && there != (op.Cond == IfPresent):
		if op.Written || op.Err != nil {
			d.t.Fatalf("put %q %v cond %d: written %v %v", key, id, op.Cond, op.Written, op.Err)
		}
		return
	}
	d.must(op.Err)
	if !op.Written {
		d.t.Fatalf("put %q %v cond %d was not written", key, id, op.Cond)
	}
	d.m.put(key, op.ID, show(op.Value, nil))
}

var errUndo = errors.New("undo")

// failing runs an Update that writes and then fails, between two puts of one
// batch: only the puts may be seen.
func (d *driver) failing() {
	d.t.Helper()
	first, second := d.key(), d.key()
	var b Batch
	b.Append([]byte(first), []byte("before"))
	b.Update(func(t *Tx) error {
		for range 3 {
			if err := t.Put(&Op{Key: []byte(second), Mode: IDAuto, Value: []byte("undone")}); err != nil {
				return err
			}
		}
		if _, err := t.Delete([]byte(first)); err != nil {
			return err
		}
		return errUndo
	}, []byte(first), []byte(second))
	b.Append([]byte(second), []byte("after"))
	d.must(d.db.Apply(&b))
	if !errors.Is(b.Ops[1].Err, errUndo) {
		d.t.Fatal(b.Ops[1].Err)
	}
	d.must(b.Ops[0].Err)
	d.must(b.Ops[2].Err)
	d.wantAuto(first, b.Ops[0].ID)
	d.m.put(first, b.Ops[0].ID, "before|")
	d.wantAuto(second, b.Ops[2].ID)
	d.m.put(second, b.Ops[2].ID, "after|")
}

func (d *driver) compare() {
	d.t.Helper()
	snap, err := d.db.Snapshot()
	d.must(err)
	defer snap.Release()
	d.m.check(d.t, snap, d.rng)
	if n := d.db.Keys(); n != uint64(len(d.m.keys)) {
		d.t.Fatalf("number of keys: %d, want %d", n, len(d.m.keys))
	}
}

// TestModel runs random histories with clean restarts and kills against the
// model, and checks old snapshots after everything has changed beneath them.
func TestModel(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 3
	}
	for i := range seeds {
		seed := uint64(i) + 1
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, seed)
		})
	}
}

func runModel(t *testing.T, seed uint64) {
	fs := disktest.New()
	d := &driver{t: t, rng: rand.New(rand.NewPCG(seed, 7)), m: newModel()}
	d.now.Store(d.m.clock)
	opt := testOptions(fs)
	opt.Now = func() time.Time { return time.UnixMilli(int64(d.now.Load())) }
	opt.Sync = SyncMode(seed % 3)
	opt.NoMmap = seed%4 == 0
	d.db = open(t, opt)
	defer func() { d.must(d.db.Close()) }()
	var old *Snapshot
	var oldModel *model
	steps := 400
	if testing.Short() {
		steps = 200
	}
	for i := range steps {
		d.step()
		switch {
		case i%20 == 19:
			d.compare()
		case i%45 == 44:
			if old != nil {
				oldModel.check(t, old, d.rng)
				old.Release()
			}
			var err error
			old, err = d.db.Snapshot()
			d.must(err)
			oldModel = d.m.clone()
		case i%90 == 89:
			old.Release()
			old = nil
			if d.rng.IntN(2) == 0 {
				d.must(d.db.Close())
			} else {
				killed := fs.Clone()
				d.db.stop(0)
				fs = killed
				opt.FS = fs
			}
			d.db = open(t, opt)
			d.compare()
		}
	}
	if old != nil {
		oldModel.check(t, old, d.rng)
		old.Release()
	}
}
