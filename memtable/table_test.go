package memtable

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tskv/kv"
)

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text, _ := recover().(string)
		if !strings.HasPrefix(text, "BUG: memtable: ") {
			t.Errorf("%s: panic %q", what, text)
		}
	}()
	fn()
}

func TestOptions(t *testing.T) {
	if err := (&Options{}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (&Options{Bytes: -1}).Validate(); !errors.Is(err, ErrOptions) {
		t.Errorf("error %v", err)
	}
}

func TestBugs(t *testing.T) {
	table := New(Options{}, 100)
	s := table.Series([]byte("k"))
	table.Add(s, 110, &kv.Row{})
	mustPanic(t, "below base", func() { table.Add(s, 99, &kv.Row{}) })
	mustPanic(t, "going back", func() { table.Add(s, 109, &kv.Row{}) })
	mustPanic(t, "tombstone going back", func() { table.AddTombstone(kv.Tombstone{Seq: 109}) })
	mustPanic(t, "too far", func() { table.Add(s, 101+math.MaxUint32, &kv.Row{}) })
	mustPanic(t, "form", func() { table.Add(s, 110, &kv.Row{Form: 77}) })
	mustPanic(t, "tags", func() { table.Add(s, 110, &kv.Row{Tags: make(kv.TagSet, 1<<16)}) })
	mustPanic(t, "empty key", func() { table.Series(nil) })
	mustPanic(t, "long key", func() { table.Series(make([]byte, kv.MaxKey+1)) })
	it := table.Iterator(nil, 200)
	mustPanic(t, "rows", func() {
		if src, err := it.Rows(kv.Everything); err == nil {
			src.Close()
		}
	})
	it.Close()
	table.Unref()
	mustPanic(t, "unref", table.Unref)
	mustPanic(t, "ref", table.Ref)
}

func TestFull(t *testing.T) {
	table := New(Options{Bytes: 50000}, 0)
	s := table.Series([]byte("k"))
	seq := uint64(0)
	for !table.Full() {
		seq++
		table.Add(s, seq, &kv.Row{ID: kv.ID{Time: seq}})
	}
	if table.Bytes() < 50000 || table.Bytes() > 60000 || seq < 50000/recordBytes/2 {
		t.Errorf("full at %d bytes, %d rows", table.Bytes(), seq)
	}
	table.Unref()

	table = New(Options{}, 7)
	if table.FirstSeq() != 7 || table.LastSeq() != 7 {
		t.Errorf("sequences %d, %d", table.FirstSeq(), table.LastSeq())
	}
	if low, high := table.Bounds(); low <= high {
		t.Errorf("bounds of nothing %d, %d", low, high)
	}
	s = table.Series([]byte("k"))
	table.Add(s, 9, &kv.Row{})
	if table.Full() || !table.Fits(7+math.MaxUint32) || table.Fits(8+math.MaxUint32) || table.Fits(6) {
		t.Error("wrong limits")
	}
	table.Add(s, 7+math.MaxUint32, &kv.Row{})
	if !table.Full() || table.FirstSeq() != 9 || table.LastSeq() != 7+math.MaxUint32 {
		t.Errorf("full %v, sequences %d, %d", table.Full(), table.FirstSeq(), table.LastSeq())
	}
	if _, seq, ok := table.Newest(s, kv.MaxID, math.MaxUint64); !ok || seq != 7+math.MaxUint32 {
		t.Errorf("newest %d, %v", seq, ok)
	}
	table.Unref()
}

func TestPayloads(t *testing.T) {
	table := New(Options{}, 1)
	defer table.Unref()
	s := table.Series(bytes.Repeat([]byte("k"), kv.MaxKey))
	var want []kv.Row
	tags := kv.TagSet("\x03abc\x01x")
	for _, size := range []int{0, 1, 31, slabBytes/4 + 1, 0, slabBytes / 4, 700, slabBytes, slabBytes + 1, kv.MaxValue} {
		raw := bytes.Repeat([]byte{byte(size), byte(len(want))}, size/2+1)[:size]
		want = append(want, kv.Row{Form: kv.FormRaw, Raw: raw}, kv.Row{Form: kv.FormRaw, Raw: raw, Tags: tags})
	}
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		want = append(want, kv.Row{Form: kv.MaxScale, Num: n}, kv.Row{Num: n, Tags: tags})
	}
	want = append(want, kv.Row{Form: kv.FormDelete})
	for i := range want {
		want[i].ID = kv.ID{Time: uint64(i / 2), Seq: uint64(i)}
		table.Add(s, uint64(i+1), &want[i])
	}
	compareRows(t, "payloads", drain(t, table.Source(s, kv.Everything, 1000)), want)
	for i := range want {
		row, seq, ok := table.Newest(s, want[i].ID, uint64(i+1))
		if !ok || seq != uint64(i+1) || !sameRow(row, want[i]) || (row.Raw == nil) != (want[i].Raw == nil) {
			t.Errorf("row %d: %v, %v", i, seq, ok)
		}
		if cap(row.Raw) != len(row.Raw) || cap(row.Tags) != len(row.Tags) {
			t.Errorf("row %d: an append would write into the slab", i)
		}
	}
	if used := table.Bytes(); used < 2*kv.MaxValue || used > 2*kv.MaxValue+8*slabBytes {
		t.Errorf("%d bytes counted", used)
	}
}

