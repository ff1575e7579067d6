package engine

import (
	"fmt"
	"strings"
)

// The texts of operations, for the list of a failed history.

func (p *putStep) String() string {
	text := p.key + " " + p.id.String()
	switch p.mode {
	case IDAuto:
		text = p.key + " *"
	case IDAutoSeq:
		text = fmt.Sprintf("%s %d-*", p.key, p.id.Time)
	}
	text += "=" + brief([]byte(p.value)) + showTags(p.tags)
	switch p.cond {
	case IfAbsent:
		text += " NX"
	case IfPresent:
		text += " XX"
	case IfLast:
		text += " AFTER " + p.after.String()
	}
	return text
}

func (o *writeStep) String() string {
	var text strings.Builder
	text.WriteString("write")
	for i := range o.puts {
		text.WriteString(" (" + o.puts[i].String() + ")")
	}
	return text.String()
}

func (o *bulkStep) String() string {
	return fmt.Sprintf("bulk %s from %v, %d every %d ms, wide %v", o.key, o.start, o.n, o.every, o.wide)
}

func (o *updateStep) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "update, fails %v:", o.fails)
	for i := range o.steps {
		s := &o.steps[i]
		switch s.what {
		case "put":
			fmt.Fprintf(&text, " (put %v)", &s.put)
		case "get":
			fmt.Fprintf(&text, " (get %s at %v)", s.put.key, s.settled[0])
		case "deleteRange":
			fmt.Fprintf(&text, " (delete %s from %v to %v)", s.put.key, s.settled[1], s.settled[2])
		default:
			fmt.Fprintf(&text, " (%s %s)", s.what, s.put.key)
		}
	}
	return text.String()
}

func (o *deleteRangeStep) String() string {
	return fmt.Sprintf("delete %s from %v to %v", o.key, o.from.id, o.to.id)
}

func (o *deleteKeyStep) String() string { return "delete " + o.key }

func (o *clearStep) String() string { return "delete everything" }

func (a *ask) String() string {
	o := &a.opt
	text := fmt.Sprintf("%s from %v to %v offset %d limit %d%s", a.key, o.From, o.To, o.Offset, o.Limit, showTags(o.Tags))
	if o.Reverse {
		text += " reverse"
	}
	return text
}

func (o *scanStep) String() string   { return fmt.Sprintf("scan %v, keys only %v", &o.ask, o.keysOnly) }
func (o *countStep) String() string  { return "count " + o.ask.String() }
func (o *recallStep) String() string { return "scan the held snapshot, " + o.ask.String() }
func (o *holdStep) String() string   { return "hold a snapshot" }
func (o *getStep) String() string    { return fmt.Sprintf("get %s at %v", o.key, o.at.id) }
func (o *listStep) String() string   { return "list keys" }

func (o *maintainStep) String() string { return o.what }

func (o *retainStep) String() string {
	return fmt.Sprintf("retain %q prefix %v: %d ms, %d records; set %v", o.rule.Pattern, o.rule.Prefix, o.rule.AgeMS, o.rule.Records, o.set)
}

func (o *expireStep) String() string { return fmt.Sprintf("expire %s at %d", o.key, o.at) }
