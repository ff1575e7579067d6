package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkParseDecimal(b *testing.B) {
	for _, text := range []string{"7", "21.50", "-1234.567", "1700000000123", "123456789.012345678"} {
		b.Run(text, func(b *testing.B) {
			in := []byte(text)
			for b.Loop() {
				if _, _, ok := ParseDecimal(in); !ok {
					b.Fatal(text)
				}
			}
		})
	}
}

func BenchmarkAppendDecimal(b *testing.B) {
	for _, text := range []string{"7", "21.50", "-1234.567", "1700000000123", "123456789.012345678"} {
		b.Run(text, func(b *testing.B) {
			mantissa, scale, ok := ParseDecimal([]byte(text))
			if !ok {
				b.Fatal(text)
			}
			buf := make([]byte, 0, 64)
			for b.Loop() {
				buf = AppendDecimal(buf[:0], mantissa, scale)
			}
		})
	}
}

// benchmarkGroup is the size of the batches of the codec benchmarks.
const benchmarkGroup = 1024

func BenchmarkEncoderPut(b *testing.B) {
	for _, form := range []string{"decimal", "raw"} {
		b.Run(form, func(b *testing.B) {
			keys, rows := benchmarkRows(form == "raw")
			refs := make([]KeyRef, len(keys))
			var e Encoder
			e.StartSegment()
			buf := make([]byte, 0, 1<<20)
			i, bytes := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if i%benchmarkGroup == 0 {
					bytes += len(e.Bytes())
					e.Begin(buf[:0])
				}
				k := i % len(keys)
				e.Put(&refs[k], keys[k], &rows[i%len(rows)])
				i++
			}
			b.ReportMetric(float64(bytes+len(e.Bytes()))/float64(i), "B/row")
		})
	}
}

func benchmarkRows(raw bool) ([][]byte, []Row) {
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "host-%04d.cpu.user", i)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]Row, 4096)
	for i := range rows {
		rows[i].ID.Time = 1_700_000_000_000 + uint64(i)*10 + rng.Uint64N(5)
		if raw {
			rows[i].Form, rows[i].Raw = FormRaw, make([]byte, 40)
			continue
		}
		rows[i].Form, rows[i].Num = 2, 2000+rng.Int64N(500)
	}
	return keys, rows
}

func BenchmarkDecode(b *testing.B) {
	keys, rows := benchmarkRows(false)
	refs := make([]KeyRef, len(keys))
	var e Encoder
	e.StartSegment()
	e.Begin(nil)
	for i := range 64 * benchmarkGroup {
		e.Put(&refs[i%len(keys)], keys[i%len(keys)], &rows[i%len(rows)])
	}
	var d Decoder
	var sum int64
	b.ReportAllocs()
	for b.Loop() {
		d.StartSegment()
		err := d.Decode(e.Bytes(), e.Ops(), func(op *Op) error {
			sum += op.Row.Num
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, int(e.Ops()))
}

func reportRows(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func BenchmarkMerge(b *testing.B) {
	const total = 1 << 18
	for _, shape := range []struct {
		name         string
		sources, run int
		keysOnly     bool
		raw          bool
	}{
		{name: "apart", sources: 2, run: total / 2},
		{name: "blocks", sources: 2, run: 8192},
		{name: "runs64", sources: 2, run: 64},
		{name: "random2", sources: 2},
		{name: "random2keys", sources: 2, keysOnly: true},
		{name: "random2raw", sources: 2, raw: true},
		{name: "random4", sources: 4},
		{name: "random8", sources: 8},
	} {
		b.Run(shape.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			columns := make([]Rows, shape.sources)
			for i := range total {
				s := rng.IntN(shape.sources)
				if shape.run > 0 {
					s = i / shape.run % shape.sources
				}
				row := Row{ID: ID{Time: uint64(i)}, Num: int64(i)}
				if shape.raw {
					row.Form, row.Num, row.Raw = FormRaw, 0, []byte("abc")
				}
				columns[s].Append(row)
			}
			if shape.keysOnly {
				for i := range columns {
					columns[i].Num = nil
				}
			}
			for b.Loop() {
				sources := make([]Source, shape.sources)
				for i := range sources {
					sources[i] = &sliceSource{rows: columns[i], size: 8192}
				}
				if n := drain(b, Merge(sources, false)); n != total {
					b.Fatal(n)
				}
			}
			reportRows(b, total)
		})
	}
}

func drain(tb testing.TB, s Source) int {
	n := 0
	for {
		rows, err := s.Next()
		if err != nil {
			tb.Fatal(err)
		}
		if rows == nil {
			s.Close()
			return n
		}
		n += rows.Len()
	}
}

func BenchmarkFilters(b *testing.B) {
	const total = 1 << 18
	var all Rows
	for i := range total {
		all.Append(Row{ID: ID{Time: uint64(i)}, Num: int64(i)})
	}
	b.Run("DropDeletes", func(b *testing.B) {
		for b.Loop() {
			drain(b, DropDeletes(&sliceSource{rows: all, size: 8192}))
		}
		reportRows(b, total)
	})
	b.Run("Hide", func(b *testing.B) {
		ranges := []IDRange{{ID{Time: 1000}, ID{Time: 2000}}, {ID{Time: 100_000}, ID{Time: 200_000}}}
		for b.Loop() {
			drain(b, Hide(&sliceSource{rows: all, size: 8192}, ranges))
		}
		reportRows(b, total)
	})
}

func BenchmarkTombstonesHidden(b *testing.B) {
	var list []Tombstone
	for i := range 1000 {
		list = append(list, Tombstone{Key: fmt.Appendf(nil, "\x02key-%d", i), Prefix: i%2 == 0, To: MaxID, Seq: uint64(i)})
	}
	t := NewTombstones(list)
	key := []byte("\x02key-8845")
	var buf []IDRange
	b.ReportAllocs()
	for b.Loop() {
		buf = t.Hidden(key, 10, buf[:0])
	}
	if len(buf) != 2 {
		b.Fatal(buf)
	}
}