func TestTombstoneLists(t *testing.T) {
	table := New(Options{}, 1)
	defer table.Unref()
	if table.HasTombstones() || table.Covering([]byte("a"), 10, nil) != nil || table.Tombstones(10) != nil {
		t.Error("tombstones in an empty table")
	}
	key := []byte("ab")
	for seq, d := range []kv.Tombstone{
		1: {Key: key, To: kv.MaxID},
		2: {Key: []byte("abc"), To: kv.MaxID},
		3: {Key: []byte("ab"), Prefix: true, To: kv.MaxID},
		4: {Key: nil, Prefix: true, To: kv.ID{Time: 4}},
		5: {Key: []byte("b"), Prefix: true},
		6: {Key: []byte("ab"), To: kv.ID{Time: 9}},
		7: {Key: []byte("ab"), To: kv.ID{Time: 8}},
	} {
		if seq > 0 {
			d.Seq = uint64(seq)
			table.AddTombstone(d)
		}
	}
	clear(key)
	table.Abort(6, 6)
	for _, c := range []struct {
		key    string
		maxSeq uint64
		want   []uint64
	}{
		{"ab", 10, []uint64{1, 3, 4, 7}},
		{"ab", 3, []uint64{1, 3}},
		{"abc", 10, []uint64{2, 3, 4}},
		{"b", 10, []uint64{4, 5}},
		{"a", 10, []uint64{4}},
		{"ab", 0, nil},
	} {
		var got []uint64
		for _, d := range table.Covering([]byte(c.key), c.maxSeq, nil) {
			got = append(got, d.Seq)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("covering %q at %d: %v, want %v", c.key, c.maxSeq, got, c.want)
		}
	}
	if all := table.Tombstones(7); len(all) != 6 || all[0].Seq != 1 || all[5].Seq != 7 || string(all[0].Key) != "ab" {
		t.Errorf("tombstones %v", all)
	}
	if !table.HasTombstones() || table.LastSeq() != 7 || table.Rows() != 0 {
		t.Error("tombstones are not counted")
	}
}

