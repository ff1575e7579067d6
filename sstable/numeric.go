package sstable

import (
	"encoding/binary"
	"fmt"
	"math"

	"tskv/kv"
)

// powers of ten that fit into an int64.
var powers = [kv.MaxScale + 1]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// exceptionSize is the fixed part of an exception.
const exceptionSize = 8

// align finds the block's scale and scale mode and brings the mantissas to it.
// An exception repeats the mantissa before it.
func align(r *run, num, form []uint64) (mode, scale uint8) {
	uniform, first := true, true
	for _, f := range r.form {
		if f.IsDecimal() {
			uniform = uniform && (first || uint8(f) == scale)
			scale, first = max(scale, uint8(f)), false
		}
	}
	mode = scaleUniform
	if !uniform {
		mode = scaleTrimmed
	}
	var prev, prevForm uint64
	for i, f := range r.form {
		if f.IsDecimal() {
			m := int64(r.num[i])
			if !uniform {
				p := powers[scale-uint8(f)]
				if m > math.MaxInt64/p || m < -(math.MaxInt64/p) {
					return unaligned(r, num, form), scale
				}
				m *= p
				if mode == scaleTrimmed && trim(m, scale) != uint8(f) {
					mode = scaleExplicit
				}
			}
			prev, prevForm = uint64(m), uint64(f)
		}
		num[i], form[i] = prev, prevForm
	}
	return mode, scale
}

// unaligned leaves the mantissas as they are.
func unaligned(r *run, num, form []uint64) uint8 {
	var prev, prevForm uint64
	for i, f := range r.form {
		if f.IsDecimal() {
			prev, prevForm = r.num[i], uint64(f)
		}
		num[i], form[i] = prev, prevForm
	}
	return scaleUnaligned
}

// trim returns the fewest decimals that write m * 10^-scale without loss.
func trim(m int64, scale uint8) uint8 {
	for scale > 0 && m%10 == 0 {
		m /= 10
		scale--
	}
	return scale
}

// appendExceptions encodes the rows of a numeric block that are no decimals.
func appendExceptions(dst []byte, r *run) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.rows()-r.decimals))
	for i, f := range r.form {
		if !f.IsDecimal() {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(i))
			dst = append(dst, byte(f), 0)
			dst = binary.LittleEndian.AppendUint32(dst, uint32(r.length[i]))
		}
	}
	return append(dst, r.payload...)
}

// exceptions are the rows of a numeric block that are no decimals.
type exceptions struct {
	rows  []uint16
	forms []kv.Form
	ends  []uint32
	data  []byte // shares the block's memory
}

func (e *exceptions) parse(p []byte, rows int) error {
	e.rows, e.forms, e.ends, e.data = e.rows[:0], e.forms[:0], e.ends[:0], nil
	if p == nil {
		return nil
	}
	if len(p) < 2 {
		return fmt.Errorf("%w: exceptions", errBlock)
	}
	n := int(binary.LittleEndian.Uint16(p))
	if n > rows || 2+n*exceptionSize > len(p) {
		return fmt.Errorf("%w: %d exceptions", errBlock, n)
	}
	e.data = p[2+n*exceptionSize:]
	last, end := -1, uint64(0)
	for i := range n {
		x := p[2+i*exceptionSize:]
		row, form := binary.LittleEndian.Uint16(x), kv.Form(x[2])
		end += uint64(binary.LittleEndian.Uint32(x[4:]))
		if int(row) <= last || int(row) >= rows || form != kv.FormRaw && form != kv.FormDelete || end > uint64(len(e.data)) {
			return fmt.Errorf("%w: exception %d", errBlock, i)
		}
		last = int(row)
		e.rows, e.forms, e.ends = append(e.rows, row), append(e.forms, form), append(e.ends, uint32(end))
	}
	if end != uint64(len(e.data)) {
		return fmt.Errorf("%w: bytes of exceptions", errBlock)
	}
	return nil
}

// raw returns the bytes of exception i.
func (e *exceptions) raw(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = e.ends[i-1]
	}
	return e.data[start:e.ends[i]:e.ends[i]]
}

// index returns the first exception at or after row.
func (e *exceptions) index(row int) int {
	lo, hi := 0, len(e.rows)
	for lo < hi {
		mid := (lo + hi) / 2
		if int(e.rows[mid]) < row {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
