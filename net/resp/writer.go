package resp

import (
	"math"
	"strconv"

	"github.com/tidwall/redcon"
)

// Writer encodes replies into a buffer, for protocol 2 (the zero Writer) or 3.
// Types that RESP2 lacks take the form in which Redis sends them there. Nothing
// else than what PROTOCOL.md allows is ever emitted: no streamed types, no
// attributes.
//
// With OnFull the buffer stays within its limit whatever is written.
type Writer struct {
	buf   []byte
	full  func() // empties the buffer
	limit int    // bytes at which full is called
	mark  int    // length of buf at Mute
	rest  int    // bytes of the bulk being written that are not in buf yet
	resp3 bool
	muted bool
}

// Protocol returns 2 or 3.
func (w *Writer) Protocol() int {
	if w.resp3 {
		return 3
	}
	return 2
}

// SetProtocol chooses 2 or 3 for what follows.
func (w *Writer) SetProtocol(version int) { w.resp3 = version == 3 }

// OnFull has full called whenever limit bytes are buffered; it must send or
// discard Bytes and call Reset. Long bulks are cut at the limit, so the buffer
// never holds more than limit bytes and one short element.
func (w *Writer) OnFull(limit int, full func()) { w.limit, w.full = limit, full }

// Bytes returns what is to be sent; valid until the next call of another method.
func (w *Writer) Bytes() []byte {
	if w.muted {
		return w.buf[:w.mark]
	}
	return w.buf
}

// Len returns the number of bytes to be sent.
func (w *Writer) Len() int {
	if w.muted {
		return w.mark
	}
	return len(w.buf)
}

// Rest returns, while OnFull's function runs, how many bytes of a long bulk its
// writer still holds.
func (w *Writer) Rest() int { return w.rest }

// Reset empties the buffer and keeps its memory.
func (w *Writer) Reset() {
	w.buf = w.buf[:0]
	w.mark = 0
}

// SetBuffer gives the writer the memory of buf and empties it. Nothing may be
// pending.
func (w *Writer) SetBuffer(buf []byte) {
	w.buf = buf[:0]
	w.mark = 0
}

// TakeBuffer takes the memory back, so that an idle connection holds none.
func (w *Writer) TakeBuffer() []byte {
	buf := w.buf
	w.buf, w.mark = nil, 0
	return buf
}

// Truncate drops everything after the first n bytes.
func (w *Writer) Truncate(n int) {
	if n < len(w.buf) {
		w.buf = w.buf[:max(n, w.mark)]
	}
}

// Mute throws away what is written until Unmute (CLIENT REPLY OFF).
func (w *Writer) Mute() {
	if !w.muted {
		w.muted, w.mark = true, len(w.buf)
	}
}

// Unmute ends Mute.
func (w *Writer) Unmute() {
	if w.muted {
		w.buf = w.buf[:w.mark]
		w.muted, w.mark = false, 0
	}
}

// Raw appends bytes that are encoded already.
func (w *Writer) Raw(b []byte) {
	payload(w, b)
	w.check()
}

// OK writes +OK.
func (w *Writer) OK() {
	w.buf = redcon.AppendOK(w.buf)
	w.check()
}

// SimpleString writes a short status; CR and LF become spaces.
func (w *Writer) SimpleString(s string) {
	w.buf = redcon.AppendString(w.buf, s)
	w.check()
}

// Error writes an error, whose first word is its code ("ERR syntax error"); CR
// and LF become spaces, whatever the text came from.
func (w *Writer) Error(s string) {
	w.buf = redcon.AppendError(w.buf, s)
	w.check()
}

// Int writes an integer.
func (w *Writer) Int(n int64) {
	w.buf = redcon.AppendInt(w.buf, n)
	w.check()
}

// Uint writes an integer; beyond the signed 64 bits that clients read, as a bulk.
func (w *Writer) Uint(n uint64) {
	if n > math.MaxInt64 {
		w.buf = redcon.AppendBulkUint(w.buf, n)
	} else {
		w.buf = redcon.AppendUint(w.buf, n)
	}
	w.check()
}

// Bulk writes a string of any bytes.
func (w *Writer) Bulk(b []byte) {
	if w.isLong(len(b)) {
		longBulk(w, b)
		return
	}
	w.buf = redcon.AppendBulk(w.buf, b)
	w.check()
}

// BulkString is Bulk for a string.
func (w *Writer) BulkString(s string) {
	if w.isLong(len(s)) {
		longBulk(w, s)
		return
	}
	w.buf = redcon.AppendBulkString(w.buf, s)
	w.check()
}

// Null writes the absent value.
func (w *Writer) Null() {
	if w.resp3 {
		w.buf = append(w.buf, "_\r\n"...)
	} else {
		w.buf = redcon.AppendNull(w.buf)
	}
	w.check()
}