// TestManyTombstones: a deleted long series must stay cheap to ask, and one
// that is trimmed again and again cheap to read.
func TestManyTombstones(t *testing.T) {
	table := New(Options{}, 1)
	defer table.Unref()
	s := table.Series([]byte("k"))
	seq := uint64(1)
	const n = 20000
	for i := range uint64(n) {
		table.Add(s, seq, &kv.Row{ID: kv.ID{Time: i}, Num: int64(i)})
		seq++
		if i >= 10 {
			table.AddTombstone(kv.Tombstone{Key: []byte("k"), To: kv.ID{Time: i - 10, Seq: math.MaxUint64}, Seq: seq})
			seq++
		}
	}
	rows := drain(t, table.Source(s, kv.Everything, seq))
	if len(rows) != 10 || rows[0].Num != n-10 {
		t.Errorf("%d rows from %v on", len(rows), rows[0])
	}
	lists := table.tombstoneLists([]byte("k"), nil)
	everything := kv.Everything
	if c := newCover(lists, nil, &everything, seq); len(c) > 2 {
		t.Errorf("cover of %d steps", len(c))
	}
	rows = drain(t, table.Source(s, kv.Everything, seq-2))
	if len(rows) != 11 {
		t.Errorf("%d rows at the snapshot before", len(rows))
	}
	table.AddTombstone(kv.Tombstone{Key: []byte("k"), To: kv.MaxID, Seq: seq})
	if _, _, ok := table.Newest(s, kv.MaxID, seq); ok {
		t.Error("a row in a deleted series")
	}
	if key, err := table.Iterator(nil, seq).Next(); key != nil || err != nil {
		t.Errorf("iterator found %q, %v", key, err)
	}
}

func TestRecycling(t *testing.T) {
	pool := NewPool(64 << 20)
	fill := func(letter byte) (*Table, *Series) {
		table := New(Options{Pool: pool}, 1)
		s := table.Series([]byte{letter})
		for i := range uint64(3000) {
			row := kv.Row{ID: kv.ID{Time: i}, Form: kv.FormRaw, Raw: bytes.Repeat([]byte{letter}, 1000)}
			table.Add(s, i+1, &row)
		}
		return table, s
	}
	first, series := fill('a')
	first.Ref()
	first.Unref()
	if pool.IdleBytes() != 0 {
		t.Fatal("slabs recycled while referenced")
	}
	second, _ := fill('b')
	for i, row := range drain(t, first.Source(series, kv.Everything, 5000)) {
		if row.ID.Time != uint64(i) || !bytes.Equal(row.Raw, bytes.Repeat([]byte{'a'}, 1000)) {
			t.Fatalf("row %d changed", i)
		}
	}
	row, _, _ := first.Newest(series, kv.MaxID, 5000)
	raw := row.Raw
	first.Unref()
	idle := pool.IdleBytes()
	if idle < 3<<20 {
		t.Fatalf("%d bytes recycled", idle)
	}
	third, series := fill('c')
	if raw[0] != 'c' {
		t.Error("the slab was not used again")
	}
	if pool.IdleBytes() != 0 {
		t.Errorf("%d bytes idle, want all in use", pool.IdleBytes())
	}
	for i, row := range drain(t, third.Source(series, kv.Everything, 5000)) {
		if row.ID.Time != uint64(i) || !bytes.Equal(row.Raw, bytes.Repeat([]byte{'c'}, 1000)) {
			t.Fatalf("row %d of a table in used slabs", i)
		}
	}
	second.Unref()
	third.Unref()

	small := NewPool(2 << 20)
	table := New(Options{Pool: small}, 1)
	for i := range uint64(100) {
		table.Add(table.Series([]byte("k")), i+1, &kv.Row{Form: kv.FormRaw, Raw: make([]byte, 100000)})
	}
	table.Unref()
	if idle := small.IdleBytes(); idle != 2<<20 {
		t.Errorf("a pool of 2 MiB keeps %d", idle)
	}
}

func TestSourceEnds(t *testing.T) {
	table := New(Options{}, 10)
	defer table.Unref()
	s := table.Series([]byte("k"))
	if key, err := table.Iterator(nil, 100).Next(); key != nil || err != nil {
		t.Errorf("series without rows: %q, %v", key, err)
	}
	if rows := drain(t, table.Source(s, kv.Everything, 100)); rows != nil {
		t.Errorf("rows %v", rows)
	}
	for i := range uint64(3000) {
		table.Add(s, 10+i, &kv.Row{ID: kv.ID{Time: i}})
	}
	wrong := kv.Range{From: kv.MaxID, To: kv.MinID}
	if rows := drain(t, table.Source(s, wrong, 5000)); rows != nil {
		t.Errorf("rows %v", rows)
	}
	if rows := drain(t, table.Source(s, kv.Everything, 9)); rows != nil {
		t.Errorf("rows %v", rows)
	}
	src := table.Source(s, kv.Everything, 5000)
	if b, err := src.Next(); err != nil || b.Len() != batchRows {
		t.Errorf("batch %v, %v", b, err)
	}
	src.Close()
	other := table.Source(s, kv.Everything, 5000) // may have the batch of src
	src.Close()
	if b, err := src.Next(); b != nil || err != nil {
		t.Errorf("batch %v, %v after Close", b, err)
	}
	if rows := drain(t, other); len(rows) != 3000 {
		t.Errorf("%d rows", len(rows))
	}
}

