package wal

import (
	"encoding/binary"
	"hash/crc32"

	"tskv/disk"
)

// tailScan looks behind the end of a log, at every aligned offset, for a record
// that verifies and claims that bytes behind that end had been durable.
//
// The bytes there are hostile: a client can write values that look like headers
// of 128 MiB records at every offset, and a checksum over each of them would
// take hours. So the scan reads the tail once, and where a long candidate turns
// up once more for checksums of all its prefixes, from which the checksum of any
// range follows by arithmetic: O(size + candidates).
type tailScan struct {
	w       *window
	seed    uint32
	bad     int64  // where the log ends
	lastSeq uint64 // a later record has a higher sequence
	any     bool   // look for any record, whatever it claims

	nonZero   int64 // end of the last word behind bad that is not zero
	plausible int64 // bytes of the record that bad seems to have been meant for
	sums      *prefixSums
}

// directBytes is the length up to which a candidate's checksum is computed.
const directBytes = 1 << 10

// run returns the offset of the first witness, or -1.
func (t *tailScan) run() (int64, error) {
	t.nonZero = t.bad
	for off := t.bad; off < t.w.size; {
		chunk, err := t.w.at(off, int(min(windowBytes, t.w.size-off)))
		if err != nil {
			return 0, err
		}
		used, witness, err := t.chunk(chunk, off)
		if err != nil || witness >= 0 {
			return witness, err
		}
		off += int64(used)
	}
	return -1, nil
}

// chunk scans the bytes at off and returns how many it has dealt with.
func (t *tailScan) chunk(chunk []byte, off int64) (used int, witness int64, err error) {
	last := off+int64(len(chunk)) == t.w.size
	for p := 0; p < len(chunk); p += recordAlign {
		rest := chunk[p:]
		if len(rest) >= recordAlign && binary.LittleEndian.Uint64(rest) == 0 {
			continue
		}
		if len(rest) >= recordHeaderSize {
			at := off + int64(p)
			ok, err := t.isWitness(rest, at)
			if err != nil {
				return 0, -1, err
			}
			if ok {
				return 0, at, nil
			}
		} else if !last {
			return p, -1, nil // the header goes on in the next chunk
		}
		t.nonZero = nonZeroEnd(rest[:min(recordAlign, len(rest))], off+int64(p), t.nonZero)
	}
	return len(chunk), -1, nil
}

// nonZeroEnd returns the end of the last byte of the word at off that is not
// zero, or end if all are.
func nonZeroEnd(word []byte, off, end int64) int64 {
	for i := len(word) - 1; i >= 0; i-- {
		if word[i] != 0 {
			return off + int64(i) + 1
		}
	}
	return end
}

// isWitness reports whether a record lies at off that proves that t.bad was
// durable; b begins with its header.
func (t *tailScan) isWitness(b []byte, off int64) (bool, error) {
	var h recordHeader
	h.decode(b)
	if !h.known() || h.firstSeq <= t.lastSeq || h.length == 0 || h.length > MaxPayload ||
		h.syncedTo < 0 || h.syncedTo > off {
		return false, nil
	}
	if off == t.bad {
		t.plausible = min(recordHeaderSize+int64(h.length), t.w.size-off)
	}
	if off <= t.bad || h.syncedTo <= t.bad && !t.any || !h.fits(off, t.w.size) {
		return false, nil
	}
	if n := recordHeaderSize + int(h.length); n <= directBytes && n <= len(b) {
		return recordCRC(t.seed, off, b[:n]) == h.crc, nil
	}
	if t.sums == nil {
		sums, err := newPrefixSums(t.w, t.bad)
		if err != nil {
			return false, err
		}
		t.sums = sums
	}
	crc, err := t.sums.crc(recordSeed(t.seed, off), off+4, off+recordHeaderSize+int64(h.length))
	return crc == h.crc, err
}

// prefixSums answers for the checksum of any range of a file's tail. With P(x)
// the checksum of the bytes from the start to x, that of [a, b) from seed s is
//
//	P(b) xor shift(s xor P(a), b-a)
//
// where shift(c, n) is what n zero bytes make of the register c: a
// multiplication by x^8n modulo the polynomial (the rule of zlib's crc32_combine).
type prefixSums struct {
	file   disk.File
	start  int64
	sums   []uint32 // P at start + i*sumBytes
	powers *powerTable
	buf    [sumBytes]byte
}

const sumBytes = 512

// newPrefixSums reads the file from start to its end once, beside the window.
func newPrefixSums(w *window, start int64) (*prefixSums, error) {
	p := &prefixSums{file: w.file, start: start, powers: newPowerTable()}
	p.sums = make([]uint32, 1, (w.size-start)/sumBytes+1)
	own := window{file: w.file, name: w.name, size: w.size}
	for off := start; off+sumBytes <= w.size; off += sumBytes {
		b, err := own.at(off, sumBytes)
		if err != nil {
			return nil, err
		}
		p.sums = append(p.sums, disk.CRC(p.sums[len(p.sums)-1], b))
	}
	return p, nil
}

func (p *prefixSums) crc(seed uint32, a, b int64) (uint32, error) {
	toA, err := p.prefix(a)
	if err != nil {
		return 0, err
	}
	toB, err := p.prefix(b)
	if err != nil {
		return 0, err
	}
	return toB ^ p.powers.shift(seed^toA, b-a), nil
}

func (p *prefixSums) prefix(x int64) (uint32, error) {
	i := (x - p.start) / sumBytes
	from := p.start + i*sumBytes
	rest := p.buf[:x-from]
	if len(rest) > 0 {
		if _, err := p.file.ReadAt(rest, from); err != nil {
			return 0, err
		}
	}
	return disk.CRC(p.sums[i], rest), nil
}

// powerTable holds x^(8 * digit * 128^place): four places of 7 bits are enough
// for the length of any record.
type powerTable [4][128]uint32

// Reflected polynomials: the highest bit is x^0.
const (
	polyOne   = 1 << 31
	polyByte  = 1 << 23 // x^8
	polyDigit = 7       // bits of a digit
)

func newPowerTable() *powerTable {
	t := new(powerTable)
	step := uint32(polyByte)
	for place := range t {
		t[place][0] = polyOne
		for digit := 1; digit < len(t[place]); digit++ {
			t[place][digit] = polyMultiply(t[place][digit-1], step)
		}
		step = polyMultiply(t[place][len(t[place])-1], step)
	}
	return t
}

// shift returns the register c after n zero bytes, 0 <= n < 2^28.
func (t *powerTable) shift(c uint32, n int64) uint32 {
	for place := range t {
		if digit := n & (1<<polyDigit - 1); digit != 0 {
			c = polyMultiply(t[place][digit], c)
		}
		n >>= polyDigit
	}
	return c
}

// polyMultiply multiplies modulo the polynomial of CRC32C.
func polyMultiply(a, b uint32) uint32 {
	var product uint32
	for bit := uint32(polyOne); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.Castagnoli
		}
	}
	return product
}
