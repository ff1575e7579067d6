package resp

import "math"

// Command is one request: its name and arguments. The slices point into the
// buffer that was decoded and are valid as long as its bytes are.
type Command struct {
	Args [][]byte
}

// Batch receives the commands of one Decode call. It owns the memory of the
// argument headers and is meant to be reused; the zero Batch is ready.
type Batch struct {
	Commands []Command
	args     [][]byte
	dirty    int // headers of args that may still point into some buffer
}

// keptHeaders is how many headers a released Batch keeps room for: enough for a
// pipeline of 64 commands of 16 arguments.
const keptHeaders = 1024

// Release forgets the commands, so that the batch no longer keeps their buffer
// alive, and drops memory that only a burst needed.
func (b *Batch) Release() {
	b.dirty = max(b.dirty, len(b.args))
	if cap(b.args) > keptHeaders {
		b.args, b.dirty = nil, 0
	}
	clear(b.args[:b.dirty])
	b.args, b.dirty = b.args[:0], 0
	if cap(b.Commands) > keptHeaders {
		b.Commands = nil
	}
	clear(b.Commands)
	b.Commands = b.Commands[:0]
}

func (b *Batch) begin() {
	b.dirty = max(b.dirty, len(b.args))
	b.args = b.args[:0]
	b.Commands = b.Commands[:0]
}

func (b *Batch) add(first int) {
	b.Commands = append(b.Commands, Command{Args: b.args[first:len(b.args):len(b.args)]})
}

// span is the place of an argument relative to the start of its command. Offsets
// and not slices, because the caller may move a command that is not yet whole.
type span struct{ start, end uint32 }

// keptSpans is how many spans Shrink leaves a Decoder: 128 bytes per connection.
const keptSpans = 16

const noBulk = -1

// Decoder turns bytes into commands. It is a state machine that goes on where it
// stopped: work is linear in the number of bytes however they are cut into
// packets, and nothing is allocated because of a declared length.
type Decoder struct {
	limits        *Limits
	err           error
	spans         []span // finished arguments of the command in progress
	pos           int    // offset in that command where decoding goes on
	left          int    // arguments still to come; 0 between commands
	bulk          int    // length of the argument at pos; noBulk before its '$' line
	authenticated bool
}

// NewDecoder returns a decoder with valid limits, which it shares with the
// caller. It starts authenticated.
func NewDecoder(limits *Limits) *Decoder {
	return &Decoder{limits: limits, bulk: noBulk, authenticated: true}
}

// SetAuthenticated switches between the full limits and those for strangers.
// Before authentication Decode returns one command at a time, because AUTH
// changes the limits for what follows it in the same packet.
func (d *Decoder) SetAuthenticated(yes bool) { d.authenticated = yes }

// Need returns how many bytes are missing at least to complete what is being
// read, given the number of bytes that Decode left; it is at least 1. It is a
// hint for the size of the next read and no promise by the client.
func (d *Decoder) Need(have int) int {
	if d.bulk == noBulk {
		return 1
	}
	return max(1, d.pos+d.bulk+len("\r\n")-have)
}

// Shrink drops memory that only a long command needed. Call it when the
// connection falls idle.
func (d *Decoder) Shrink() {
	if d.left == 0 && cap(d.spans) > keptSpans {
		d.spans = nil
	}
}

// Decode reads all complete commands of buf into b, replacing what was there,
// and returns how many bytes they took. The caller keeps the rest and calls
// again with that rest, unchanged, followed by more bytes; the rest may have
// moved in memory. Decode unescapes inline commands within buf.
//
// A malformed request ends it with a *ProtocolError or ErrCrossProtocol, for good;
// the commands in b are those before it and are to be served.
func (d *Decoder) Decode(buf []byte, b *Batch) (int, error) {
	b.begin()
	used := 0
	for used < len(buf) && d.err == nil {
		n := d.next(buf[used:], b)
		used += n
		if n == 0 || !d.authenticated && len(b.Commands) > 0 {
			break
		}
	}
	return used, d.err
}

