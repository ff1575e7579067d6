package command

import "bytes"

// maxPattern bounds a glob pattern, because matching takes pattern times text
// steps at worst.
const maxPattern = 4096

// match reports whether text matches a glob pattern by the rules of Redis: "*",
// "?", "[abc]", "[^a]", "[a-z]" and "\" before a literal. Only the last "*" can
// need another try, so the work is bounded by len(pattern) * len(text).
func match(pattern, text []byte) bool {
	p, t := 0, 0
	star, starText := -1, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, starText = p, t
			p++
			continue
		}
		if p < len(pattern) {
			if ok, n := matchOne(pattern[p:], text[t]); ok {
				p += n
				t++
				continue
			}
		}
		if star < 0 {
			return false
		}
		starText++
		p, t = star+1, starText
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the head of a pattern that does not start
// with "*", and returns how long that head is.
func matchOne(pattern []byte, c byte) (bool, int) {
	switch pattern[0] {
	case '?':
		return true, 1
	case '[':
		return matchClass(pattern, c)
	case '\\':
		if len(pattern) > 1 {
			return pattern[1] == c, 2
		}
	}
	return pattern[0] == c, 1
}

// matchClass matches "[...]". As in Redis the closing bracket may be missing at
// the end of the pattern, and a range may be written backwards.
func matchClass(pattern []byte, c byte) (bool, int) {
	i := 1
	negate := i < len(pattern) && pattern[i] == '^'
	if negate {
		i++
	}
	found := false
	for i < len(pattern) && pattern[i] != ']' {
		low, high := pattern[i], pattern[i]
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			low, high = pattern[i], pattern[i]
		case i+2 < len(pattern) && pattern[i+1] == '-':
			high = pattern[i+2]
			i += 2
		}
		found = found || min(low, high) <= c && c <= max(low, high)
		i++
	}
	return found != negate, min(i+1, len(pattern))
}

// literalPrefix returns the bytes with which every match starts.
func literalPrefix(pattern []byte) []byte {
	if n := bytes.IndexAny(pattern, `*?[\`); n >= 0 {
		return pattern[:n]
	}
	return pattern
}