// TestVersionsAcrossBatches: 1,500 versions of one ID between others are one
// row, in both directions and at every snapshot.
func TestVersionsAcrossBatches(t *testing.T) {
	table := New(Options{}, 1)
	defer table.Unref()
	s := table.Series([]byte("k"))
	seq := uint64(0)
	for i := range uint64(1500) {
		id := kv.ID{Time: i}
		if i >= 500 {
			id.Time = 500
		}
		for range 2 {
			seq++
			table.Add(s, seq, &kv.Row{ID: id, Num: int64(seq)})
		}
	}
	seq++
	table.Add(s, seq, &kv.Row{ID: kv.ID{Time: 501}, Num: int64(seq)})
	for _, maxSeq := range []uint64{seq, seq - 1, 2000, 1001} {
		for _, reverse := range []bool{false, true} {
			r := kv.Everything
			r.Reverse = reverse
			rows := drain(t, table.Source(s, r, maxSeq))
			if reverse {
				slices.Reverse(rows)
			}
			want := 501
			if maxSeq == seq {
				want = 502
			}
			if len(rows) != want || rows[500].Num != int64(min(maxSeq, seq-1)) {
				t.Errorf("%d rows at %d, reverse %v", len(rows), maxSeq, reverse)
			}
		}
	}
}

func TestNewestDoesNotAllocate(t *testing.T) {
	table := New(Options{}, 1)
	defer table.Unref()
	s := table.Series([]byte("k"))
	for i := range uint64(1000) {
		table.Add(s, i+1, &kv.Row{ID: kv.ID{Time: i * 7919 % 1009}, Form: kv.FormRaw, Raw: []byte("value"), Tags: kv.TagSet("\x01t")})
	}
	table.AddTombstone(kv.Tombstone{Key: []byte("k"), Prefix: true, From: kv.ID{Time: 900}, To: kv.MaxID, Seq: 2000})
	n := testing.AllocsPerRun(100, func() {
		if s := table.Find([]byte("k")); s != nil {
			if row, _, ok := table.Newest(s, kv.MaxID, 3000); !ok || row.ID.Time != 899 {
				t.Errorf("newest %v", row)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	runtime.KeepAlive(table)
}

// TestRunsStayFew: random late rows must end in O(log n) runs, each at least as
// long as the next, that hold every row.
func TestRunsStayFew(t *testing.T) {
	rng := newRand(t)
	table := New(Options{}, 1)
	defer table.Unref()
	s := table.Series([]byte("k"))
	const n = 20000
	table.Add(s, 1, &kv.Row{ID: kv.MaxID})
	for i := range uint64(n) {
		table.Add(s, i+2, &kv.Row{ID: kv.ID{Time: rng.Uint64N(n)}})
	}
	late := s.late.Load()
	total := len(late.buffer.records)
	for i, r := range late.runs {
		total += len(r.records)
		if i > 0 && len(r.records) >= len(late.runs[i-1].records) {
			t.Errorf("run %d of %d rows after %d", i, len(r.records), len(late.runs[i-1].records))
		}
	}
	if total != n || len(late.runs) > 9 {
		t.Errorf("%d rows in %d runs", total, len(late.runs))
	}
	if first := len(late.runs[0].records); first != 256*lateBuffer {
		t.Errorf("the oldest run has %d rows: merged more often than doubling needs", first)
	}
}
