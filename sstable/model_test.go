package sstable

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// series is what the tests expect of a key.
type series struct {
	key  []byte
	rows []kv.Row
}

// seeded returns a random source and prints its seed if the test fails.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// shape makes rows of one kind.
type shape struct {
	name string
	id   func(i int, last kv.ID) kv.ID
	row  func(rng *rand.Rand, i int, row *kv.Row)
}

func regular(i int, last kv.ID) kv.ID { return kv.ID{Time: 1_700_000_000_000 + uint64(i)*10_000} }

func decimal(num int64, scale uint8) func(*rand.Rand, int, *kv.Row) {
	return func(rng *rand.Rand, i int, row *kv.Row) {
		row.Form, row.Num = kv.Form(scale), num+int64(rng.IntN(200))-100
	}
}

var tagNames = []string{"a", "b", "error", "warn", "host=1", "host=2"}

func randomTags(rng *rand.Rand) kv.TagSet {
	var tags [][]byte
	for range rng.IntN(4) {
		tags = append(tags, []byte(tagNames[rng.IntN(len(tagNames))]))
	}
	set, err := kv.MakeTagSet(tags)
	if err != nil {
		panic(err)
	}
	return set
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh {}\x00\xff"[rng.IntN(13)]
	}
	return b
}

func anyRow(rng *rand.Rand, _ int, row *kv.Row) {
	row.Num = 0
	switch rng.IntN(10) {
	case 0:
		row.Form = kv.FormDelete
	case 1, 2, 3:
		row.Form, row.Raw = kv.FormRaw, randomBytes(rng, rng.IntN(300))
	default:
		row.Form, row.Num = kv.Form(rng.IntN(kv.MaxScale+1)), rng.Int64N(2*maxMantissa-1)-maxMantissa+1
	}
	if rng.IntN(3) == 0 {
		row.Tags = randomTags(rng)
	}
}

// shapes of series that reach every kind of block.
func shapes() []shape {
	return []shape{
		{"gauge", regular, decimal(2150, 2)},
		{"constant", regular, func(_ *rand.Rand, _ int, row *kv.Row) { row.Form, row.Num = 1, 215 }},
		{"counter", func(i int, last kv.ID) kv.ID { return kv.ID{Time: last.Time + 1000, Seq: 0} }, func(rng *rand.Rand, i int, row *kv.Row) {
			row.Num = int64(i)*1000 + rng.Int64N(50)
		}},
		{"trimmed", regular, func(rng *rand.Rand, _ int, row *kv.Row) {
			m := rng.Int64N(2000) - 1000
			s := trim(m, 3)
			row.Form, row.Num = kv.Form(s), m/powers[3-s]
		}},
		{"explicit", regular, func(rng *rand.Rand, _ int, row *kv.Row) {
			row.Form, row.Num = kv.Form(rng.IntN(4)), rng.Int64N(100000)-50000
		}},
		{"unaligned", regular, func(rng *rand.Rand, i int, row *kv.Row) {
			row.Form, row.Num = kv.Form(i%2*18), rng.Int64N(maxMantissa)
		}},
		{"exceptions", regular, func(rng *rand.Rand, i int, row *kv.Row) {
			decimal(100, 1)(rng, i, row)
			if rng.IntN(50) == 0 {
				anyRow(rng, i, row)
			}
		}},
		{"json", func(i int, last kv.ID) kv.ID { return kv.ID{Time: 1e12 + uint64(i/5), Seq: uint64(i % 5)} }, func(rng *rand.Rand, i int, row *kv.Row) {
			row.Form = kv.FormRaw
			row.Raw = fmt.Appendf(nil, `{"id":%d,"level":"info","message":"hello %d"}`, i, rng.IntN(10))
			row.Tags = randomTags(rng)
		}},
		{"mixed", func(i int, last kv.ID) kv.ID { return kv.ID{Time: last.Time, Seq: last.Seq + 3} }, anyRow},
		{"slow", regular, func(_ *rand.Rand, i int, row *kv.Row) { row.Form, row.Num = 1, 215+int64(i%11/10) }},
		{"levels", func(i int, last kv.ID) kv.ID { return kv.ID{Time: last.Time + uint64(1+i%3*1_000_000)} }, func(rng *rand.Rand, i int, row *kv.Row) {
			row.Form, row.Num = 16, 1e15+int64(rng.IntN(5))*123_456_789_012_345
		}},
		{"deletes", regular, func(_ *rand.Rand, _ int, row *kv.Row) { row.Form = kv.FormDelete }},
		{"extreme", func(i int, _ kv.ID) kv.ID {
			if i%2 == 0 {
				return kv.ID{Time: uint64(i), Seq: math.MaxUint64}
			}
			return kv.ID{Time: uint64(i), Seq: math.MaxUint64}
		}, func(rng *rand.Rand, i int, row *kv.Row) {
			row.Num = []int64{maxMantissa - 1, -maxMantissa + 1, 0}[rng.IntN(3)]
		}},
	}
}

