package sstable

import (
	"encoding/binary"
	"math/bits"
)

// Hash is a key as the filters see it, computed once for any number of tables.
type Hash struct{ locations [filterHashes]uint64 }

// KeyHash hashes a key. Its locations are those of bloom.Locations, which
// allocates them; a test holds the two together.
func KeyHash(key []byte) Hash {
	var h [4]uint64
	h[0], h[1] = murmur128(key, false)
	h[2], h[3] = murmur128(key, true)
	var hash Hash
	for i := range hash.locations {
		n := uint64(i)
		hash.locations[i] = h[n%2] + n*h[2+(n+n%2)%4/2]
	}
	return hash
}

const (
	murmurC1 = 0x87c37b91114253d5
	murmurC2 = 0x4cf5ad432745937f
)

// murmur128 is MurmurHash3_x64_128 by Austin Appleby (public domain) with seed 0,
// of key or of key and a byte 1.
func murmur128(key []byte, one bool) (h1, h2 uint64) {
	var tail [16]byte
	n := len(key) &^ 15
	for at := 0; at < n; at += 16 {
		h1 = bits.RotateLeft64(h1^scramble1(load64(key, at)), 27) + h2
		h1 = h1*5 + 0x52dce729
		h2 = bits.RotateLeft64(h2^scramble2(load64(key, at+8)), 31) + h1
		h2 = h2*5 + 0x38495ab5
	}
	length := len(key)
	rest := copy(tail[:], key[n:])
	if one {
		tail[rest] = 1 // rest is at most 15
		length++
		rest++
	}
	k1, k2 := binary.LittleEndian.Uint64(tail[:]), binary.LittleEndian.Uint64(tail[8:])
	if rest == 16 { // a whole block
		h1 = bits.RotateLeft64(h1^scramble1(k1), 27) + h2
		h1 = h1*5 + 0x52dce729
		h2 = bits.RotateLeft64(h2^scramble2(k2), 31) + h1
		h2 = h2*5 + 0x38495ab5
	} else {
		h1 ^= scramble1(k1) // of zero: zero
		h2 ^= scramble2(k2)
	}
	h1, h2 = h1^uint64(length), h2^uint64(length)
	h1 += h2
	h2 += h1
	h1, h2 = finalize(h1), finalize(h2)
	h1 += h2
	return h1, h2 + h1
}

func scramble1(k uint64) uint64 { return bits.RotateLeft64(k*murmurC1, 31) * murmurC2 }
func scramble2(k uint64) uint64 { return bits.RotateLeft64(k*murmurC2, 33) * murmurC1 }

func finalize(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
