package inspect

import (
	"fmt"
	"strconv"
)

// maxQuoted is how much of a key or value is shown.
const maxQuoted = 64

// The first byte of internal keys, as docs/formats.md has it.
const (
	spaceCatalog = 0x01
	spaceData    = 0x02
)

// quote shows bytes as ASCII text in quotes; longer ones are cut short.
func quote(b []byte) string {
	if len(b) <= maxQuoted {
		return strconv.QuoteToASCII(string(b))
	}
	return fmt.Sprintf("%s...(%d bytes)", strconv.QuoteToASCII(string(b[:maxQuoted])), len(b))
}

func quoteRange(first, last []byte) string {
	if string(first) == string(last) {
		return Key(first)
	}
	return Key(first) + " to " + Key(last)
}

// Key shows an internal key: the user's key in quotes, with "catalog" before
// it for the row that the catalog has of it.
func Key(key []byte) string {
	switch {
	case len(key) > 0 && key[0] == spaceCatalog:
		return "catalog " + quote(key[1:])
	case len(key) > 0 && key[0] == spaceData:
		return quote(key[1:])
	}
	return "internal " + quote(key)
}
