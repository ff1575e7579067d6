package sstable

import (
	"errors"
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

// TestSmallestIsChosen tries all encodings on columns of every nature.
func TestSmallestIsChosen(t *testing.T) {
	rng := seeded(t)
	won := map[uint8]int{}
	for range 400 {
		values := randomColumn(rng, 1+rng.IntN(3000))
		var e columnEncoder
		got, encoding := e.encode(nil, values)
		won[encoding]++
		if encoding <= encConstDelta {
			continue
		}
		least, want := 8*len(values), uint8(encRaw64)
		nm := (len(values) + miniblockRows - 1) / miniblockRows
		for k, other := range planned {
			for i := range nm {
				e.plan(k, i, miniblockOf(values, i))
			}
			size := e.size(k, nm, len(values))
			if encoded := e.write(nil, k, nm, values); len(encoded) != size {
				t.Fatalf("encoding %d: %d bytes, planned as %d", other, len(encoded), size)
			}
			if size < least {
				least, want = size, other
			}
		}
		if len(got) != least || encoding != want {
			t.Fatalf("encoding %d of %d bytes; %d takes %d", encoding, len(got), want, least)
		}
	}
	for _, encoding := range []uint8{encConst, encConstDelta, encFor, encDeltaFor, encLinearFor, encRaw64} {
		if won[encoding] == 0 {
			t.Errorf("encoding %d was never chosen: %v", encoding, won)
		}
	}
}

// randomColumn makes n values of a nature that suits one of the encodings.
func randomColumn(rng *rand.Rand, n int) []uint64 {
	values := make([]uint64, n)
	nature, noise, step := rng.IntN(7), uint64(1)<<rng.IntN(30), rng.Uint64()>>rng.IntN(64)
	v := rng.Uint64()
	for i := range values {
		switch nature {
		case 0: // constant
		case 1: // steps
			v += step
		case 2: // around a level
			values[i] = step + rng.Uint64N(noise)
			continue
		case 3: // a walk
			v += rng.Uint64N(noise) - noise/2
		case 4: // a line with noise
			values[i] = uint64(i)*step + rng.Uint64N(noise)
			continue
		case 5:
			v = rng.Uint64()
		case 6: // levels that come again
			v = uint64(rng.IntN(9)) * step
		}
		values[i] = v
	}
	return values
}

// TestZstdColumns packs columns of every nature under zstd, whether that pays or
// not, and reads them in every way.
func TestZstdColumns(t *testing.T) {
	rng := seeded(t)
	z, err := newCompressor(CodecZstd)
	if err != nil {
		t.Fatal(err)
	}
	var unpacker decompressor
	defer unpacker.close()
	c := columnCompressor{z: z}
	d := blockReader{z: &unpacker}
	for range 300 {
		values := randomColumn(rng, 2+rng.IntN(2000))
		for _, encoding := range []uint8{encForZstd, encDeltaForZstd} {
			body := c.encode(encoding, values)
			var col column
			if err := d.inflate(&col, colNum, encoding, len(values), body); err != nil {
				t.Fatal(err)
			}
			got := make([]uint64, len(values))
			if col.decode(got, 0); !slices.Equal(got, values) {
				t.Fatalf("encoding %d: %d values differ", encoding, len(values))
			}
			for range 20 {
				i := rng.IntN(len(values))
				if v := col.at(i); v != values[i] {
					t.Fatalf("encoding %d: row %d is %d, want %d", encoding, i, v, values[i])
				}
			}
			cut := body[:rng.IntN(len(body))]
			if err := d.inflate(&col, colNum, encoding, len(values), cut); !errors.Is(err, errColumn) {
				t.Fatalf("encoding %d: cut to %d of %d bytes: %v", encoding, len(cut), len(body), err)
			}
			if err := d.inflate(&col, colNum, encoding, len(values)+1, body); !errors.Is(err, errColumn) &&
				packedLen(len(values), body[16]) != packedLen(len(values)+1, body[16]) {
				t.Fatalf("encoding %d: one row more: %v", encoding, err)
			}
		}
	}
}

// TestZstdPays: only what saves a quarter and a bit for each row is under zstd.
func TestZstdPays(t *testing.T) {
	rng := seeded(t)
	z, err := newCompressor(CodecZstd)
	if err != nil {
		t.Fatal(err)
	}
	var e columnEncoder
	chosen := 0
	for range 300 {
		c := columnCompressor{z: z}
		values := randomColumn(rng, 1+rng.IntN(3000))
		plain, _ := e.encode(nil, values)
		if p, _ := c.pack(colNum, values, len(plain)); p != nil {
			chosen++
			if 4*len(p) > 3*len(plain)+4 || 8*(len(plain)-len(p)) < len(values)-8 {
				t.Fatalf("%d bytes instead of %d for %d values", len(p), len(plain), len(values))
			}
		}
	}
	if chosen == 0 {
		t.Fatal("zstd was never chosen")
	}
	c := columnCompressor{z: z}
	tries := 0
	for range 200 { // a sample promises much, the column holds little
		values := make([]uint64, maxBlockRows)
		for i := range values {
			if values[i] = rng.Uint64(); i/miniblockRows%(maxBlockRows/miniblockRows/sampleMiniblocks) == 0 {
				values[i] = 7 * (values[i] & 1)
			}
		}
		before := c.pauses[colNum]
		c.pack(colNum, values, 8*len(values))
		if before.left == 0 {
			tries++
		}
	}
	if tries == 0 || tries > 20 {
		t.Errorf("%d of 200 columns that do not compress were tried", tries)
	}
}
