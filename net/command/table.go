package command

import (
	"strings"
)

// flags say how a command behaves. The names are those of COMMAND INFO.
type flags uint16

const (
	flagWrite    flags = 1 << iota // changes data
	flagReadonly                   // reads data
	flagAdmin
	flagLoading // may run while the store is loading
	flagFast
	flagNoAuth // may run before AUTH
	flagNoScript
	flagStale
	flagSensitive // its arguments are kept out of the slow log
	// flagQueued is no flag of Redis: the command only adds operations to the
	// session's batch and is answered when that is applied. All other commands
	// wait for the batch first, so a client reads what it wrote.
	flagQueued
	// flagNow is no flag of Redis: inside MULTI the command is executed at once and
	// not made part of the transaction.
	flagNow
	flagNoMulti // may not be part of a transaction
	// flagSubscriber is no flag of Redis: the command may run while a connection with
	// RESP2 listens to channels.
	flagSubscriber
)

// flagNames are in the order of the bits.
func flagNames(f flags) []string {
	var names []string
	for i, name := range []string{"write", "readonly", "admin", "loading", "fast", "no_auth", "noscript", "stale", "skip_slowlog"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if f&flagNoMulti != 0 {
		names = append(names, "no_multi")
	}
	return names
}

// spec is one row of the command table: everything that is known about a
// command. COMMAND, the argument check, the metrics and docs/commands.md come
// from it.
type spec struct {
	name    string // lower case
	arity   int    // number of arguments with the name; negative: at least
	flags   flags
	keys    keySpec
	group   string // as in COMMAND DOCS
	since   string // version of tskv
	syntax  string // the arguments, after the name
	summary string
	run     func(*session, [][]byte) error // nil: there are only subcommands
	subs    []spec

	full  string // "client|list"
	index int    // in the metrics
}

// keySpec says where the keys are, as in COMMAND INFO; zero: there are none.
type keySpec struct{ first, last, step int }

func (sp *spec) accepts(args int) bool {
	return args == sp.arity || sp.arity < 0 && args >= -sp.arity
}

func (sp *spec) sub(name []byte) *spec {
	for i := range sp.subs {
		if equalFold(name, sp.subs[i].name) {
			return &sp.subs[i]
		}
	}
	return nil
}

// usage returns how the command is called.
func (sp *spec) usage() string {
	return strings.TrimSpace(upper(strings.ReplaceAll(sp.full, "|", " ")) + " " + sp.syntax)
}

// table is the list of all commands, sorted by name.
type table struct {
	list   []*spec
	byName map[string]*spec
	all    []*spec // subcommands included, by index
}

// newTable builds the table. It panics if two rows have one name.
func newTable() *table {
	t := &table{byName: map[string]*spec{}}
	for _, family := range [][]spec{
		connectionCommands(), clientCommands(), seriesCommands(), stringCommands(), keyCommands(), expireCommands(), expiringValues(), retainCommands(),
		serverCommands(), maintenanceCommands(), configCommands(), observeCommands(), commandCommands(), transactionCommands(), pubsubCommands(), monitorCommands(),
	} {
		for i := range family {
			t.add(&family[i])
		}
	}
	return t
}

func (t *table) add(sp *spec) {
	if t.byName[sp.name] != nil {
		panic("BUG: command: two rows for " + sp.name)
	}
	t.byName[sp.name] = sp
	t.list = append(t.list, sp)
	sp.full = sp.name
	t.number(sp)
	for i := range sp.subs {
		sub := &sp.subs[i]
		sub.full = sp.name + "|" + sub.name
		if sub.group == "" {
			sub.group = sp.group
		}
		if sub.since == "" {
			sub.since = sp.since
		}
		t.number(sub)
	}
}

func (t *table) number(sp *spec) {
	sp.index = len(t.all)
	t.all = append(t.all, sp)
}

func (t *table) fullNames() []string {
	names := make([]string, len(t.all))
	for i, sp := range t.all {
		names[i] = sp.full
	}
	return names
}

// find looks a command up, upper or lower case; nil if there is none.
func (t *table) find(name []byte) *spec {
	var lower [24]byte
	if len(name) > len(lower) {
		return nil
	}
	for i, c := range name {
		lower[i] = lowerByte(c)
	}
	return t.byName[string(lower[:len(name)])]
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares text with a word in lower case.
func equalFold(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i, c := range text {
		if lowerByte(c) != word[i] {
			return false
		}
	}
	return true
}

func upper(s string) string { return strings.ToUpper(s) }
