package kv

import (
	"bytes"
	"math"
	"strconv"
)

// ID names one record of a key: a time (milliseconds since 1970 unless the
// database was created with another unit) and a sequence within that time.
// IDs order by time, then sequence, like the IDs of Redis streams.
type ID struct {
	Time, Seq uint64
}

// MinID and MaxID are the ends of the ID space.
var (
	MinID = ID{}
	MaxID = ID{math.MaxUint64, math.MaxUint64}
)

// Compare returns -1, 0 or +1 as a is before, equal to or after b.
func (a ID) Compare(b ID) int {
	switch {
	case a.Time < b.Time:
		return -1
	case a.Time > b.Time:
		return 1
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

// Less reports whether a comes before b.
func (a ID) Less(b ID) bool {
	return a.Time < b.Time || a.Time == b.Time && a.Seq < b.Seq
}

// Next returns the ID directly after a; false if a is MaxID.
func (a ID) Next() (ID, bool) {
	if a.Seq != math.MaxUint64 {
		return ID{a.Time, a.Seq + 1}, true
	}
	if a.Time != math.MaxUint64 {
		return ID{a.Time + 1, 0}, true
	}
	return a, false
}

// Prev returns the ID directly before a; false if a is MinID.
func (a ID) Prev() (ID, bool) {
	if a.Seq != 0 {
		return ID{a.Time, a.Seq - 1}, true
	}
	if a.Time != 0 {
		return ID{a.Time - 1, math.MaxUint64}, true
	}
	return a, false
}

// Append appends the text form "time-seq" to dst.
func (a ID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.Time, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, a.Seq, 10)
}

// String returns the text form "time-seq".
func (a ID) String() string { return string(a.Append(nil)) }

// ParseID reads "time-seq", or a bare "time", which gets the sequence
// bareSeq. Both numbers are plain decimal digits of an unsigned 64-bit number.
func ParseID(text []byte, bareSeq uint64) (ID, error) {
	head, tail, dashed := bytes.Cut(text, []byte{'-'})
	id := ID{Seq: bareSeq}
	var ok bool
	if id.Time, ok = ParseUint(head); !ok {
		return ID{}, ErrInvalidID
	}
	if dashed {
		if id.Seq, ok = ParseUint(tail); !ok {
			return ID{}, ErrInvalidID
		}
	}
	return id, nil
}

// ParseUint reads 1 to 20 decimal digits; false for anything else, a sign or
// an overflow of 64 bits included.
func ParseUint(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
