package sstable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk"
	"tskv/kv"
)

// jittered is a series with a row every 10 s, 0 to 5 ms late.
func jittered(n int, value func(i int, rng *rand.Rand) (int64, uint8)) *kv.Rows {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := new(kv.Rows)
	for i := range n {
		num, scale := value(i, rng)
		rows.Append(kv.Row{
			ID:   kv.ID{Time: 1_700_000_000_000 + uint64(i)*10_000 + rng.Uint64N(6)},
			Form: kv.Form(scale), Num: num,
		})
	}
	return rows
}

// Two series that the encoders are measured with.
func counterRows(n int) *kv.Rows {
	total := int64(0)
	return jittered(n, func(_ int, rng *rand.Rand) (int64, uint8) {
		total += 1000 + rng.Int64N(1000)
		return total, 0
	})
}

func gaugeRows(n int) *kv.Rows {
	v := int64(2150)
	return jittered(n, func(_ int, rng *rand.Rand) (int64, uint8) {
		v += rng.Int64N(41) - 20
		return v, 2
	})
}

// buildRows writes the same rows under several keys.
func buildRows(t testing.TB, d disk.FS, rows *kv.Rows, keys int) Properties {
	t.Helper()
	return buildWith(t, d, WriterOptions{FileID: 1}, rows, keys)
}

func buildWith(t testing.TB, d disk.FS, opt WriterOptions, rows *kv.Rows, keys int) Properties {
	t.Helper()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(d, opt)
	if err != nil {
		t.Fatal(err)
	}
	for k := range keys {
		if err := w.Add(fmt.Appendf(nil, "series:%08d", k), rows); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func osDisk(t testing.TB) disk.FS {
	t.Helper()
	fs, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func perSecond(b *testing.B, n int, what string) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "M"+what+"/s")
}

func BenchmarkColumn(b *testing.B) {
	for _, c := range []struct {
		name string
		rows *kv.Rows
	}{{"counter", counterRows(maxBlockRows)}, {"gauge", gaugeRows(maxBlockRows)}} {
		values := signedAsUnsigned(c.rows.Num)
		var e columnEncoder
		var buf []byte
		b.Run("encode/"+c.name, func(b *testing.B) {
			for b.Loop() {
				buf, _ = e.encode(buf[:0], values)
			}
			perSecond(b, len(values), "values")
		})
		b.Run("decode/"+c.name, func(b *testing.B) {
			buf, encoding := e.encode(nil, values)
			body := append(buf, make([]byte, loadPad)...)
			var col column
			out := make([]uint64, len(values))
			for b.Loop() {
				if err := col.parse(encoding, len(values), len(buf), body); err != nil {
					b.Fatal(err)
				}
				col.decode(out, 0)
			}
			perSecond(b, len(values), "values")
		})
	}
}

func BenchmarkSource(b *testing.B) {
	const n = 100 * maxBlockRows
	fs := osDisk(b)
	p := buildRows(b, fs, gaugeRows(n), 1)
	r := openTable(b, fs, p, ReaderOptions{})
	for _, rg := range []kv.Range{kv.Everything, {To: kv.MaxID, Reverse: true}, {To: kv.MaxID, KeysOnly: true}} {
		b.Run(fmt.Sprintf("reverse=%v,keys=%v", rg.Reverse, rg.KeysOnly), func(b *testing.B) {
			for b.Loop() {
				rows := 0
				s, err := r.Source([]byte("series:00000000"), rg)
				for err == nil {
					var batch *kv.Rows
					if batch, err = s.Next(); batch == nil {
						break
					}
					rows += batch.Len()
				}
				s.Close()
				if err != nil || rows != n {
					b.Fatal(rows, err)
				}
			}
			perSecond(b, n, "rows")
		})
	}
}

func BenchmarkNewest(b *testing.B) {
	const n = 100 * maxBlockRows
	rows := gaugeRows(n)
	for _, c := range []struct {
		name string
		rows *kv.Rows
		keys int
	}{{"long series", rows, 1}, {"one block", sliced(rows, maxBlockRows), 100}, {"packed", sliced(rows, 20), 5000}} {
		fs := osDisk(b)
		p := buildRows(b, fs, c.rows, c.keys)
		r := openTable(b, fs, p, ReaderOptions{})
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			var row kv.Row
			keys := make([][]byte, 64)
			for i := range keys {
				keys[i] = fmt.Appendf(nil, "series:%08d", rng.IntN(c.keys))
			}
			for i := 0; b.Loop(); i++ {
				key := keys[i%len(keys)]
				at := c.rows.ID(rng.IntN(c.rows.Len()))
				if found, _, err := r.Newest(key, at, &row, nil); !found || err != nil || row.ID != at {
					b.Fatal(found, err, row)
				}
			}
		})
	}
}

