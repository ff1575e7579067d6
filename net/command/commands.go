package command

import (
	"cmp"
	"slices"
	"strings"
)

func commandCommands() []spec {
	const f = flagLoading | flagStale
	return []spec{
		{
			name: "command", arity: -1, flags: f, group: "server", since: "0.1.0",
			syntax: "[subcommand]", summary: "Describes the commands.", run: (*session).commandAll,
			subs: []spec{
				{name: "count", arity: 2, flags: f, summary: "The number of commands.", run: (*session).commandCount},
				{name: "list", arity: -2, flags: f, syntax: "[FILTERBY MODULE name|ACLCAT category|PATTERN pattern]", summary: "The names of the commands.", run: (*session).commandList},
				{name: "info", arity: -2, flags: f, syntax: "[command ...]", summary: "Arity, flags and keys of commands.", run: (*session).commandInfo},
				{name: "docs", arity: -2, flags: f, syntax: "[command ...]", summary: "Summaries and arguments of commands.", run: (*session).commandDocs},
				{name: "getkeys", arity: -3, flags: f, syntax: "command [arg ...]", summary: "The keys of a command.", run: (*session).commandGetKeys},
				{name: "help", arity: 2, flags: f, summary: "Lists the subcommands.", run: (*session).containerHelp},
			},
		},
		{
			name: "help", arity: -1, flags: f, group: "server", since: "0.1.0",
			syntax: "[command]", summary: "Lists the commands with their arguments.", run: (*session).help,
		},
	}
}

// sorted returns the commands by name.
func (t *table) sorted() []*spec {
	return slices.SortedFunc(slices.Values(t.list), func(a, b *spec) int { return cmp.Compare(a.name, b.name) })
}

func (s *session) commandAll(args [][]byte) error {
	if len(args) > 1 {
		return errUnknownSub("command", args[1])
	}
	list := s.h.table.sorted()
	s.out.ArrayHeader(len(list))
	for _, sp := range list {
		s.writeInfo(sp, sp.name)
	}
	return nil
}

func (s *session) commandCount([][]byte) error {
	s.out.Int(int64(len(s.h.table.list)))
	return nil
}

func (s *session) commandList(args [][]byte) error {
	keep := func(*spec) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !equalFold(args[2], "filterby"):
		return errSyntax
	case equalFold(args[3], "module"):
		keep = func(*spec) bool { return false }
	case equalFold(args[3], "aclcat"):
		keep = func(sp *spec) bool { return slices.Contains(sp.categories(), "@"+strings.ToLower(echo(args[4]))) }
	case equalFold(args[3], "pattern") && len(args[4]) <= maxPattern:
		keep = func(sp *spec) bool { return match(args[4], []byte(sp.name)) }
	default:
		return errSyntax
	}
	var names []string
	for _, sp := range s.h.table.sorted() {
		if keep(sp) {
			names = append(names, sp.name)
		}
	}
	s.out.ArrayHeader(len(names))
	for _, name := range names {
		s.out.BulkString(name)
	}
	return nil
}

// lookup finds "get", "client|list" or nil.
func (t *table) lookup(name []byte) *spec {
	container, sub, nested := strings.Cut(string(name), "|")
	sp := t.find([]byte(container))
	if sp != nil && nested {
		return sp.sub([]byte(sub))
	}
	return sp
}

func (s *session) commandInfo(args [][]byte) error {
	if len(args) == 2 {
		return s.commandAll(nil)
	}
	s.out.ArrayHeader(len(args) - 2)
	for _, name := range args[2:] {
		if sp := s.h.table.lookup(name); sp != nil {
			s.writeInfo(sp, sp.full)
		} else {
			s.out.Null()
		}
	}
	return nil
}

// categories are the ACL categories that the flags imply.
func (sp *spec) categories() []string {
	list := []string{"@" + strings.ReplaceAll(sp.group, "generic", "keyspace")}
	for _, c := range []struct {
		flag flags
		name string
	}{{flagWrite, "@write"}, {flagReadonly, "@read"}, {flagAdmin, "@admin"}} {
		if sp.flags&c.flag != 0 {
			list = append(list, c.name)
		}
	}
	if sp.flags&flagAdmin != 0 {
		list = append(list, "@dangerous")
	}
	if sp.flags&flagFast != 0 {
		return append(list, "@fast")
	}
	return append(list, "@slow")
}

