package sstable

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"tskv/kv"
)

// TestCacheSecondMiss: a payload is wanted at its second miss, unless others came
// between; a look changes nothing.
func TestCacheSecondMiss(t *testing.T) {
	c := NewCache(1 << 20)
	k := cacheKey{1, 64}
	if p, add := c.find(k, true); p != nil || add {
		t.Fatal("a look found or wanted something")
	}
	if _, add := c.find(k, false); add {
		t.Fatal("wanted at the first miss")
	}
	if _, add := c.find(k, false); !add {
		t.Fatal("not wanted at the second miss")
	}
	c.add(k, []byte("payload"))
	if p, _ := c.find(k, false); string(p) != "payload" {
		t.Fatalf("found %q", p)
	}
	other := cacheKey{2, 64}
	if p, _ := c.find(other, false); p != nil {
		t.Fatal("a payload of another reader")
	}
	for i := range 100_000 {
		c.find(cacheKey{3, int64(i) * 8}, false)
	}
	if _, add := c.find(other, false); add {
		t.Fatal("a miss of long ago counts")
	}
	if st := c.Stats(); st.Hits != 1 || st.Misses != 100_005 {
		t.Errorf("%+v", st)
	}
	c.forget(1)
	if p, _ := c.find(k, true); p != nil {
		t.Error("found after its reader has gone")
	}
}

// TestCacheBound adds payloads of all sizes: the cache stays within its bytes, does
// not hold giants, and keeps what is used.
func TestCacheBound(t *testing.T) {
	rng := seeded(t)
	for _, limit := range []int64{64 << 10, 1 << 20, 5 << 20} {
		c := NewCache(limit)
		hot := cacheKey{7, 8}
		c.add(hot, make([]byte, 100))
		for i := range 20_000 {
			c.add(cacheKey{1, int64(i)}, make([]byte, 1+rng.IntN(16<<10)))
			if p, _ := c.find(hot, true); p == nil {
				t.Fatalf("limit %d: what is used all the time was evicted by block %d", limit, i)
			}
			if i%500 == 0 && c.Stats().Bytes > limit {
				t.Fatalf("limit %d: %d bytes", limit, c.Stats().Bytes)
			}
		}
		before := c.Stats().Bytes
		if before < limit/2 {
			t.Errorf("limit %d: only %d bytes in use", limit, before)
		}
		c.add(cacheKey{1, -1}, make([]byte, limit))
		if after := c.Stats().Bytes; after != before {
			t.Errorf("limit %d: a giant was taken", limit)
		}
		c.forget(1)
		c.forget(7)
		if after := c.Stats().Bytes; after > limit/8 {
			t.Errorf("limit %d: %d bytes left of nothing", limit, after)
		}
	}
	if c := NewCache(1000); c != nil {
		t.Error("a cache of 1000 bytes")
	}
}

// TestCacheReaders reads everything, several times and from several goroutines,
// through a cache so small that it evicts all the time.
func TestCacheReaders(t *testing.T) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1, Codec: CodecZstd}, model, 100)
	for _, limit := range []int64{64 << 10, 16 << 20} {
		c := NewCache(limit)
		r := openTable(t, d, p, ReaderOptions{Cache: c})
		rng := seeded(t)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 3 {
					for i := range model {
						s := &model[i]
						got, err := collect(r.Source(s.key, kv.Everything))
						if err == nil {
							err = diffRows(got, s.rows)
						}
						if err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		for i := range model {
			checkSeries(t, r, &model[i], rng)
		}
		if st := c.Stats(); st.Misses == 0 || limit > 1<<20 && st.Hits == 0 || st.Bytes > limit {
			t.Errorf("limit %d: %+v", limit, st)
		}
	}
}

// TestCacheBypass: a stream does not touch the cache, and a long scan stops adding.
func TestCacheBypass(t *testing.T) {
	fs := newDisk()
	p := buildRows(t, fs, eventRows(100_000), 1)
	c := NewCache(64 << 20)
	r := openTable(t, fs, p, ReaderOptions{Cache: c})
	it := r.StreamIterator()
	if key, err := it.Next(); key == nil || err != nil {
		t.Fatal(err)
	}
	if _, err := collect(it.Rows(kv.Everything)); err != nil {
		t.Fatal(err)
	}
	it.Close()
	if st := c.Stats(); st.Misses != 0 {
		t.Errorf("the stream asked the cache: %+v", st)
	}
	for range 3 {
		if _, err := collect(r.Source([]byte("series:00000000"), kv.Everything)); err != nil {
			t.Fatal(err)
		}
	}
	if st := c.Stats(); st.Bytes < scanBypass/8*7 || st.Bytes > scanBypass+1<<20 {
		t.Errorf("scans of %d bytes left %d in the cache, want about %d", 100_000*216, st.Bytes, scanBypass)
	}
}

// eventRows are events of 216 bytes that share much of their text.
func eventRows(n int) *kv.Rows {
	rows := new(kv.Rows)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		raw := fmt.Appendf(nil, `{"level":"info","host":"web-%02d","path":"/api/v1/items/%d","status":200,"took_ms":%d.%03d,"user":"%08x",`,
			rng.IntN(20), rng.IntN(1000), rng.IntN(500), rng.IntN(1000), rng.Uint32())
		for len(raw) < 214 {
			raw = append(raw, "message served "[len(raw)%15])
		}
		rows.Append(kv.Row{ID: kv.ID{Time: 1_700_000_000_000 + uint64(i)*100}, Form: kv.FormRaw, Raw: append(raw, `"}`...)})
	}
	return rows
}

// BenchmarkNewestRaw is a GET of an event at a time, without and with a cache that
// holds all blocks.
func BenchmarkNewestRaw(b *testing.B) {
	const n = 100_000
	rows := eventRows(n)
	for _, codec := range []Codec{CodecS2, CodecZstd} {
		for _, limit := range []int64{0, 64 << 20} {
			b.Run(fmt.Sprintf("codec=%d/cache=%dMiB", codec, limit>>20), func(b *testing.B) {
				fs := newDisk()
				p := build(b, fs, WriterOptions{FileID: 1, Codec: codec}, []series{{key: []byte("k"), rows: allRows(rows)}}, n)
				r := openTable(b, fs, p, ReaderOptions{Cache: NewCache(limit)})
				rng := rand.New(rand.NewPCG(1, 1))
				var row kv.Row
				buf := make([]byte, 0, 1024)
				get := func() {
					at := kv.ID{Time: 1_700_000_000_000 + rng.Uint64N(n*100)}
					if ok, _, err := r.Newest([]byte("k"), at, &row, buf); err != nil || !ok {
						b.Fatal(ok, err)
					}
				}
				for range 20_000 {
					get()
				}
				for b.Loop() {
					get()
				}
			})
		}
	}
}

func allRows(rows *kv.Rows) []kv.Row {
	out := make([]kv.Row, rows.Len())
	for i := range out {
		out[i] = rows.Row(i)
	}
	return out
}
