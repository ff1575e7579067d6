package inspect

import (
	"fmt"
	"strconv"

	"tskv/compaction"
)

// maxQuoted is how much of a key or value is shown.
const maxQuoted = 64

// The first byte of internal keys, as docs/formats.md has it.
const (
	spaceCatalog = 0x01
	spaceData    = 0x02
	spaceExpiry  = 0x03 // the whole key: an index of the keys that have an expiry
	spaceClass   = 0x10 // in the log: data of the class that is added to it
)

// splitKey returns the name of an internal key's space, and the rest; no name for
// bytes of another layout.
func splitKey(key []byte) (space string, rest []byte) {
	switch {
	case len(key) == 0:
	case key[0] == spaceCatalog:
		return "catalog", key[1:]
	case key[0] == spaceData:
		return "data", key[1:]
	case key[0] == spaceExpiry && len(key) == 1:
		return "expiries", key[1:]
	case key[0] >= spaceClass && key[0] < spaceClass+compaction.ClassData:
		return fmt.Sprintf("class-%d", key[0]-spaceClass), key[1:]
	}
	return "", key
}

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
	switch space, rest := splitKey(key); space {
	case "data":
		return quote(rest)
	case "":
		return "internal " + quote(rest)
	default:
		return space + " " + quote(rest)
	}
}
