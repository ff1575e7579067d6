package sstable

import (
	"encoding/binary"
	"errors"
	"math"

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

// parseFilter checks the end of a filter section of size bytes, and returns the
// bits of the filter; sum is the checksum of the section without its last four
// bytes.
func parseFilter(trailer []byte, size int, sum uint32) (bits uint64, err error) {
	n := size - filterTrailer
	if n < 8 || n%8 != 0 || len(trailer) != filterTrailer {
		return 0, errFilter
	}
	m, k := load64(trailer, 0), binary.LittleEndian.Uint32(trailer[8:])
	want := binary.LittleEndian.Uint32(trailer[12:])
	if sum != want || m == 0 || m > 8*uint64(n) || k != filterHashes {
		return 0, errFilter
	}
	return m, nil
}

// filter is how the keys of a table are asked for.
type filter struct {
	bits  uint64 // 0: damaged
	words []byte // without a map, if the budget allows; else they stay in the file
	held  int64  // bytes of words, from the budget
}

// openFilter checks the filter by pread, which also brings it into the page cache.
func (r *Reader) openFilter() error {
	at := r.footer.filter
	buf := make([]byte, min(at.length, 256<<10))
	if n := int64(at.length); r.bytes == nil && r.resident.maps.take(n) {
		buf, r.filter.held = make([]byte, n), n
	}
	sum := r.seed
	var trailer []byte
	for done := 0; done < at.length; {
		p := buf[:min(len(buf), at.length-done)]
		if err := r.readAt(p, at.offset+int64(done)); err != nil {
			if errors.Is(err, disk.ErrCorrupt) {
				return err
			}
			return nil // unreadable: maybe
		}
		end := min(len(p), max(0, at.length-4-done))
		sum = disk.CRC(sum, p[:end])
		done += len(p)
		trailer = append(trailer, p[max(0, len(p)-filterTrailer):]...)
	}
	bits, err := parseFilter(trailer[max(0, len(trailer)-filterTrailer):], at.length, sum)
	if err != nil {
		return nil // damaged: maybe
	}
	r.filter.bits = bits
	if r.filter.held > 0 {
		r.filter.words = buf
	}
	return nil
}

// FilterDamaged reports that the filter could not be read, so that MayContain
// is always true. Verify names the damage.
func (r *Reader) FilterDamaged() bool { return r.filter.bits == 0 }

// MayContain reports whether the table may hold the key of the hash: false only
// if it does not.
func (r *Reader) MayContain(h *Hash) bool {
	f := &r.filter
	if f.bits == 0 {
		return true
	}
	maybe := true
	if err := disk.Guard(r.name, func() error {
		for _, location := range h.locations {
			bit := location % f.bits
			if r.filterWord(bit/64)&(1<<(bit%64)) == 0 {
				maybe = !r.filterWhole()
				break
			}
		}
		return nil
	}); err != nil {
		return true
	}
	return maybe
}

// filterWhole reports whether the filter still ends as it should. Of a file that
// was cut short behind the map the rest of the last page reads as zeros, without a
// fault, and in a filter zeros mean "absent". (An index page of zeros does not
// parse, and blocks are found through the index, which lies behind them.) It must
// run under Guard.
func (r *Reader) filterWhole() bool {
	if r.filter.words != nil || r.bytes == nil {
		return true
	}
	f := &r.footer.filter
	return binary.LittleEndian.Uint32(r.bytes[f.offset+int64(f.length)-8:]) == filterHashes
}

// filterWord returns a word of the filter: from memory, through the map or by
// pread; all ones if it cannot be read. It must run under Guard.
func (r *Reader) filterWord(i uint64) uint64 {
	if r.filter.words != nil {
		return load64(r.filter.words, int(8*i))
	}
	at := place{r.footer.filter.offset + 8*int64(i), 8}
	if r.bytes != nil && r.resident.has(at) {
		return load64(r.bytes, int(at.offset))
	}
	q := r.queries.Get().(*query)
	defer r.queries.Put(q)
	if err := r.pread(q.word[:], at); err != nil {
		return math.MaxUint64
	}
	return load64(q.word[:], 0)
}
