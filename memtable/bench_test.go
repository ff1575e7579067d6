package memtable

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"tskv/kv"
)

func benchKeys(n int) [][]byte {
	// In memory they lie in the order of use, as in the buffer of a connection.
	keys := make([][]byte, n)
	for i, number := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		keys[i] = fmt.Appendf([]byte{2}, "sensor:%07d:celsius", number)
	}
	return keys
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkInsert adds a million rows round robin to series, found by key, and
// reports rows/s (but for the first round in used slabs, as in a running store), heap bytes and counted bytes per row, and the pause that one
// collection needs with the table alive.
func BenchmarkInsert(b *testing.B) {
	const rows = 1_000_000
	for _, series := range []int{1000, 100000, 1000000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			keys := benchKeys(series)
			pool := NewPool(1 << 30)
			var heap, counted int64
			var collect time.Duration
			for range b.N {
				b.StopTimer()
				before := heapBytes() - pool.IdleBytes()
				b.StartTimer()
				t := New(Options{Pool: pool}, 1)
				row := kv.Row{Form: 2}
				for i, k := 0, 0; i < rows; i++ {
					row.ID.Time = uint64(1_700_000_000_000 + i/series*10_000)
					row.Num = int64(i)
					t.Add(t.Series(keys[k]), uint64(i+1), &row)
					if k++; k == series {
						k = 0
					}
				}
				b.StopTimer()
				heap += heapBytes() - pool.IdleBytes() - before
				start := time.Now()
				runtime.GC()
				collect += time.Since(start)
				counted += t.Bytes()
				t.Unref()
				b.StartTimer()
			}
			n := float64(b.N)
			b.ReportMetric(rows*n/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(float64(heap)/n/rows, "B/row")
			b.ReportMetric(float64(counted)/n/rows, "counted-B/row")
			b.ReportMetric(collect.Seconds()*1e3/n, "gc-ms")
		})
	}
}

// BenchmarkAdd is the same without the look-up and with recycled slabs.
func BenchmarkAdd(b *testing.B) {
	pool := NewPool(256 << 20)
	for _, late := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("late=%d%%", late), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			t := New(Options{Pool: pool}, 1)
			s := t.Series([]byte("k"))
			for i := range uint64(b.N) {
				if t.Full() {
					t.Unref()
					t = New(Options{Pool: pool}, i)
					s = t.Series([]byte("k"))
				}
				row := kv.Row{ID: kv.ID{Time: 1<<30 + i}, Form: 2, Num: int64(i)}
				if late > 0 && int(i%100) < late {
					row.ID.Time = rng.Uint64N(1 << 30)
				}
				t.Add(s, i+1, &row)
			}
			t.Unref()
		})
	}
}

func benchTable(b *testing.B, rows uint64, late int) (*Table, *Series) {
	b.Helper()
	t := New(Options{}, 1)
	s := t.Series([]byte("k"))
	for i := range rows {
		row := kv.Row{ID: kv.ID{Time: i}, Form: 2, Num: int64(i)}
		if late > 0 && i%uint64(late) == 0 {
			row.ID.Time = i / 2
		}
		t.Add(s, i+1, &row)
	}
	return t, s
}

func BenchmarkNewest(b *testing.B) {
	for _, late := range []int{0, 10} {
		t, s := benchTable(b, 1<<20, late)
		rng := rand.New(rand.NewPCG(1, 2))
		b.Run(fmt.Sprintf("last/late=%v", late > 0), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, _, ok := t.Newest(s, kv.MaxID, 1<<40); !ok {
					b.Fatal("no row")
				}
			}
		})
		b.Run(fmt.Sprintf("past/late=%v", late > 0), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, _, ok := t.Newest(s, kv.ID{Time: rng.Uint64N(1 << 20), Seq: 1}, 1<<40); !ok {
					b.Fatal("no row")
				}
			}
		})
		t.Unref()
	}
}

func BenchmarkFind(b *testing.B) {
	for _, series := range []int{1000, 1000000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			keys := benchKeys(series)
			t := New(Options{}, 1)
			for i, key := range keys {
				t.Add(t.Series(key), uint64(i+1), &kv.Row{})
			}
			b.ResetTimer()
			for i := range b.N {
				if t.Find(keys[i%series]) == nil {
					b.Fatal("no series")
				}
			}
			b.StopTimer()
			t.Unref()
		})
	}
}

func BenchmarkSource(b *testing.B) {
	const rows = 1 << 20
	for _, late := range []int{0, 100, 10} {
		for _, reverse := range []bool{false, true} {
			b.Run(fmt.Sprintf("late=1of%d/reverse=%v", late, reverse), func(b *testing.B) {
				t, s := benchTable(b, rows, late)
				r := kv.Everything
				r.Reverse = reverse
				b.ReportAllocs()
				b.ResetTimer()
				n := 0
				for range b.N {
					src := t.Source(s, r, 1<<40)
					for {
						batch, err := src.Next()
						if err != nil {
							b.Fatal(err)
						}
						if batch == nil {
							break
						}
						n += batch.Len()
					}
					src.Close()
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
				b.StopTimer()
				t.Unref()
			})
		}
	}
}

// BenchmarkFlush iterates over a whole table as a flush does.
func BenchmarkFlush(b *testing.B) {
	for _, series := range []int{1000, 100000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			keys := benchKeys(series)
			t := New(Options{}, 1)
			for i := range 1 << 20 {
				t.Add(t.Series(keys[i%series]), uint64(i+1), &kv.Row{ID: kv.ID{Time: uint64(i)}})
			}
			b.ResetTimer()
			n := 0
			for range b.N {
				n += flushAll(b, t)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.StopTimer()
			t.Unref()
		})
	}
}

func flushAll(b *testing.B, t *Table) (n int) {
	it := t.Iterator(nil, 1<<40)
	defer it.Close()
	for {
		key, err := it.Next()
		if err != nil {
			b.Fatal(err)
		}
		if key == nil {
			return n
		}
		src, err := it.Rows(kv.Everything)
		if err != nil {
			b.Fatal(err)
		}
		for {
			batch, err := src.Next()
			if err != nil {
				b.Fatal(err)
			}
			if batch == nil {
				break
			}
			n += batch.Len()
		}
		src.Close()
	}
}
