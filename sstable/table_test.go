package sstable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/kv"
)

// TestRoundTrip writes random tables and compares every way to read them with
// the model.
func TestRoundTrip(t *testing.T) {
	for _, codec := range []Codec{CodecS2, CodecZstd, CodecNone} {
		for _, noMmap := range []bool{false, true} {
			t.Run(fmt.Sprintf("codec=%d,nommap=%v", codec, noMmap), func(t *testing.T) {
				rng := seeded(t)
				model := randomModel(rng, []int{2, 255, 256, 300, 1025}, 40)
				d := newDisk()
				p := build(t, d, WriterOptions{FileID: 7, MinSeq: 1, MaxSeq: 9, Codec: codec}, model, 1+rng.IntN(700))
				r := openTable(t, d, p, ReaderOptions{NoMmap: noMmap})
				if err := r.Verify(); err != nil {
					t.Fatal(err)
				}
				for i := range model {
					checkSeries(t, r, &model[i], rng)
				}
				checkIterators(t, r, model)
			})
		}
	}
}

// TestLongSeries has block lists with and without a root.
func TestLongSeries(t *testing.T) {
	rng := seeded(t)
	var model []series
	for _, s := range shapes() {
		switch s.name {
		case "gauge":
			model = append(model, series{key: []byte("gauge:root"), rows: s.rows(rng, 70*maxBlockRows)},
				series{key: []byte("gauge:two"), rows: s.rows(rng, maxBlockRows+1)}, series{key: []byte("gauge:x63"), rows: s.rows(rng, 63*maxBlockRows)})
		case "mixed":
			model = append(model, series{key: []byte("mixed"), rows: s.rows(rng, 20000)})
		}
	}
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1}, model, 5000)
	r := openTable(t, d, p, ReaderOptions{})
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	for i := range model {
		checkSeries(t, r, &model[i], rng)
	}
	checkIterators(t, r, model)
	stats, ok, err := r.SeriesStats([]byte("gauge:root"))
	if err != nil || !ok || stats.Blocks != 70 || stats.Rows != 70*maxBlockRows {
		t.Fatalf("stats %+v, %v, %v", stats, ok, err)
	}
}

// TestGiants stores values beyond the payload limit, and keys of full length.
func TestGiants(t *testing.T) {
	rng := seeded(t)
	var model []series
	for k := range 4 {
		s := series{key: append(bytes.Repeat([]byte{'k'}, kv.MaxKey-1), byte(k))}
		for i := range 6 {
			row := kv.Row{ID: kv.ID{Time: uint64(i)}, Form: kv.FormRaw, Raw: randomBytes(rng, []int{0, 1, 32 << 10, 33 << 10, 3 << 20, 5}[i])}
			s.rows = append(s.rows, row)
		}
		model = append(model, s)
	}
	for _, codec := range []Codec{CodecS2, CodecZstd, CodecNone} {
		d := newDisk()
		p := build(t, d, WriterOptions{FileID: uint64(codec), Codec: codec}, model, 4)
		r := openTable(t, d, p, ReaderOptions{})
		if err := r.Verify(); err != nil {
			t.Fatal(err)
		}
		for i := range model {
			checkSeries(t, r, &model[i], rng)
		}
		checkIterators(t, r, model)
	}
}

// TestManyTagSets overflows the file's dictionary into those of the blocks.
func TestManyTagSets(t *testing.T) {
	rng := seeded(t)
	var s series
	s.key = []byte("k")
	for i := range 70_000 {
		set, err := kv.MakeTagSet([][]byte{fmt.Appendf(nil, "tag-%d", i), []byte("all")})
		if err != nil {
			t.Fatal(err)
		}
		s.rows = append(s.rows, kv.Row{ID: kv.ID{Seq: uint64(i)}, Num: int64(i), Tags: set})
	}
	model := []series{s, {key: []byte("short"), rows: s.rows[69_000:69_100]}, {key: []byte("shorter"), rows: s.rows[69_050:69_200]}}
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1}, model, 1000)
	r := openTable(t, d, p, ReaderOptions{})
	if r.Properties().TagSets >= 70_000 {
		t.Fatal("the dictionary has no bound")
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	for i := range model {
		checkSeries(t, r, &model[i], rng)
	}
	checkIterators(t, r, model)
}

func TestEmptyTable(t *testing.T) {
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 3}, nil, 1)
	r := openTable(t, d, p, ReaderOptions{})
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	checkIterators(t, r, nil)
	if _, ok, err := r.SeriesStats([]byte("k")); ok || err != nil {
		t.Fatal(ok, err)
	}
}

