package sstable

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/bits-and-blooms/bloom/v3"

	"tskv/disk"
)

var errFilter = errors.New("malformed filter")

// filterTrailer is what follows the words: m u64, k u32, crc u32.
const filterTrailer = 16

// filterWords returns the words of a filter for n keys.
func filterWords(n uint64) uint64 { return max(8, (n*filterBitsPerKey+511)/512*8) }

// finishFilter encodes a filter over keys.
func finishFilter(words []uint64, seed uint32) []byte {
	p := make([]byte, 0, 8*len(words)+filterTrailer)
	for _, w := range words {
		p = appendUint64(p, w)
	}
	p = appendUint64(p, 64*uint64(len(words)))
	p = binary.LittleEndian.AppendUint32(p, filterHashes)
	return binary.LittleEndian.AppendUint32(p, disk.CRC(seed, p))
}

// parseFilter opens a filter section over its own bytes, which must stay
// mapped; sum is the checksum of the section without its last four bytes. The
// words are copied if the bytes cannot be read as words in place.
func parseFilter(section []byte, sum uint32) (*bloom.BloomFilter, error) {
	n := len(section) - filterTrailer
	if n < 8 || n%8 != 0 {
		return nil, errFilter
	}
	m, k := load64(section, n), binary.LittleEndian.Uint32(section[n+8:])
	want := binary.LittleEndian.Uint32(section[n+12:])
	if sum != want || m == 0 || m > 8*uint64(n) || k != filterHashes {
		return nil, errFilter
	}
	return bloom.FromWithM(wordsOf(section[:n]), uint(m), uint(k)), nil
}

// wordsOf returns little-endian words in place where the machine can.
func wordsOf(b []byte) []uint64 {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%8 == 0 && binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return unsafe.Slice((*uint64)(p), len(b)/8)
	}
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = load64(b, 8*i)
	}
	return words
}
