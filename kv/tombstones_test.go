package kv

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// covers is the meaning of a tombstone's key.
func covers(ts *Tombstone, key []byte) bool {
	if ts.Prefix {
		return bytes.HasPrefix(key, ts.Key)
	}
	return bytes.Equal(key, ts.Key)
}

func randomTombKey(rng *rand.Rand) []byte {
	key := make([]byte, rng.IntN(7))
	for i := range key {
		key[i] = "ab\x00\xff"[min(3, rng.IntN(8)/2)]
	}
	return key
}

func sortedTexts[T any](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprintf("%q", fmt.Sprint(v))
	}
	slices.Sort(out)
	return out
}

func TestTombstonesAgainstModel(t *testing.T) {
	rng := newRand(t)
	for range 400 {
		list := make([]Tombstone, rng.IntN(60))
		for i := range list {
			list[i] = Tombstone{
				Key: randomTombKey(rng), Prefix: rng.IntN(2) == 0,
				From: ID{Time: rng.Uint64N(9)}, To: ID{Time: 9 + rng.Uint64N(9)}, Seq: rng.Uint64N(20),
			}
		}
		index := NewTombstones(list)
		if index.Len() != len(list) || !slices.Equal(sortedTexts(index.List()), sortedTexts(list)) {
			t.Fatalf("List %v\nwant %v", index.List(), list)
		}
		for range 40 {
			key, seq := randomTombKey(rng), rng.Uint64N(20)
			var want []Tombstone
			var hidden []IDRange
			for i := range list {
				if !covers(&list[i], key) {
					continue
				}
				want = append(want, list[i])
				if list[i].Seq > seq {
					hidden = append(hidden, IDRange{list[i].From, list[i].To})
				}
			}
			if got := index.Covering(key, nil); !slices.Equal(sortedTexts(got), sortedTexts(want)) {
				t.Fatalf("Covering(%q) = %v\nwant %v", key, got, want)
			}
			if got := index.Hidden(key, seq, nil); !slices.Equal(sortedTexts(got), sortedTexts(hidden)) {
				t.Fatalf("Hidden(%q, %d) = %v\nwant %v", key, seq, got, hidden)
			}
		}
	}
}

func TestTombstonesEmpty(t *testing.T) {
	keep := []Tombstone{{Seq: 1}}
	for _, index := range []*Tombstones{nil, NewTombstones(nil)} {
		if index.Len() != 0 || len(index.List()) != 0 || len(index.Covering([]byte("k"), keep)) != 1 || index.Hidden([]byte("k"), 0, nil) != nil {
			t.Error("the empty index has tombstones")
		}
	}
}

func TestTombstonesIsACopy(t *testing.T) {
	list := []Tombstone{{Key: []byte("b"), Seq: 1}, {Key: []byte("a"), Seq: 2}}
	index := NewTombstones(list)
	if string(list[0].Key) != "b" {
		t.Error("the list was sorted in place")
	}
	list[0].Seq = 9
	if got := index.Covering([]byte("b"), nil); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("%v", got)
	}
}

// TestTombstonesDeepPrefixes nests thousands of prefixes: neither the building
// nor a look-up that misses almost all of them may walk them one by one.
func TestTombstonesDeepPrefixes(t *testing.T) {
	const depth = 20_000
	long := []byte(strings.Repeat("a", depth))
	list := make([]Tombstone, depth)
	for i := range list {
		list[i] = Tombstone{Key: long[:i], Prefix: true, To: MaxID, Seq: uint64(i)}
	}
	index := NewTombstones(list)
	for _, n := range []int{0, 1, 2, 777, depth - 2} {
		key := append(slices.Clone(long[:n]), 'b')
		if got := index.Covering(key, nil); len(got) != n+1 || got[0].Seq != uint64(n) {
			t.Fatalf("%d: %d tombstones", n, len(got))
		}
	}
	steps := 0
	for i := depth - 1; i > 0; steps++ {
		if i = index.prefixes[i].jump; i < 0 {
			break
		}
	}
	if steps > 40 {
		t.Errorf("%d jumps from the deepest prefix to the top", steps)
	}
}

func TestTombstonesAllocations(t *testing.T) {
	index := NewTombstones([]Tombstone{{Key: []byte("a"), Prefix: true, To: MaxID, Seq: 5}, {Key: []byte("ab"), To: MaxID, Seq: 7}})
	tombs, ranges, key := make([]Tombstone, 0, 8), make([]IDRange, 0, 8), []byte("ab")
	if n := testing.AllocsPerRun(100, func() {
		tombs = index.Covering(key, tombs[:0])
		ranges = index.Hidden(key, 3, ranges[:0])
	}); n != 0 || len(tombs) != 2 || len(ranges) != 2 {
		t.Errorf("%v allocations, %v, %v", n, tombs, ranges)
	}
}