// next reads one command, or something to be ignored, and returns its length; 0
// if it is not complete or is malformed (d.err).
func (d *Decoder) next(buf []byte, b *Batch) int {
	if d.left > 0 {
		return d.arguments(buf, b)
	}
	if buf[0] != '*' {
		return d.inline(buf, b)
	}
	count, pos := parseLength(buf, 1)
	if pos <= 0 {
		if pos == 0 && len(buf) > 1 && buf[1] == '-' {
			return d.negative(buf)
		}
		return d.stop(pos, ErrMultibulkLength)
	}
	if count > d.limits.Args {
		return d.fail(ErrMultibulkLength)
	}
	if !d.authenticated && count > d.limits.UnauthArgs {
		return d.fail(ErrUnauthMultibulk)
	}
	if count == 0 {
		return pos
	}
	d.left, d.pos, d.spans = count, pos, d.spans[:0]
	return d.arguments(buf, b)
}

// arguments goes on with a command whose count is known.
func (d *Decoder) arguments(buf []byte, b *Batch) int {
	pos, spans := d.pos, d.spans
	for d.left > 0 {
		if d.bulk == noBulk {
			n, at := d.bulkLength(buf, pos)
			if at == 0 {
				d.pos, d.spans = pos, spans
				return 0
			}
			d.bulk, pos = n, at
		}
		end := pos + d.bulk
		if end+2 > len(buf) {
			d.pos, d.spans = pos, spans
			return 0
		}
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return d.fail(ErrBulkLength)
		}
		spans = append(spans, span{uint32(pos), uint32(end)})
		pos = end + 2
		d.left--
		d.bulk = noBulk
	}
	first := len(b.args)
	args := b.args
	for _, s := range spans {
		args = append(args, buf[s.start:s.end:s.end])
	}
	b.args, d.spans, d.pos = args, spans, 0
	b.add(first)
	return pos
}

// bulkLength reads the line "$<length>" at pos and returns the length and where
// the argument begins; 0 there if the line is not complete or is malformed.
func (d *Decoder) bulkLength(buf []byte, pos int) (n, at int) {
	if pos >= len(buf) {
		return 0, 0
	}
	if buf[pos] != '$' {
		return 0, d.fail(errExpectedBulk(buf[pos]))
	}
	n, at = parseLength(buf, pos+1)
	switch {
	case at <= 0:
		return 0, d.stop(at, ErrBulkLength)
	case n > d.limits.Bulk || at+n+2 > d.limits.Command:
		return 0, d.fail(ErrBulkLength)
	case !d.authenticated && n > d.limits.UnauthBulk:
		return 0, d.fail(ErrUnauthBulk)
	}
	return n, at
}

// negative ignores a line "*-<number>", as Redis does.
func (d *Decoder) negative(buf []byte) int {
	if len(buf) == 2 {
		return 0
	}
	if buf[2] == '0' {
		return d.fail(ErrMultibulkLength)
	}
	_, pos := parseLength(buf, 2)
	if pos <= 0 {
		return d.stop(pos, ErrMultibulkLength)
	}
	return pos
}

// fail makes err the end of this connection's requests.
func (d *Decoder) fail(err error) int {
	d.err = err
	return 0
}

// stop tells an incomplete length (pos < 0) from a malformed one (0).
func (d *Decoder) stop(pos int, err error) int {
	if pos == 0 {
		d.err = err
	}
	return 0
}

// maxDigits bounds a length line; 20 digits hold every unsigned 64-bit number.
const maxDigits = 20

// parseLength reads decimal digits and CR LF at pos: no sign, no leading zero. It
// returns the number and the offset after the line; the offset is 0 if the line
// is malformed and -1 if it is not complete. Numbers beyond int are math.MaxInt,
// which every limit refuses.
func parseLength(buf []byte, pos int) (n, next int) {
	start := pos
	for ; pos < len(buf); pos++ {
		c := buf[pos] - '0'
		if c > 9 {
			break
		}
		if pos-start >= maxDigits || n == 0 && pos > start {
			return 0, 0
		}
		if n > (math.MaxInt-9)/10 {
			n = math.MaxInt
			continue
		}
		n = n*10 + int(c)
	}
	switch {
	case pos == len(buf):
		return 0, -1
	case buf[pos] != '\r' || pos == start:
		return 0, 0
	case pos+1 == len(buf):
		return 0, -1
	case buf[pos+1] != '\n':
		return 0, 0
	}
	return n, pos + 2
}
