package sstable

import "encoding/binary"

// loadPad is how many bytes after the last packed byte must be readable: the
// unpacker loads 8 bytes at a time. Every block ends with that many zero bytes.
const loadPad = 8

func load64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

// packedLen returns the bytes that n values of width bits take.
func packedLen(n int, width uint8) int { return (n*int(width) + 7) / 8 }

// pack appends the low width bits of every value, least significant bit first.
func pack(dst []byte, values []uint64, width uint8) []byte {
	if width == 0 {
		return dst
	}
	start, size := len(dst), packedLen(len(values), width)
	dst = grow(dst, size+8)
	out := dst[start : start+size+8]
	switch {
	case width <= 8:
		values, out = packOctets(out, values, uint(width))
	case width <= 16:
		values, out = packQuads(out, values, uint(width))
	}
	packRest(out, values, uint(width))
	return dst[:start+size]
}

// packOctets packs eight values of at most 8 bits at a time; it returns what is
// left of both.
func packOctets(out []byte, v []uint64, w uint) ([]uint64, []byte) {
	for len(v) >= 8 {
		d := v[:8:8]
		x := d[0] | d[1]<<(w&63) | d[2]<<(2*w&63) | d[3]<<(3*w&63)
		y := d[4] | d[5]<<(w&63) | d[6]<<(2*w&63) | d[7]<<(3*w&63)
		binary.LittleEndian.PutUint64(out, x|y<<(4*w&63))
		v, out = v[8:], out[w:]
	}
	return v, out
}

// packQuads packs eight values of 9 to 16 bits at a time.
func packQuads(out []byte, v []uint64, w uint) ([]uint64, []byte) {
	for len(v) >= 8 {
		d := v[:8:8]
		x := d[0] | d[1]<<(w&63) | d[2]<<(2*w&63) | d[3]<<(3*w&63)
		y := d[4] | d[5]<<(w&63) | d[6]<<(2*w&63) | d[7]<<(3*w&63)
		binary.LittleEndian.PutUint64(out, x|y<<(4*w)) // a shift of 64 gives 0
		binary.LittleEndian.PutUint64(out[8:], y>>(64-4*w))
		v, out = v[8:], out[w:]
	}
	return v, out
}

// packRest packs values of any width one by one.
func packRest(out []byte, values []uint64, w uint) {
	var acc uint64
	used, at := uint(0), 0
	for _, v := range values {
		acc |= v << used
		used += w
		if used >= 64 {
			binary.LittleEndian.PutUint64(out[at:], acc)
			at += 8
			used -= 64
			acc = v >> (w - used) // a shift of 64 or more gives 0
		}
	}
	if used > 0 {
		binary.LittleEndian.PutUint64(out[at:], acc)
	}
}

// grow makes room for n more bytes and returns dst that much longer.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		bigger := make([]byte, len(dst), 2*cap(dst)+n)
		copy(bigger, dst)
		dst = bigger
	}
	return dst[:len(dst)+n]
}

// unpack sets every dst[i] to base plus the i-th packed value (wrapping). src
// must hold packedLen(len(dst), width) + loadPad bytes.
func unpack(dst []uint64, src []byte, width uint8, base uint64) {
	w := int(width)
	whole := len(dst) &^ 7
	switch {
	case w == 0:
		for i := range dst {
			dst[i] = base
		}
		return
	case w <= 8:
		unpackOctets(dst[:whole], src, w, base)
	case w <= 16:
		unpackQuads(dst[:whole], src, w, base)
	case w <= 29:
		unpackPairs(dst[:whole], src, w, base)
	default:
		whole = 0
	}
	for i := whole; i < len(dst); i++ {
		dst[i] = base + unpackOne(src, i, width)
	}
}

// unpackOctets decodes widths to 8: eight values in one load.
func unpackOctets(dst []uint64, src []byte, w int, base uint64) {
	mask, s := uint64(1)<<w-1, uint(w)
	for len(dst) >= 8 {
		v := load64(src, 0)
		src = src[w:]
		d := dst[:8:8]
		dst = dst[8:]
		d[0] = base + v&mask
		v >>= s & 63
		d[1] = base + v&mask
		v >>= s & 63
		d[2] = base + v&mask
		v >>= s & 63
		d[3] = base + v&mask
		v >>= s & 63
		d[4] = base + v&mask
		v >>= s & 63
		d[5] = base + v&mask
		v >>= s & 63
		d[6] = base + v&mask
		v >>= s & 63
		d[7] = base + v&mask
	}
}

// unpackQuads decodes widths to 16: four values in one load.
func unpackQuads(dst []uint64, src []byte, w int, base uint64) {
	mask, s := uint64(1)<<w-1, uint(w)
	half, halfShift := w/2, uint(w&1)*4
	for len(dst) >= 8 {
		v, u := load64(src, 0), load64(src, half)>>(halfShift&63)
		src = src[w:]
		d := dst[:8:8]
		dst = dst[8:]
		d[0] = base + v&mask
		d[4] = base + u&mask
		v, u = v>>(s&63), u>>(s&63)
		d[1] = base + v&mask
		d[5] = base + u&mask
		v, u = v>>(s&63), u>>(s&63)
		d[2] = base + v&mask
		d[6] = base + u&mask
		v, u = v>>(s&63), u>>(s&63)
		d[3] = base + v&mask
		d[7] = base + u&mask
	}
}

// unpackPairs decodes widths to 29: two values in one load.
func unpackPairs(dst []uint64, src []byte, w int, base uint64) {
	mask, s := uint64(1)<<w-1, uint(w)
	b1, b2, b3 := 2*w, 4*w, 6*w
	for len(dst) >= 8 {
		v0 := load64(src, 0)
		v1 := load64(src, b1>>3) >> (b1 & 7)
		v2 := load64(src, b2>>3) >> (b2 & 7)
		v3 := load64(src, b3>>3) >> (b3 & 7)
		src = src[w:]
		d := dst[:8:8]
		dst = dst[8:]
		d[0] = base + v0&mask
		d[1] = base + v0>>(s&63)&mask
		d[2] = base + v1&mask
		d[3] = base + v1>>(s&63)&mask
		d[4] = base + v2&mask
		d[5] = base + v2>>(s&63)&mask
		d[6] = base + v3&mask
		d[7] = base + v3>>(s&63)&mask
	}
}

// unpackOne returns the i-th packed value.
func unpackOne(src []byte, i int, width uint8) uint64 {
	w := int(width)
	bit := i * w
	off, shift := bit>>3, uint(bit&7)
	v := load64(src, off) >> shift
	if int(shift)+w > 64 {
		v |= uint64(src[off+8]) << (64 - shift)
	}
	if w < 64 {
		v &= 1<<w - 1
	}
	return v
}