// checkSeries compares Source, Newest, Count and SeriesStats with the model.
func checkSeries(t *testing.T, r *Reader, s *series, rng *rand.Rand) {
	t.Helper()
	hash := KeyHash(s.key)
	if !r.MayContain(&hash) {
		t.Fatalf("%q: filter says no", short(s.key))
	}
	ranges := []kv.Range{kv.Everything, {To: kv.MaxID, Reverse: true}}
	for range max(2, min(12, 200_000/len(s.rows))) {
		ranges = append(ranges, s.randomRange(rng))
	}
	for k, rg := range ranges {
		if k == 3 {
			r.ForgetResidency()
		}
		want := s.expect(rg)
		got, err := collect(r.Source(s.key, rg))
		if err == nil {
			err = diffRows(got, want)
		}
		if err != nil {
			t.Fatalf("%q, range %+v: %v", short(s.key), rg, err)
		}
		checkCount(t, r, s, rg, want)
		checkNewest(t, r, s, rg.To)
	}
	stats, ok, err := r.SeriesStats(s.key)
	if err != nil || !ok || stats.Rows != uint64(len(s.rows)) || stats.MinID != s.rows[0].ID || stats.MaxID != s.rows[len(s.rows)-1].ID {
		t.Fatalf("%q: stats %+v, %v, %v", short(s.key), stats, ok, err)
	}
	missing := append(bytes.Clone(s.key), 0)
	if src, err := r.Source(missing[:min(len(missing), kv.MaxKey)], kv.Everything); len(missing) <= kv.MaxKey && (src != nil || err != nil) {
		t.Fatalf("%q: a source where there is no series, %v", short(missing), err)
	}
}

func checkCount(t *testing.T, r *Reader, s *series, rg kv.Range, want []kv.Row) {
	t.Helper()
	deletes := 0
	for i := range want {
		if want[i].Form == kv.FormDelete {
			deletes++
		}
	}
	rows, del, err := r.Count(s.key, rg.From, rg.To)
	if err != nil || rows != uint64(len(want)) || del != uint64(deletes) {
		t.Fatalf("%q, range %+v: count %d, %d, %v, want %d, %d", short(s.key), rg, rows, del, err, len(want), deletes)
	}
}

func checkNewest(t *testing.T, r *Reader, s *series, at kv.ID) {
	t.Helper()
	want := s.expect(kv.Range{To: at})
	var row kv.Row
	found, buf, err := r.Newest(s.key, at, &row, []byte("prefix"))
	if err != nil || found != (len(want) > 0) {
		t.Fatalf("%q, newest at %v: %v, %v, want %v", short(s.key), at, found, err, len(want) > 0)
	}
	if found && (!sameRow(&row, &want[len(want)-1]) || !bytes.HasPrefix(buf, []byte("prefix"))) {
		t.Fatalf("%q, newest at %v: %+v, want %+v", short(s.key), at, row, want[len(want)-1])
	}
}

func checkIterators(t *testing.T, r *Reader, model []series) {
	t.Helper()
	checkIterator(t, r.Iterator(nil), model)
	checkIterator(t, r.StreamIterator(), model)
	for i := 0; i < len(model); i += max(1, len(model)/7) {
		checkIterator(t, r.Iterator(model[i].key), model[i:])
		checkIterator(t, r.Iterator(append(bytes.Clone(model[i].key), 0)), model[i+1:])
	}
}

func checkIterator(t *testing.T, it kv.SeriesIterator, model []series) {
	t.Helper()
	defer it.Close()
	for i := range model {
		s := &model[i]
		key, err := it.Next()
		if err != nil || !bytes.Equal(key, s.key) {
			t.Fatalf("iterator: key %q, %v, want %q", short(key), err, short(s.key))
		}
		rg := kv.Everything
		switch i % 8 {
		case 1:
			rg.Reverse = true
		case 2:
			rg.KeysOnly = true
		case 3:
			rg.From, rg.To = s.rows[len(s.rows)/3].ID, s.rows[len(s.rows)*2/3].ID
		case 4:
			continue
		}
		got, err := collect(it.Rows(rg))
		if err == nil {
			err = diffRows(got, s.expect(rg))
		}
		if err != nil {
			t.Fatalf("iterator: %q, range %+v: %v", short(key), rg, err)
		}
	}
	if key, err := it.Next(); key != nil || err != nil {
		t.Fatalf("iterator: key %q, %v behind the last one", short(key), err)
	}
}
