package command

import (
	"slices"
	"strconv"

	"tskv/kv"
)

// rowEncoder turns rows into RESP records: [id, value] or [id, value, [tags]].
// Text is what limits a scan, so the digits are written here and not piece by
// piece: a time is its digits above 10^8, which change about once a day, and
// eight digits more.
type rowEncoder struct {
	withTags   bool
	high       uint64   // time / 10^8 of head; 0: none yet
	head       [48]byte // "*2 CRLF $len CRLF" and the digits of high, for the sequence 0
	headLength int
}

const timeLow = 100_000_000

// fixedRow is room for everything of a row whose value is a decimal.
const fixedRow = 160

// append appends row i of rows.
func (e *rowEncoder) append(dst []byte, rows *kv.Rows, i int) []byte {
	dst = slices.Grow(dst, fixedRow)
	if e.withTags {
		dst = append(dst, "*3\r\n"...)
	} else {
		dst = append(dst, "*2\r\n"...)
	}
	time, seq := rows.Time[i], rows.Seq[i]
	if high := time / timeLow; seq == 0 && high != 0 {
		if high != e.high {
			e.setHigh(high)
		}
		dst = append(dst, e.head[:e.headLength]...)
		n := len(dst)
		dst = dst[:n+12]
		putDigits8(dst[n:n+8], uint32(time%timeLow))
		copy(dst[n+8:], "-0\r\n")
	} else {
		dst = appendBulkID(dst, kv.ID{Time: time, Seq: seq})
	}
	if form := rows.Form[i]; form.IsDecimal() {
		dst = appendBulkDecimal(dst, rows.Num[i], uint8(form))
	} else {
		dst = appendBulk(dst, rows.Raw[i])
	}
	if e.withTags {
		dst = appendTags(dst, rows, i)
	}
	return dst
}

func (e *rowEncoder) setHigh(high uint64) {
	digits := strconv.AppendUint(nil, high, 10)
	head := append(e.head[:0], '$')
	head = strconv.AppendInt(head, int64(len(digits)+8+len("-0")), 10)
	head = append(append(head, "\r\n"...), digits...)
	e.high, e.headLength = high, len(head)
}

func appendBulkID(dst []byte, id kv.ID) []byte {
	var text [41]byte
	return appendBulk(dst, id.Append(text[:0]))
}

func appendBulk(dst, value []byte) []byte {
	dst = append(dst, '$')
	if n := len(value); n < 10 {
		dst = append(dst, byte('0'+n))
	} else {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	dst = append(dst, "\r\n"...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendBulkDecimal writes kv.AppendDecimal's text as a bulk, for scales up to
// kv.MaxScale: its text never needs more than 32 bytes.
func appendBulkDecimal(dst []byte, mantissa int64, scale uint8) []byte {
	m := uint64(mantissa)
	if mantissa < 0 {
		m = -m
	}
	var text [32]byte
	i := len(text)
	if scale > 0 {
		left := scale
		for ; left >= 2; left -= 2 {
			pair := m % 100 * 2
			m /= 100
			i -= 2
			text[i&31], text[(i+1)&31] = digitPairs[pair], digitPairs[pair+1]
		}
		if left == 1 {
			i--
			text[i&31] = byte('0' + m%10)
			m /= 10
		}
		i--
		text[i&31] = '.'
	}
	for m >= 100 {
		pair := m % 100 * 2
		m /= 100
		i -= 2
		text[i&31], text[(i+1)&31] = digitPairs[pair], digitPairs[pair+1]
	}
	if m >= 10 {
		i -= 2
		text[i&31], text[(i+1)&31] = digitPairs[m*2], digitPairs[m*2+1]
	} else {
		i--
		text[i&31] = byte('0' + m)
	}
	if mantissa < 0 {
		i--
		text[i&31] = '-'
	}
	return appendBulk(dst, text[i:])
}

// digitPairs holds "00", "01" ... "99".
const digitPairs = "0001020304050607080910111213141516171819" +
	"2021222324252627282930313233343536373839" +
	"4041424344454647484950515253545556575859" +
	"6061626364656667686970717273747576777879" +
	"8081828384858687888990919293949596979899"

// putDigits8 writes n < 10^8 with leading zeros into dst[:8].
func putDigits8(dst []byte, n uint32) {
	_ = dst[7]
	high, low := n/10_000, n%10_000
	a, b, c, d := high/100*2, high%100*2, low/100*2, low%100*2
	dst[0], dst[1] = digitPairs[a], digitPairs[a+1]
	dst[2], dst[3] = digitPairs[b], digitPairs[b+1]
	dst[4], dst[5] = digitPairs[c], digitPairs[c+1]
	dst[6], dst[7] = digitPairs[d], digitPairs[d+1]
}

func appendTags(dst []byte, rows *kv.Rows, i int) []byte {
	var tags kv.TagSet
	if i < len(rows.Tags) {
		tags = rows.Tags[i]
	}
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(tags.Len()), 10)
	dst = append(dst, "\r\n"...)
	for tag := range tags.All() {
		dst = appendBulk(dst, tag)
	}
	return dst
}