// writeInfo writes the ten elements of COMMAND INFO.
func (s *session) writeInfo(sp *spec, name string) {
	out := s.out
	status := func(list []string) {
		out.SetHeader(len(list))
		for _, e := range list {
			out.SimpleString(e)
		}
	}
	out.ArrayHeader(10)
	out.BulkString(name)
	out.Int(int64(sp.arity))
	status(flagNames(sp.flags &^ (flagSensitive | flagQueued)))
	out.Int(int64(sp.keys.first))
	out.Int(int64(sp.keys.last))
	out.Int(int64(sp.keys.step))
	status(sp.categories())
	out.ArrayHeader(0) // tips
	s.writeKeySpecs(sp)
	out.ArrayHeader(len(sp.subs))
	for i := range sp.subs {
		s.writeInfo(&sp.subs[i], sp.subs[i].full)
	}
}

// writeKeySpecs says the same as first, last and step in the newer form.
func (s *session) writeKeySpecs(sp *spec) {
	out := s.out
	if sp.keys.first == 0 {
		out.ArrayHeader(0)
		return
	}
	access := "RO"
	if sp.flags&flagWrite != 0 {
		access = "RW"
	}
	last := sp.keys.last
	if last >= 0 {
		last -= sp.keys.first
	}
	text := func(words ...string) {
		for _, w := range words {
			out.BulkString(w)
		}
	}
	out.ArrayHeader(1)
	out.MapHeader(3)
	text("flags")
	out.SetHeader(1)
	out.SimpleString(access)
	text("begin_search")
	out.MapHeader(2)
	text("type", "index", "spec")
	out.MapHeader(1)
	text("index")
	out.Int(int64(sp.keys.first))
	text("find_keys")
	out.MapHeader(2)
	text("type", "range", "spec")
	out.MapHeader(3)
	text("lastkey")
	out.Int(int64(last))
	text("keystep")
	out.Int(int64(sp.keys.step))
	text("limit")
	out.Int(0)
}

func (s *session) commandDocs(args [][]byte) error {
	list := s.h.table.sorted()
	if len(args) > 2 {
		list = nil
		for _, name := range args[2:] {
			if sp := s.h.table.lookup(name); sp != nil {
				list = append(list, sp)
			}
		}
	}
	s.out.MapHeader(len(list))
	for _, sp := range list {
		s.out.BulkString(sp.full)
		s.writeDocs(sp)
	}
	return nil
}

func (s *session) writeDocs(sp *spec) {
	out := s.out
	arguments := parseSyntax(sp.syntax, sp.keys)
	pairs := 3
	if len(arguments) > 0 && sp.subs == nil {
		pairs++
	}
	if sp.subs != nil {
		pairs++
	}
	out.MapHeader(pairs)
	for _, pair := range [][2]string{{"summary", sp.summary}, {"since", sp.since}, {"group", sp.group}} {
		out.BulkString(pair[0])
		out.BulkString(pair[1])
	}
	if sp.subs != nil {
		out.BulkString("subcommands")
		out.MapHeader(len(sp.subs))
		for i := range sp.subs {
			out.BulkString(sp.subs[i].full)
			s.writeDocs(&sp.subs[i])
		}
		return
	}
	if len(arguments) == 0 {
		return
	}
	out.BulkString("arguments")
	out.ArrayHeader(len(arguments))
	for _, a := range arguments {
		a.write(s)
	}
}

func (s *session) commandGetKeys(args [][]byte) error {
	args = args[2:]
	sp := s.h.table.find(args[0])
	if sp == nil {
		return reply("ERR Invalid command specified")
	}
	if len(args) > 1 && sp.subs != nil {
		if sub := sp.sub(args[1]); sub != nil {
			sp = sub
		}
	}
	if !sp.accepts(len(args)) {
		return reply("ERR Invalid number of arguments specified for command")
	}
	if sp.keys.first == 0 {
		return reply("ERR The command has no key arguments")
	}
	last := sp.keys.last
	if last < 0 {
		last += len(args)
	}
	var keys [][]byte
	for i := sp.keys.first; i <= last; i += sp.keys.step {
		keys = append(keys, args[i])
	}
	s.out.ArrayHeader(len(keys))
	for _, key := range keys {
		s.out.Bulk(key)
	}
	return nil
}

func (s *session) help(args [][]byte) error {
	var lines []string
	for _, sp := range s.h.table.sorted() {
		if len(args) > 1 && !equalFold(args[1], sp.name) {
			continue
		}
		lines = append(lines, sp.usage()+" - "+sp.summary)
		for i := range sp.subs {
			if len(args) > 1 {
				lines = append(lines, sp.subs[i].usage()+" - "+sp.subs[i].summary)
			}
		}
	}
	if len(lines) == 0 {
		return reply("ERR no help for '" + echo(args[1]) + "'")
	}
	s.out.ArrayHeader(len(lines))
	for _, line := range lines {
		s.out.BulkString(line)
	}
	return nil
}
