package sstable

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkColumn encodes values and decodes them in every way.
func checkColumn(t *testing.T, values []uint64) uint8 {
	t.Helper()
	var e columnEncoder
	buf, encoding := e.encode(nil, values)
	if len(buf) > 8*len(values)+8 {
		t.Fatalf("%d values take %d bytes", len(values), len(buf))
	}
	body := append(slices.Clone(buf), make([]byte, loadPad)...)
	var c column
	if err := c.parse(encoding, len(values), len(buf), body); err != nil {
		t.Fatalf("encoding %d: %v", encoding, err)
	}
	got := make([]uint64, len(values))
	c.decode(got, 0)
	if !slices.Equal(got, values) {
		t.Fatalf("encoding %d: got %v, want %v", encoding, got, values)
	}
	for i := range values {
		if v := c.at(i); v != values[i] {
			t.Fatalf("encoding %d: row %d is %d, want %d", encoding, i, v, values[i])
		}
	}
	for lo := miniblockRows; lo < len(values); lo += 3 * miniblockRows {
		part := got[:min(200, len(values)-lo)]
		c.decode(part, lo)
		if !slices.Equal(part, values[lo:lo+len(part)]) {
			t.Fatalf("encoding %d: rows from %d", encoding, lo)
		}
	}
	return encoding
}

func TestColumnEncodings(t *testing.T) {
	series := func(n int, value func(i int) uint64) []uint64 {
		v := make([]uint64, n)
		for i := range v {
			v[i] = value(i)
		}
		return v
	}
	rng := seeded(t)
	for _, c := range []struct {
		name   string
		values []uint64
		want   uint8
	}{
		{"one", []uint64{math.MaxUint64}, encConst},
		{"constant", series(500, func(int) uint64 { return 7 }), encConst},
		{"steps", series(500, func(i int) uint64 { return uint64(-3 * i) }), encConstDelta},
		{"narrow", series(1000, func(int) uint64 { return 1000 + rng.Uint64N(8) }), encFor},
		{"walk", series(1000, func(i int) uint64 { return uint64(i*i*i) + rng.Uint64N(8) }), encDeltaFor},
		{"line", series(1000, func(i int) uint64 { return uint64(10000*i) + rng.Uint64N(8) }), encLinearFor},
		{"random", series(1000, func(int) uint64 { return rng.Uint64() }), encRaw64},
		{"ends", []uint64{0, math.MaxUint64, 0, math.MaxUint64, 1, math.MaxInt64, 1 << 63, 0, 5}, encRaw64},
	} {
		if got := checkColumn(t, c.values); got != c.want {
			t.Errorf("%s: encoding %d, want %d", c.name, got, c.want)
		}
	}
}

// TestColumnWidths covers each width with each length of the last miniblock.
func TestColumnWidths(t *testing.T) {
	rng := seeded(t)
	for width := range 65 {
		for _, n := range []int{1, 2, 7, 8, 9, 127, 128, 129, 130, 255, 256, 300, 1000} {
			values := make([]uint64, n)
			for i := range values {
				values[i] = rng.Uint64()
				if width < 64 {
					values[i] &= 1<<width - 1
				}
			}
			checkColumn(t, values)
			checkPack(t, values, uint8(width))
		}
	}
}

func checkPack(t *testing.T, values []uint64, width uint8) {
	t.Helper()
	p := pack([]byte{9}, values, width)
	if len(p) != 1+packedLen(len(values), width) {
		t.Fatalf("width %d: %d bytes", width, len(p))
	}
	got := make([]uint64, len(values))
	unpack(got, append(p[1:], make([]byte, loadPad)...), width, 5)
	for i, v := range values {
		if got[i] != v+5 {
			t.Fatalf("width %d: row %d is %d, want %d", width, i, got[i]-5, v)
		}
	}
}

// TestColumnRandom mixes jumps, steps and noise.
func TestColumnRandom(t *testing.T) {
	rng := seeded(t)
	for range 300 {
		values := make([]uint64, 1+rng.IntN(2000))
		v, step := rng.Uint64(), rng.Uint64()>>rng.IntN(64)
		for i := range values {
			switch rng.IntN(300) {
			case 0:
				v = rng.Uint64() >> rng.IntN(64)
			case 1:
				step = -(rng.Uint64() >> rng.IntN(64))
			}
			v += step
			values[i] = v + rng.Uint64()>>(40+rand.IntN(24))
		}
		checkColumn(t, values)
	}
}
