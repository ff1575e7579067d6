package resp

import "bytes"

// inline reads a command typed as a line: words separated by spaces, with the
// quoting of redis-cli and telnet. An empty line is ignored.
func (d *Decoder) inline(buf []byte, b *Batch) int {
	if isCrossProtocol(buf) {
		return d.fail(ErrCrossProtocol)
	}
	window := buf[:min(len(buf), d.limits.Inline+1)]
	end := bytes.IndexByte(window[min(d.pos, len(window)):], '\n')
	if end < 0 {
		if len(buf) > d.limits.Inline {
			return d.fail(ErrInlineLength)
		}
		d.pos = len(buf)
		return 0
	}
	end += d.pos
	d.pos = 0
	first := len(b.args)
	args, ok := splitWords(buf[:end], b.args)
	b.args = args
	count := len(args) - first
	switch {
	case !ok:
		b.args = args[:first]
		return d.fail(ErrQuotes)
	case !d.authenticated && count > d.limits.UnauthArgs:
		b.args = args[:first]
		return d.fail(ErrUnauthMultibulk)
	case count > 0:
		b.add(first)
	}
	return end + 1
}

func isCrossProtocol(line []byte) bool {
	if len(line) < 5 {
		return false
	}
	head := line[:5]
	return bytes.EqualFold(head, []byte("post ")) || bytes.EqualFold(head, []byte("host:"))
}

// splitWords appends the words of line to args, by the rules of sdssplitargs in
// Redis (sds.c), except that a zero byte is a byte like any other:
//
//   - words are separated by white space;
//   - "..." knows \n \r \t \b \a \xHH, and a backslash before any other byte means
//     that byte; '...' knows \' only;
//   - a quote may open within a word; after the closing quote the word must end.
//
// Words are unescaped in place: they never get longer. False if quotes are
// unbalanced.
func splitWords(line []byte, args [][]byte) ([][]byte, bool) {
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		start := i
		end, next, ok := word(line, i)
		if !ok {
			return args, false
		}
		args = append(args, line[start:end:end])
		i = next
	}
}

// word unescapes the word at i in place and returns where it ends now, and where
// reading goes on.
func word(line []byte, i int) (end, next int, ok bool) {
	end = i
	for i < len(line) {
		switch c := line[i]; c {
		case ' ', '\n', '\r', '\t':
			return end, i, true
		case '"', '\'':
			if end, i, ok = quoted(line, end, i+1, c); !ok {
				return 0, 0, false
			}
			return end, i, i == len(line) || isSpace(line[i])
		default:
			line[end] = c
			end++
			i++
		}
	}
	return end, i, true
}

// quoted unescapes from i up to the closing quote, writing at end.
func quoted(line []byte, end, i int, quote byte) (newEnd, next int, ok bool) {
	for i < len(line) {
		c := line[i]
		switch {
		case c == quote:
			return end, i + 1, true
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			c = hexDigit(line[i+2])<<4 | hexDigit(line[i+3])
			i += 4
		case c == '\\' && quote == '"' && i+1 < len(line):
			c = unescape(line[i+1])
			i += 2
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			c = '\''
			i += 2
		default:
			i++
		}
		line[end] = c
		end++
	}
	return 0, 0, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// SplitArgs splits a line that a user typed into arguments, by the rules of
// inline commands and without their limits. The arguments do not share memory
// with line. The error is ErrQuotes.
func SplitArgs(line []byte) ([][]byte, error) {
	args, ok := splitWords(bytes.Clone(line), nil)
	if !ok {
		return nil, ErrQuotes
	}
	return args, nil
}