func sliced(rows *kv.Rows, n int) *kv.Rows {
	s := rows.Slice(0, n)
	return &s
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range []struct{ rows, keys int }{{100 * maxBlockRows, 1}, {maxBlockRows, 100}, {300, 2000}, {20, 20000}} {
		b.Run(fmt.Sprintf("%dx%d", c.keys, c.rows), func(b *testing.B) {
			rows := gaugeRows(c.rows)
			for b.Loop() {
				buildRows(b, newDisk(), rows, c.keys)
			}
			perSecond(b, c.rows*c.keys, "rows")
		})
	}
}

func BenchmarkIterate(b *testing.B) {
	for _, c := range []struct{ rows, keys int }{{maxBlockRows, 100}, {20, 20000}} {
		fs := osDisk(b)
		p := buildRows(b, fs, gaugeRows(c.rows), c.keys)
		r := openTable(b, fs, p, ReaderOptions{})
		b.Run(fmt.Sprintf("%dx%d", c.keys, c.rows), func(b *testing.B) {
			for b.Loop() {
				it := r.StreamIterator()
				n := 0
				for {
					key, err := it.Next()
					if err != nil {
						b.Fatal(err)
					}
					if key == nil {
						break
					}
					rows, err := it.Rows(kv.Everything)
					if err != nil {
						b.Fatal(err)
					}
					for {
						batch, err := rows.Next()
						if err != nil {
							b.Fatal(err)
						}
						if batch == nil {
							break
						}
						n += batch.Len()
					}
					rows.Close()
				}
				it.Close()
				if n != c.rows*c.keys {
					b.Fatal(n)
				}
			}
			perSecond(b, c.rows*c.keys, "rows")
		})
	}
}

func BenchmarkMayContain(b *testing.B) {
	fs := osDisk(b)
	p := buildRows(b, fs, gaugeRows(2), 20_000)
	r := openTable(b, fs, p, ReaderOptions{})
	key := []byte("series:00012345")
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := KeyHash(key)
			_ = h
		}
	})
	b.Run("test", func(b *testing.B) {
		b.ReportAllocs()
		hash := KeyHash(key)
		for b.Loop() {
			if !r.MayContain(&hash) {
				b.Fatal("false negative")
			}
		}
	})
}

// BenchmarkZstdColumns reads files as a compaction writes them, with columns
// under zstd and, for comparison, without.
func BenchmarkZstdColumns(b *testing.B) {
	const n = 20 * maxBlockRows
	key := []byte("series:00000000")
	for _, c := range []struct {
		name string
		rows *kv.Rows
	}{{"slow", slowRows(n)}, {"levels", levelRows(n)}} {
		for _, codec := range []Codec{CodecS2, CodecZstd} {
			fs := osDisk(b)
			p := buildWith(b, fs, WriterOptions{FileID: 1, Codec: codec}, c.rows, 1)
			for _, cache := range []*Cache{nil, NewCache(32 << 20)} {
				r := openTable(b, fs, p, ReaderOptions{Cache: cache})
				name := fmt.Sprintf("%s/codec=%d,cache=%v/", c.name, codec, cache != nil)
				b.Run(name+"newest", func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 2))
					var row kv.Row
					for b.Loop() {
						at := c.rows.ID(rng.IntN(n))
						if found, _, err := r.Newest(key, at, &row, nil); !found || err != nil || row.ID != at {
							b.Fatal(found, err, row)
						}
					}
					b.ReportMetric(float64(p.Size)/n, "B/row")
				})
				if cache != nil {
					continue
				}
				b.Run(name+"scan", func(b *testing.B) {
					for b.Loop() {
						s, err := r.Source(key, kv.Everything)
						for rows := new(kv.Rows); err == nil && rows != nil; {
							rows, err = s.Next()
						}
						if s.Close(); err != nil {
							b.Fatal(err)
						}
					}
					perSecond(b, n, "rows")
				})
			}
		}
	}
}

// slowRows change seldom and by little; levelRows jump between 30 long numbers.
func slowRows(n int) *kv.Rows {
	v := int64(215)
	return jittered(n, func(_ int, rng *rand.Rand) (int64, uint8) {
		if rng.IntN(5) == 0 {
			v += rng.Int64N(3) - 1
		}
		return v, 1
	})
}

func levelRows(n int) *kv.Rows {
	levels := rand.New(rand.NewPCG(3, 4)).Perm(30)
	return jittered(n, func(_ int, rng *rand.Rand) (int64, uint8) {
		return int64(levels[rng.IntN(30)])*123_456_789_012_345 + 7, 16
	})
}
