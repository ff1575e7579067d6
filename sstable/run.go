package sstable

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"

	"tskv/kv"
)

// run is a block's worth of rows on its way to the file, as columns.
type run struct {
	time, seq []uint64
	form      []kv.Form
	num       []uint64 // bits of the mantissas; 0 for other rows
	length    []uint64 // of raw values; 0 for other rows
	tags      []uint64 // as in the tags column
	payload   []byte
	decimals  int
	deletes   int
	tagBits   uint64
	tagged    bool
	own       tagDictionary // sets that the file's dictionary has no room for
}

func (r *run) rows() int { return len(r.time) }

func (r *run) reset() {
	r.time, r.seq, r.form, r.num = r.time[:0], r.seq[:0], r.form[:0], r.num[:0]
	r.length, r.tags = r.length[:0], r.tags[:0]
	if cap(r.payload) > 2*maxBlockPayload {
		r.payload = nil // a giant passed through
	}
	r.payload = r.payload[:0]
	r.decimals, r.deletes, r.tagBits, r.tagged = 0, 0, 0, false
	r.own.reset()
}

// bytes returns what counts towards the payload limit of a block.
func (r *run) bytes() int { return len(r.payload) + r.own.bytes }

// appendPlain adds rows i to j of src, which have neither raw values nor tags.
func (r *run) appendPlain(src *kv.Rows, i, j int) error {
	n := len(r.time)
	r.time = append(r.time, src.Time[i:j]...)
	r.seq = append(r.seq, src.Seq[i:j]...)
	r.form = append(r.form, src.Form[i:j]...)
	r.length = extend(r.length, j-i)
	r.tags = extend(r.tags, j-i)
	r.num = extend(r.num, j-i)
	num := r.num[n:]
	deletes := 0
	for k, f := range src.Form[i:j] {
		v := src.Num[i+k]
		if f <= kv.MaxScale && v < maxMantissa && v > -maxMantissa {
			num[k] = uint64(v)
			continue
		}
		if f != kv.FormDelete {
			return fmt.Errorf("%w: form %#x with mantissa %d", ErrLimit, f, v)
		}
		deletes++
	}
	r.deletes += deletes
	r.decimals += j - i - deletes
	return nil
}

// append adds one row; the dictionary is the file's.
func (r *run) append(row *kv.Row, dictionary *tagDictionary) error {
	var num, length, tag uint64
	switch {
	case row.Form.IsDecimal():
		if row.Num >= maxMantissa || row.Num <= -maxMantissa {
			return fmt.Errorf("%w: mantissa %d", ErrLimit, row.Num)
		}
		num = uint64(row.Num)
		r.decimals++
	case row.Form == kv.FormDelete:
		r.deletes++
	case row.Form == kv.FormRaw:
		length = uint64(len(row.Raw))
		r.payload = append(r.payload, row.Raw...)
	default:
		return fmt.Errorf("%w: form %#x", ErrLimit, row.Form)
	}
	if len(row.Tags) > 0 {
		var bits uint64
		if id, b, ok := dictionary.add(row.Tags, maxTagSets, maxTagSetBytes); ok {
			tag, bits = 2*id+1, b
		} else {
			id, b, _ := r.own.add(row.Tags, math.MaxInt, math.MaxInt)
			tag, bits = 2*id+2, b
		}
		r.tagged = true
		r.tagBits |= bits
	}
	r.time, r.seq = append(r.time, row.ID.Time), append(r.seq, row.ID.Seq)
	r.form, r.num = append(r.form, row.Form), append(r.num, num)
	r.length, r.tags = append(r.length, length), append(r.tags, tag)
	return nil
}

// appendRun adds all of another run; its own tag sets get new numbers.
func (r *run) appendRun(o *run) {
	r.time, r.seq = append(r.time, o.time...), append(r.seq, o.seq...)
	r.form, r.num = append(r.form, o.form...), append(r.num, o.num...)
	r.length, r.payload = append(r.length, o.length...), append(r.payload, o.payload...)
	for _, t := range o.tags {
		if t != 0 && t%2 == 0 {
			id, _, _ := r.own.add(o.own.sets[t/2-1], math.MaxInt, math.MaxInt)
			t = 2*id + 2
		}
		r.tags = append(r.tags, t)
	}
	r.decimals += o.decimals
	r.deletes += o.deletes
	r.tagBits |= o.tagBits
	r.tagged = r.tagged || o.tagged
}

// timeBounds returns the smallest and the largest time.
func (r *run) timeBounds() (lo, hi uint64) {
	lo, hi = r.time[0], r.time[0]
	for _, t := range r.time {
		lo, hi = min(lo, t), max(hi, t)
	}
	return lo, hi
}

// sameForms reports whether all rows have the form of the first one.
func (r *run) sameForms() bool {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(r.form))), len(r.form))
	return bytes.Equal(b[1:], b[:len(b)-1])
}

// numeric reports whether at least 95 % of the rows are decimals.
func (r *run) numeric() bool { return r.decimals*100 >= r.rows()*95 }

// maxMantissa bounds the mantissa of a decimal: 18 digits.
const maxMantissa = 1_000_000_000_000_000_000

// extend appends n zeros.
func extend(s []uint64, n int) []uint64 {
	if cap(s)-len(s) < n {
		s = append(s, make([]uint64, n)...)
		return s
	}
	s = s[:len(s)+n]
	clear(s[len(s)-n:])
	return s
}