// NullArray writes the absent array.
func (w *Writer) NullArray() {
	if w.resp3 {
		w.buf = append(w.buf, "_\r\n"...)
	} else {
		w.buf = redcon.AppendArray(w.buf, -1)
	}
	w.check()
}

// ArrayHeader begins an array of n elements, n ≥ 0; they follow.
func (w *Writer) ArrayHeader(n int) {
	w.buf = redcon.AppendArray(w.buf, n)
	w.check()
}

// MapHeader begins a map of n pairs, n ≥ 0; keys and values follow in turn. In
// RESP2 it is an array of 2n.
func (w *Writer) MapHeader(n int) {
	if w.resp3 {
		w.header('%', n)
	} else {
		w.buf = redcon.AppendArray(w.buf, 2*n)
	}
	w.check()
}

// SetHeader begins a set of n elements; in RESP2 an array.
func (w *Writer) SetHeader(n int) {
	w.aggregate('~', n)
}

// PushHeader begins an out-of-band message of n elements; in RESP2 an array. Only
// for what the client asked for (SUBSCRIBE).
func (w *Writer) PushHeader(n int) {
	w.aggregate('>', n)
}

// Bool writes true or false; in RESP2 1 or 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.resp3 && b:
		w.buf = append(w.buf, "#t\r\n"...)
	case w.resp3:
		w.buf = append(w.buf, "#f\r\n"...)
	case b:
		w.buf = redcon.AppendInt(w.buf, 1)
	default:
		w.buf = redcon.AppendInt(w.buf, 0)
	}
	w.check()
}

// Double writes a number with the fewest digits that read back the same; in
// RESP2 as a bulk. Infinity and not-a-number are inf, -inf and nan.
func (w *Writer) Double(f float64) {
	var digits [32]byte
	text := appendDouble(digits[:0], f)
	if w.resp3 {
		w.line(',', text)
	} else {
		w.buf = redcon.AppendBulk(w.buf, text)
	}
	w.check()
}

// Verbatim writes text with a format of three letters ("txt"); in RESP2 a bulk.
func (w *Writer) Verbatim(format, text string) {
	if !w.resp3 {
		w.BulkString(text)
		return
	}
	if len(format) != 3 {
		panic("BUG: resp: the format of a verbatim string has three letters")
	}
	w.header('=', len(format)+1+len(text))
	w.buf = append(append(w.buf, format...), ':')
	payload(w, text)
	w.buf = append(w.buf, '\r', '\n')
	w.check()
}

// BigNumber writes an integer of any size, given as decimal digits with an
// optional minus; in RESP2 a bulk.
func (w *Writer) BigNumber(digits string) {
	if w.resp3 {
		w.line('(', []byte(digits))
	} else {
		w.buf = redcon.AppendBulkString(w.buf, digits)
	}
	w.check()
}

func (w *Writer) aggregate(kind byte, n int) {
	if w.resp3 {
		w.header(kind, n)
	} else {
		w.buf = redcon.AppendArray(w.buf, n)
	}
	w.check()
}

func (w *Writer) header(kind byte, n int) {
	w.buf = strconv.AppendInt(append(w.buf, kind), int64(n), 10)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *Writer) line(kind byte, text []byte) {
	w.buf = append(append(w.buf, kind), text...)
	w.buf = append(w.buf, '\r', '\n')
}

// isLong reports whether n bytes must be written in pieces.
func (w *Writer) isLong(n int) bool { return w.full != nil && n > w.limit/2 }

func longBulk[T string | []byte](w *Writer, b T) {
	w.header('$', len(b))
	payload(w, b)
	w.buf = append(w.buf, '\r', '\n')
	w.check()
}

// payload appends b, emptying the buffer whenever it is full.
func payload[T string | []byte](w *Writer, b T) {
	if w.full != nil {
		for len(w.buf)+len(b) > w.limit {
			n := max(0, w.limit-len(w.buf))
			w.buf = append(w.buf, b[:n]...)
			b = b[n:]
			w.rest = len(b)
			w.empty()
		}
		w.rest = 0
	}
	w.buf = append(w.buf, b...)
}

func (w *Writer) check() {
	if w.full != nil && len(w.buf) >= w.limit {
		w.empty()
	}
}

func (w *Writer) empty() {
	if w.muted && len(w.buf) > w.mark {
		w.buf = w.buf[:w.mark]
		if len(w.buf) < w.limit {
			return
		}
	}
	w.full()
	w.buf = w.buf[:0]
	w.mark = 0
}

// appendDouble writes plain digits where Redis does, an exponent beyond.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e17) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// AppendCommand appends a request, as clients send it.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = redcon.AppendArray(dst, len(args))
	for _, arg := range args {
		dst = redcon.AppendBulk(dst, arg)
	}
	return dst
}
