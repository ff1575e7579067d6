package command

import (
	"bytes"

	"tskv/engine"
	"tskv/kv"
)

const (
	errAge      reply = "ERR invalid age: use a duration such as 30s, 12h, 7d or 1w2d"
	errNoBound  reply = "ERR a retention rule needs AGE, BYTES or RECORDS, or OFF"
	errOnePlace reply = "ERR a retention pattern is a key, or a prefix with one * at its end"
)

func retainCommands() []spec {
	return []spec{{
		name: "retain", arity: -1, flags: flagWrite, group: "generic", since: "0.2.0",
		syntax:  "[LIST|key|prefix*] [AGE duration] [BYTES n] [RECORDS n] [OFF]",
		summary: "Sets, shows, removes or lists what is kept of a key, or of all keys with a prefix.",
		run:     (*session).retain,
	}}
}

func (s *session) retain(args [][]byte) error {
	if len(args) == 1 || len(args) == 2 && equalFold(args[1], "list") {
		return s.retainList()
	}
	pattern, prefix := bytes.CutSuffix(args[1], []byte("*"))
	if len(pattern) > engine.MaxKey || len(pattern) == 0 && !prefix {
		return engine.ErrKey
	}
	if bytes.HasSuffix(pattern, []byte("*")) && prefix {
		return errOnePlace
	}
	switch {
	case len(args) == 2:
		return s.retainShow(pattern, prefix)
	case len(args) == 3 && (equalFold(args[2], "off") || equalFold(args[2], "none")):
		return s.retainOff(pattern, prefix)
	}
	rule, err := parseRule(args[2:])
	if err != nil {
		return err
	}
	rule.Pattern, rule.Prefix = pattern, prefix
	if err := s.db.Retain(rule); err != nil {
		return err
	}
	s.out.OK()
	return nil
}

// parseRule reads AGE, BYTES and RECORDS, each at most once.
func parseRule(args [][]byte) (engine.Rule, error) {
	var r engine.Rule
	if len(args)%2 != 0 {
		return r, errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		var bound *uint64
		switch {
		case equalFold(args[i], "age"):
			d, ok := parseDuration(string(args[i+1]))
			if !ok || d.Milliseconds() < 1 {
				return r, errAge
			}
			if r.AgeMS != 0 {
				return r, errSyntax
			}
			r.AgeMS = uint64(d.Milliseconds())
			continue
		case equalFold(args[i], "bytes"):
			bound = &r.Bytes
		case equalFold(args[i], "records"):
			bound = &r.Records
		default:
			return r, errSyntax
		}
		n, ok := kv.ParseUint(args[i+1])
		switch {
		case !ok:
			return r, errInteger
		case n == 0:
			return r, errPositive
		case *bound != 0:
			return r, errSyntax
		}
		*bound = n
	}
	if r.AgeMS == 0 && r.Bytes == 0 && r.Records == 0 {
		return r, errNoBound
	}
	return r, nil
}

func (s *session) retainOff(pattern []byte, prefix bool) error {
	there := false
	err := s.db.Update(func(tx *engine.Tx) (err error) {
		there, err = tx.Unretain(pattern, prefix)
		return err
	})
	if err == nil {
		s.out.Int(int64(flag(there)))
	}
	return err
}

// retainShow answers the rule that is in force, or null.
func (s *session) retainShow(pattern []byte, prefix bool) error {
	snap, err := s.db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	find := snap.Rule
	if prefix {
		find = snap.PrefixRule
	}
	if rule, ok := find(pattern); ok {
		s.writeRule(&rule)
	} else {
		s.out.NullArray()
	}
	return nil
}

func (s *session) retainList() error {
	snap, err := s.db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	rules := snap.Rules()
	s.out.ArrayHeader(len(rules))
	for i := range rules {
		s.writeRule(&rules[i])
		if err := s.c.MaybeFlush(); err != nil {
			s.closing = true
			return nil
		}
	}
	return nil
}

// writeRule writes a rule as a map; a bound that is not set is 0.
func (s *session) writeRule(r *engine.Rule) {
	s.out.MapHeader(4)
	s.out.BulkString("pattern")
	if r.Prefix {
		s.out.Bulk(append(bytes.Clone(r.Pattern), '*'))
	} else {
		s.out.Bulk(r.Pattern)
	}
	for _, bound := range []struct {
		name  string
		value uint64
	}{{"age_ms", r.AgeMS}, {"bytes", r.Bytes}, {"records", r.Records}} {
		s.out.BulkString(bound.name)
		s.out.Uint(bound.value)
	}
}