func (s *shape) rows(rng *rand.Rand, n int) []kv.Row {
	rows := make([]kv.Row, n)
	var last kv.ID
	for i := range rows {
		rows[i].ID = s.id(i, last)
		last = rows[i].ID
		s.row(rng, i, &rows[i])
	}
	return rows
}

// ends replaces the ends of a series by the ends of the ID space.
func ends(rows []kv.Row) []kv.Row {
	rows[0].ID = kv.MinID
	rows[len(rows)-1].ID = kv.MaxID
	return rows
}

// randomModel makes a table's worth of series with every shape and size.
func randomModel(rng *rand.Rand, lengths []int, short int) []series {
	var model []series
	for _, s := range shapes() {
		for k, n := range lengths {
			rows := s.rows(rng, n)
			if k%2 == 0 && n > 1 {
				rows = ends(rows)
			}
			model = append(model, series{key: fmt.Appendf(nil, "%s:%d", s.name, k), rows: rows})
		}
		for k := range short {
			model = append(model, series{key: fmt.Appendf(nil, "%s:short:%05d", s.name, k), rows: s.rows(rng, 1+rng.IntN(30))})
		}
	}
	return sortModel(model)
}

func sortModel(model []series) []series {
	slices.SortFunc(model, func(a, b series) int { return bytes.Compare(a.key, b.key) })
	return model
}

// build writes a model to a table on d; rows go in batches of up to batch rows.
func build(t testing.TB, d disk.FS, opt WriterOptions, model []series, batch int) Properties {
	t.Helper()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	p, err := tryBuild(d, opt, model, batch)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryBuild(d disk.FS, opt WriterOptions, model []series, batch int) (Properties, error) {
	w, err := NewWriter(d, opt)
	if err != nil {
		return Properties{}, err
	}
	defer w.Abort()
	var rows kv.Rows
	for _, s := range model {
		for i := 0; i < len(s.rows); i += batch {
			rows.Reset()
			for _, r := range s.rows[i:min(len(s.rows), i+batch)] {
				rows.Append(r)
			}
			if err := w.Add(s.key, &rows); err != nil {
				return Properties{}, err
			}
		}
	}
	return w.Finish()
}

func openTable(t testing.TB, d disk.FS, p Properties, opt ReaderOptions) *Reader {
	t.Helper()
	r, err := Open(d, p.Expect(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// collect reads a source to its end as rows that own their memory.
func collect(s kv.Source, err error) ([]kv.Row, error) {
	if err != nil || s == nil {
		return nil, err
	}
	defer s.Close()
	var rows []kv.Row
	for {
		batch, err := s.Next()
		if err != nil || batch == nil {
			return rows, err
		}
		if batch.Len() == 0 {
			return rows, fmt.Errorf("empty batch")
		}
		for i := range batch.Len() {
			row := batch.Row(i)
			row.Raw = bytes.Clone(row.Raw)
			rows = append(rows, row)
		}
	}
}

func sameRow(a, b *kv.Row) bool {
	return a.ID == b.ID && a.Form == b.Form && a.Num == b.Num && bytes.Equal(a.Raw, b.Raw) && bytes.Equal(a.Tags, b.Tags)
}

func diffRows(got, want []kv.Row) error {
	for i := range min(len(got), len(want)) {
		if !sameRow(&got[i], &want[i]) {
			return fmt.Errorf("row %d of %d: got %+v, want %+v", i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("got %d rows, want %d", len(got), len(want))
	}
	return nil
}

// expect returns the model's answer to a range.
func (s *series) expect(rg kv.Range) []kv.Row {
	var rows []kv.Row
	for _, r := range s.rows {
		if rg.Contains(r.ID) {
			if rg.KeysOnly {
				r = kv.Row{ID: r.ID, Form: r.Form}
			}
			rows = append(rows, r)
		}
	}
	if rg.Reverse {
		slices.Reverse(rows)
	}
	return rows
}

// randomRange picks bounds near rows of the series.
func (s *series) randomRange(rng *rand.Rand) kv.Range {
	pick := func() kv.ID {
		id := s.rows[rng.IntN(len(s.rows))].ID
		switch rng.IntN(4) {
		case 0:
			id, _ = id.Next()
		case 1:
			id, _ = id.Prev()
		}
		return id
	}
	rg := kv.Range{From: pick(), To: pick(), Reverse: rng.IntN(2) == 0, KeysOnly: rng.IntN(4) == 0}
	if rg.To.Less(rg.From) {
		rg.From, rg.To = rg.To, rg.From
	}
	return rg
}

func newDisk() *disktest.Disk { return disktest.New() }
