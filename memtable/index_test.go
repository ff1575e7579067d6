package memtable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tskv/kv"
)

// hostileKey makes keys with much in common, zero bytes, 0xFF and prefixes of
// each other, in two namespaces.
func hostileKey(rng *rand.Rand) []byte {
	key := []byte{byte(1 + rng.IntN(2))}
	switch rng.IntN(4) {
	case 0:
		key = append(key, "sensor:building-7:"...)
	case 1:
		key = append(key, bytes.Repeat([]byte{0xFF}, rng.IntN(12))...)
	case 2:
		key = append(key, bytes.Repeat([]byte{0}, rng.IntN(12))...)
	}
	for range rng.IntN(12) {
		key = append(key, []byte{0, 1, 'a', 'b', 0x7F, 0x80, 0xFE, 0xFF}[rng.IntN(8)])
	}
	return key
}

func sortedKeys(rng *rand.Rand, n int) [][]byte {
	set := map[string]bool{}
	for len(set) < n {
		set[string(hostileKey(rng))] = true
	}
	keys := make([][]byte, 0, n)
	for key := range set {
		keys = append(keys, []byte(key))
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

// TestScore checks the contract of the skip list: a higher key has no lower
// score, no score is NaN, and score with Compare orders like bytes.Compare.
func TestScore(t *testing.T) {
	rng := newRand(t)
	for range 200 {
		keys := sortedKeys(rng, 2+rng.IntN(200))
		from := rng.IntN(len(keys))
		to := from + rng.IntN(len(keys)-from) + 1
		for _, s := range []scorer{{}, learnScore(keys), learnScore(keys[from:to]), learnScore(keys[from : from+1])} {
			for i := 1; i < len(keys); i++ {
				a, b := s.score(keys[i-1]), s.score(keys[i])
				if math.IsNaN(a) || math.IsNaN(b) || a > b {
					t.Fatalf("prefixes %q: %q scores %v, %q scores %v", s.prefixes, keys[i-1], a, keys[i], b)
				}
				if s.Compare(&bucket{low: keys[i-1]}, &bucket{low: keys[i]}) != -1 {
					t.Fatalf("compare %q, %q", keys[i-1], keys[i])
				}
			}
		}
	}
}

// TestScoreTellsNamespacesApart checks that keys of two namespaces with a long
// common part still get distinct scores.
func TestScoreTellsNamespacesApart(t *testing.T) {
	var keys [][]byte
	for _, space := range []byte{1, 2} {
		for i := range 1000 {
			keys = append(keys, fmt.Appendf([]byte{space}, "sensor:temperature:%06d", i*7))
		}
	}
	s := learnScore(keys)
	for i := 1; i < len(keys); i++ {
		if !(s.score(keys[i-1]) < s.score(keys[i])) {
			t.Fatalf("prefixes %q: equal scores of %q and %q", s.prefixes, keys[i-1], keys[i])
		}
	}
}

func TestOrder(t *testing.T) {
	rng := newRand(t)
	n := 20000
	if testing.Short() {
		n = 5000
	}
	ascending := make([][]byte, n)
	for i := range ascending {
		ascending[i] = binary.BigEndian.AppendUint64([]byte{2, 'k'}, uint64(i))
	}
	for name, keys := range map[string][][]byte{"hostile": sortedKeys(rng, n), "ascending": ascending} {
		for _, shuffled := range []bool{false, true} {
			table := New(Options{}, 1)
			births := slices.Clone(keys)
			if shuffled {
				rng.Shuffle(n, func(i, j int) { births[i], births[j] = births[j], births[i] })
			}
			for i, key := range births {
				s := table.Series(key)
				if again := table.Series(key); again != s {
					t.Fatalf("two series of %q", key)
				}
				table.Add(s, uint64(i+1), &kv.Row{})
			}
			for _, from := range []int{0, 1, n / 2, n - 1} {
				it := table.Iterator(keys[from], uint64(n))
				for i := from; i < n; i++ {
					if key, err := it.Next(); err != nil || !bytes.Equal(key, keys[i]) {
						t.Fatalf("%s: key %d is %q, %v, want %q", name, i, key, err, keys[i])
					}
				}
				if key, err := it.Next(); key != nil || err != nil {
					t.Fatalf("%s: %q, %v after the end", name, key, err)
				}
				it.Close()
			}
			buckets := table.index.order.Len()
			if limit := 2*n/bucketSize + 2; buckets > limit {
				t.Errorf("%s: %d buckets, more than %d", name, buckets, limit)
			}
			if !shuffled && name == "ascending" && buckets > n/bucketSize+2 {
				t.Errorf("%d buckets for ascending births, they should be full", buckets)
			}
			table.Unref()
		}
	}
}

// TestChunkJumps checks the links of a chain against indexes.
func TestChunkJumps(t *testing.T) {
	var chunks []*chunk
	var last *chunk
	for i := range 3000 {
		c := &chunk{}
		c.link(last)
		chunks = append(chunks, c)
		last = c
		if int(c.index) != i+1 {
			t.Fatalf("chunk %d has index %d", i, c.index)
		}
	}
	for i, c := range chunks {
		if last.at(uint32(i+1)) != c {
			t.Fatalf("chunk %d not found", i)
		}
	}
	steps := 0
	for c := last; c.index > 1; c = c.jump {
		steps++
	}
	if steps > 24 {
		t.Errorf("%d jumps over 3000 chunks", steps)
	}
}
