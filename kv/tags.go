package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// TagSet is the tags of a record in canonical form: each tag's length as a
// uvarint and its bytes, the tags sorted bytewise and unique. Equal sets are
// equal bytes. The empty set is nil. A TagSet is never changed after it was made.
type TagSet []byte

// MakeTagSet builds the set of the given tags; order and repetitions do not
// matter. ErrTags for an empty tag, one over MaxTag bytes, or more than MaxTags
// different ones. The tags are copied.
func MakeTagSet(tags [][]byte) (TagSet, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	size := 0
	for _, tag := range tags {
		if len(tag) == 0 || len(tag) > MaxTag {
			return nil, fmt.Errorf("%w: a tag has 1 to %d bytes, not %d", ErrTags, MaxTag, len(tag))
		}
		size += 2 + len(tag)
	}
	if !slices.IsSortedFunc(tags, bytes.Compare) {
		tags = slices.Clone(tags)
		slices.SortFunc(tags, bytes.Compare)
	}
	set := make(TagSet, 0, min(size, MaxTagSet))
	count := 0
	for i, tag := range tags {
		if i > 0 && bytes.Equal(tag, tags[i-1]) {
			continue
		}
		if count++; count > MaxTags {
			return nil, fmt.Errorf("%w: a record has at most %d tags", ErrTags, MaxTags)
		}
		set = binary.AppendUvarint(set, uint64(len(tag)))
		set = append(set, tag...)
	}
	return set, nil
}

// CheckTagSet reports whether b, read from disk or elsewhere, is a TagSet; if
// not, an error that wraps ErrTags says why.
func CheckTagSet(b []byte) error {
	if len(b) > MaxTagSet {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTags, len(b), MaxTagSet)
	}
	var previous []byte
	for count := 0; len(b) > 0; count++ {
		if count == MaxTags {
			return fmt.Errorf("%w: more than %d", ErrTags, MaxTags)
		}
		tag, rest, ok := cutTag(b)
		if !ok {
			return fmt.Errorf("%w: bad length at tag %d", ErrTags, count)
		}
		if bytes.Compare(tag, previous) <= 0 {
			return fmt.Errorf("%w: tag %d is not after the one before", ErrTags, count)
		}
		previous, b = tag, rest
	}
	return nil
}

// cutTag splits off the first tag; false if the length is not the shortest
// uvarint of 1..MaxTag, or longer than what is there.
func cutTag(b []byte) (tag, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	size, head := int(b[0]), 1
	if size >= 0x80 {
		if len(b) < 2 || b[1] != 1 {
			return nil, nil, false
		}
		head = 2
	}
	if size == 0 || len(b)-head < size {
		return nil, nil, false
	}
	return b[head : head+size : head+size], b[head+size:], true
}

// All yields the tags in order. They share the set's memory.
func (t TagSet) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := []byte(t)
		for {
			tag, rest, ok := cutTag(b)
			if !ok || !yield(tag) {
				return
			}
			b = rest
		}
	}
}

// Len returns the number of tags.
func (t TagSet) Len() int {
	n := 0
	for b := []byte(t); ; n++ {
		_, rest, ok := cutTag(b)
		if !ok {
			return n
		}
		b = rest
	}
}

// Has reports whether tag is in the set.
func (t TagSet) Has(tag []byte) bool {
	for b := []byte(t); ; {
		next, rest, ok := cutTag(b)
		if !ok {
			return false
		}
		if c := bytes.Compare(next, tag); c >= 0 {
			return c == 0
		}
		b = rest
	}
}

// HasAll reports whether every tag of other is in the set; the empty set is in
// every set.
func (t TagSet) HasAll(other TagSet) bool {
	if len(other) > len(t) {
		return false
	}
	want, wanted, more := cutTag(other)
	for b := []byte(t); more; {
		next, rest, ok := cutTag(b)
		if !ok {
			return false
		}
		switch bytes.Compare(next, want) {
		case 1:
			return false
		case 0:
			want, wanted, more = cutTag(wanted)
		}
		b = rest
	}
	return true
}
