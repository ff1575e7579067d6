package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/kv"
)

var errTagSets = errors.New("malformed tag sets")

// tagDictionary numbers the tag sets of a file, or of one block.
type tagDictionary struct {
	ids   map[string]uint64
	sets  []kv.TagSet
	bits  []uint64 // tag bits of each set
	bytes int
}

// add returns the number of a set and its tag bits; false if it is new and
// beyond the limits. The set is copied.
func (d *tagDictionary) add(set kv.TagSet, maxSets, maxBytes int) (id, bits uint64, ok bool) {
	if id, ok := d.ids[string(set)]; ok {
		return id, d.bits[id], true
	}
	if len(d.sets) >= maxSets || d.bytes+len(set) > maxBytes {
		return 0, 0, false
	}
	if d.ids == nil {
		d.ids = make(map[string]uint64)
	}
	key := string(set)
	id = uint64(len(d.sets))
	d.ids[key] = id
	d.sets = append(d.sets, kv.TagSet(key))
	d.bits = append(d.bits, bitsOf(set))
	d.bytes += len(set) + 1
	return id, d.bits[id], true
}

func (d *tagDictionary) reset() {
	if len(d.sets) > 0 {
		*d = tagDictionary{}
	}
}

// bitsOf returns the tag bits of a set.
func bitsOf(set kv.TagSet) (bits uint64) {
	for tag := range set.All() {
		bits |= tagBit(tag)
	}
	return bits
}

// appendTagSets encodes sets: a count and each with its length.
func appendTagSets(dst []byte, sets []kv.TagSet) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(sets)))
	for _, s := range sets {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// parseTagSets is the inverse; the sets are copies.
func parseTagSets(b []byte) ([]kv.TagSet, error) {
	if len(b) < 4 {
		return nil, errTagSets
	}
	n := int64(binary.LittleEndian.Uint32(b))
	b = append([]byte(nil), b[4:]...)
	if n > int64(len(b)/2) { // a set is two bytes at least, with its length three
		return nil, fmt.Errorf("%w: count %d", errTagSets, n)
	}
	sets := make([]kv.TagSet, 0, n)
	for range n {
		size, used := binary.Uvarint(b)
		if used <= 0 || size == 0 || size > uint64(len(b)-used) {
			return nil, fmt.Errorf("%w: length", errTagSets)
		}
		end := used + int(size)
		if err := kv.CheckTagSet(b[used:end]); err != nil {
			return nil, fmt.Errorf("%w: %w", errTagSets, err)
		}
		sets = append(sets, kv.TagSet(b[used:end:end]))
		b = b[end:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes left", errTagSets, len(b))
	}
	return sets, nil
}
