package kv

import "fmt"

// mantissaLimit is the first number with 19 digits; mantissas lie strictly
// between -mantissaLimit and +mantissaLimit.
const mantissaLimit = 1_000_000_000_000_000_000

// maxDecimalText is the longest canonical text: "-0." and MaxScale digits.
const maxDecimalText = 3 + MaxScale

// validMantissa reports |mantissa| < 10^18 with one comparison.
func validMantissa(mantissa int64) bool {
	return uint64(mantissa+(mantissaLimit-1)) <= 2*(mantissaLimit-1)
}

// ParseDecimal reads a decimal in canonical form: an optional "-", one or more
// digits, and at most one "." with one or more digits behind it. The part
// before the point has no leading zero except the single "0"; a zero has no
// sign; the mantissa (all digits without the point) is below 10^18 and scale, the
// digits behind the point, at most MaxScale.
//
// Under these rules text and (mantissa, scale) are a bijection: AppendDecimal
// gives back the same bytes. All other texts ("007", "1e3", "+1", "-0") are not ok.
func ParseDecimal(text []byte) (mantissa int64, scale uint8, ok bool) {
	if len(text) == 0 || len(text) > maxDecimalText {
		return 0, 0, false
	}
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	whole, n := leadingDigits(0, digits)
	if n == 0 {
		return 0, 0, false
	}
	m, room := whole, MaxScale-n
	if digits[0] == '0' {
		if n > 1 {
			return 0, 0, false
		}
		room = MaxScale // the single zero is no digit of the mantissa
	}
	if n < len(digits) {
		fraction := digits[n+1:]
		if digits[n] != '.' || len(fraction) == 0 || len(fraction) > room {
			return 0, 0, false
		}
		if m, n = leadingDigits(whole, fraction); n != len(fraction) {
			return 0, 0, false
		}
		scale = uint8(n)
	} else if room < 0 {
		return 0, 0, false
	}
	if len(digits) == len(text) {
		return int64(m), scale, true
	}
	return -int64(m), scale, m != 0
}

// leadingDigits appends the digits at the start of text to the number m and
// returns it with their count. It overflows silently: the caller bounds counts.
func leadingDigits(m uint64, text []byte) (uint64, int) {
	for i, c := range text {
		d := uint64(c - '0')
		if d > 9 {
			return m, i
		}
		m = m*10 + d
	}
	return m, len(text)
}

// digitPairs holds "00", "01" ... "99".
const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// AppendDecimal appends the canonical text of mantissa / 10^scale to dst:
// always scale digits behind the point, at least one before it. A mantissa of 19
// digits gets a right text too, but ParseDecimal does not take it. A scale over
// MaxScale is a bug of the caller and panics.
func AppendDecimal(dst []byte, mantissa int64, scale uint8) []byte {
	if scale > MaxScale {
		panic(fmt.Sprintf("BUG: kv: decimal with scale %d", scale))
	}
	var buf [24]byte // a sign, a point and 19 digits fit
	m := uint64(mantissa)
	if mantissa < 0 {
		m = -m
	}
	i := len(buf)
	if scale > 0 {
		left := scale
		for ; left >= 2; left -= 2 {
			pair := m % 100 * 2
			m /= 100
			i -= 2
			buf[i], buf[i+1] = digitPairs[pair], digitPairs[pair+1]
		}
		if left == 1 {
			i--
			buf[i] = byte('0' + m%10)
			m /= 10
		}
		i--
		buf[i] = '.'
	}
	for m >= 100 {
		pair := m % 100 * 2
		m /= 100
		i -= 2
		buf[i], buf[i+1] = digitPairs[pair], digitPairs[pair+1]
	}
	if m >= 10 {
		i -= 2
		buf[i], buf[i+1] = digitPairs[m*2], digitPairs[m*2+1]
	} else {
		i--
		buf[i] = byte('0' + m)
	}
	if mantissa < 0 {
		i--
		buf[i] = '-'
	}
	return append(dst, buf[i:]...)
}
