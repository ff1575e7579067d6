package command

import (
	"fmt"
	"strings"
)

// argument is one argument of a command for COMMAND DOCS.
type argument struct {
	name     string
	key      bool
	optional bool
	multiple bool
}

// parseSyntax splits a syntax line into its arguments. What stands in one pair of
// brackets is one argument.
func parseSyntax(syntax string, keys keySpec) []argument {
	var list []argument
	for syntax = strings.TrimSpace(syntax); syntax != ""; syntax = strings.TrimSpace(syntax) {
		n := wordLength(syntax)
		word := syntax[:n]
		syntax = syntax[n:]
		a := argument{name: word}
		if rest, many := strings.CutSuffix(word, "..."); many {
			a.name, a.multiple = rest, true
		}
		if strings.HasPrefix(a.name, "[") && strings.HasSuffix(a.name, "]") {
			a.name, a.optional = a.name[1:len(a.name)-1], true
		}
		if rest, many := strings.CutSuffix(a.name, " ..."); many {
			a.name, a.multiple = rest, true
		}
		a.key = keys.first > 0 && a.name == "key"
		list = append(list, a)
	}
	return list
}

// wordLength returns the length of the first word of s, brackets whole.
func wordLength(s string) int {
	depth := 0
	for i, c := range s {
		switch {
		case c == '[' || c == '<':
			depth++
		case c == ']' || c == '>':
			depth--
		case c == ' ' && depth == 0:
			return i
		}
	}
	return len(s)
}

func (a *argument) write(s *session) {
	out := s.out
	var flags []string
	if a.optional {
		flags = append(flags, "optional")
	}
	if a.multiple {
		flags = append(flags, "multiple")
	}
	pairs := 3
	if a.key {
		pairs++
	}
	if len(flags) > 0 {
		pairs++
	}
	kind := "string"
	if a.key {
		kind = "key"
	}
	out.MapHeader(pairs)
	for _, pair := range [][2]string{{"name", a.name}, {"type", kind}, {"display_text", a.name}} {
		out.BulkString(pair[0])
		out.BulkString(pair[1])
	}
	if a.key {
		out.BulkString("key_spec_index")
		out.Int(0)
	}
	if len(flags) > 0 {
		out.BulkString("flags")
		out.SetHeader(len(flags))
		for _, f := range flags {
			out.SimpleString(f)
		}
	}
}

// Markdown returns docs/commands.md, generated from the command table.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the command table; do not edit.\n")
	groups := []struct{ name, title string }{
		{"series", "Records and series"},
		{"string", "Strings"},
		{"generic", "Keys"},
		{"transactions", "Transactions"},
		{"pubsub", "Channels"},
		{"connection", "Connection"},
		{"server", "Server"},
		{"scripting", "Functions"},
		{"cluster", "Cluster"},
	}
	t := newTable()
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| command | meaning |\n|---|---|\n", g.title)
		for _, sp := range t.sorted() {
			if sp.group != g.name {
				continue
			}
			if sp.run != nil {
				writeRow(&b, sp)
			}
			for i := range sp.subs {
				writeRow(&b, &sp.subs[i])
			}
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, sp *spec) {
	fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(sp.usage(), "|", "\\|"), sp.summary)
}
