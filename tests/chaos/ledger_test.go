package chaos

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// A writer owns its keys, so what they hold is known exactly. Its n-th command
// is one group: a PUT, or an MPUT of one record into each of several keys, which
// must be there whole or not at all.
//
// status of a command: only asked, or answered.
type command struct {
	keys  []int // of the writer's keys
	acked bool
}

// ledger is what one writer asked and got.
type ledger struct {
	seed     uint64
	writer   int
	commands []command
	checked  int // commands before this one were found right after some restart
	acks     int
}

// keysPerWriter is how many keys a writer spreads its records over.
const keysPerWriter = 8

func (l *ledger) key(i int) string { return fmt.Sprintf("chaos:%02d:%d", l.writer, i) }

// id gives the record of command n its ID: strictly growing, and a little out of
// order within a key for every seventh command.
func (l *ledger) id(n int) string {
	ms := 1_700_000_000_000 + n*10
	if n%7 == 6 {
		ms -= 35
	}
	return fmt.Sprintf("%d-%d", ms, n%3)
}

// value is a function of seed, writer and command, with a checksum: numbers for
// two of three commands, an event of some hundred bytes for the third.
func (l *ledger) value(n, key int) string {
	h := (l.seed+uint64(l.writer))*0x9e3779b97f4a7c15 + uint64(n)*0xbf58476d1ce4e5b9 + uint64(key)*31
	h ^= h >> 29
	body := fmt.Sprintf("%d.%03d", h%100_000, n%1000)
	if n%3 == 0 {
		body = fmt.Sprintf(`{"writer":%d,"n":%d,"pad":"%s"}`, l.writer, n, strings.Repeat(fmt.Sprintf("%x", h), 1+int(h%20)))
		return fmt.Sprintf("%s#%08x", body, crc32.ChecksumIEEE([]byte(body)))
	}
	return body
}

// want is what a record's ID must lead to.
type want struct {
	n     int
	acked bool
}

// expect maps the IDs of one key to the commands from the given one on.
func (l *ledger) expect(key, from int) map[string]want {
	all := map[string]want{}
	for n := from; n < len(l.commands); n++ {
		for _, k := range l.commands[n].keys {
			if k == key {
				all[l.id(n)] = want{n, l.commands[n].acked}
			}
		}
	}
	return all
}
