package command

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"tskv/kv"
)

func configCommands() []spec {
	const f = flagAdmin | flagLoading | flagStale | flagNoScript
	return []spec{{
		name: "config", arity: -2, group: "server", since: "0.1.0",
		syntax: "subcommand", summary: "Reads and changes parameters of the running server.",
		subs: []spec{
			{name: "get", arity: -3, flags: f, syntax: "pattern [pattern ...]", summary: "The parameters that match.", run: (*session).configGet},
			{name: "set", arity: -4, flags: f | flagSensitive, syntax: "parameter value [parameter value ...]", summary: "Changes parameters until the next start.", run: (*session).configSet},
			{name: "resetstat", arity: 2, flags: f, summary: "Sets the statistics of the commands to zero.", run: (*session).configResetStat},
			{name: "rewrite", arity: 2, flags: f, summary: "An error: there is no configuration file to write.", run: (*session).configRewrite},
			{name: "help", arity: 2, flags: flagLoading | flagStale, summary: "Lists the subcommands.", run: (*session).containerHelp},
		},
	}}
}

// parameters are those that do not depend on cmd. Passwords are not shown.
func (h *Handler) parameters() []Parameter {
	fixed := func(name, value string) Parameter {
		return Parameter{Name: name, Value: func() string { return value }}
	}
	return []Parameter{
		fixed("appendonly", "yes"),
		fixed("databases", "1"),
		fixed("maxmemory", "0"),
		fixed("maxmemory-policy", "noeviction"),
		fixed("proto-max-bulk-len", strconv.Itoa(kv.MaxValue)),
		fixed("save", ""),
		{
			Name:  "slowlog-log-slower-than",
			Value: func() string { return strconv.FormatInt(h.slow.micros(), 10) },
			Set: func(value string) error {
				n, ok := parseInt([]byte(value))
				if !ok {
					return errParse
				}
				if n < -1 || n > int64(day/time.Microsecond) {
					return reply("argument must be between -1 and 86400000000 inclusive")
				}
				h.slow.setMicros(n)
				return nil
			},
		},
		{
			Name:  "slowlog-max-len",
			Value: func() string { return strconv.Itoa(h.slow.capacity()) },
			Set: func(value string) error {
				n, ok := parseInt([]byte(value))
				if !ok {
					return errParse
				}
				if n < 0 || n > maxSlowEntries {
					return reply("argument must be between 0 and " + strconv.Itoa(maxSlowEntries) + " inclusive")
				}
				h.slow.setCapacity(int(n))
				return nil
			},
		},
	}
}

// mergeParameters returns both lists by name; of two with one name, theirs.
func mergeParameters(ours, theirs []Parameter) []Parameter {
	all := slices.Clone(theirs)
	for _, p := range ours {
		if !slices.ContainsFunc(theirs, func(q Parameter) bool { return q.Name == p.Name }) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Parameter) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s *session) configGet(args [][]byte) error {
	for _, pattern := range args[2:] {
		if len(pattern) > maxPattern {
			return errPattern
		}
	}
	var found []*Parameter
	for i := range s.h.params {
		p := &s.h.params[i]
		if slices.ContainsFunc(args[2:], func(pattern []byte) bool { return match(bytes.ToLower(pattern), []byte(p.Name)) }) {
			found = append(found, p)
		}
	}
	s.out.MapHeader(len(found))
	for _, p := range found {
		s.out.BulkString(p.Name)
		s.out.BulkString(p.Value())
	}
	return nil
}

// configSet changes all parameters or none.
func (s *session) configSet(args [][]byte) error {
	if len(args)%2 != 0 {
		return errArity("config|set")
	}
	for i := 2; i < len(args); i += 2 {
		p := s.h.parameter(args[i])
		for j := 2; j < i; j += 2 {
			if p != nil && p == s.h.parameter(args[j]) {
				return errConfig(p.Name, "duplicate parameter")
			}
		}
		if p == nil {
			return reply("ERR Unknown option or number of arguments for CONFIG SET - '" + echo(args[i]) + "'")
		}
		if p.Set == nil && p.Value() != string(args[i+1]) {
			return errConfig(p.Name, "can't set immutable config")
		}
	}
	if err := s.h.configure(args[2:]); err != nil {
		return err
	}
	s.out.OK()
	return nil
}

// configure sets the parameters named in pairs; after an error none is changed.
func (h *Handler) configure(pairs [][]byte) error {
	for i := 0; i < len(pairs); i += 2 {
		p := h.parameter(pairs[i])
		if p.Set == nil {
			continue
		}
		old := pairs[i+1]
		pairs[i+1] = []byte(p.Value())
		err := p.Set(string(old))
		if err == nil {
			continue
		}
		for j := 0; j < i; j += 2 {
			if q := h.parameter(pairs[j]); q.Set != nil {
				_ = q.Set(string(pairs[j+1])) // it was in force just now
			}
		}
		return errConfig(p.Name, err.Error())
	}
	return nil
}

const errParse reply = "argument couldn't be parsed into an integer"

func errConfig(name, reason string) error {
	return reply("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + reason)
}

func (h *Handler) parameter(name []byte) *Parameter {
	for i := range h.params {
		if strings.EqualFold(h.params[i].Name, string(name)) {
			return &h.params[i]
		}
	}
	return nil
}

func (s *session) configResetStat([][]byte) error {
	s.flushTally()
	s.h.metrics.Reset()
	s.out.OK()
	return nil
}

func (s *session) configRewrite([][]byte) error { return errNoConfig }
