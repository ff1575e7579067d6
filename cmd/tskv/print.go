package main

import (
	"fmt"
	"strconv"
	"strings"

	"tskv/net/resp"
)

// printReply prints one reply the way redis-cli does, element by element, so that
// a reply of any length needs no memory. It reports whether it was an error.
func (s *shell) printReply() (failed bool, err error) {
	head, err := s.in.Head()
	if err != nil {
		return false, fmt.Errorf("read reply: %w", err)
	}
	return head.IsError(), s.print(head, "")
}

// print writes a value whose first line is already indented by its caller;
// indent is what the following lines start with.
func (s *shell) print(r resp.Reply, indent string) error {
	if !r.IsAggregate() {
		_, err := s.out.WriteString(s.scalar(&r) + "\n")
		return err
	}
	if r.Count == 0 {
		if s.pretty {
			_, err := s.out.WriteString(emptyText(r.Kind))
			return err
		}
		return nil
	}
	numbers := r.Count
	if r.Kind == resp.KindMap {
		numbers /= 2 // one for a key and its value
	}
	width := len(strconv.Itoa(numbers))
	for i := range r.Count {
		element, err := s.in.Head()
		if err != nil {
			return fmt.Errorf("read reply: %w", err)
		}
		if err := s.element(&r, element, i, width, indent); err != nil {
			return err
		}
	}
	return nil
}

// emptyText is how redis-cli shows an aggregate without elements.
func emptyText(kind resp.Kind) string {
	switch kind {
	case resp.KindMap:
		return "(empty hash)\n"
	case resp.KindSet:
		return "(empty set)\n"
	}
	return "(empty array)\n"
}

// element writes one element behind its number, or behind its key in a map.
func (s *shell) element(parent *resp.Reply, r resp.Reply, i, width int, indent string) error {
	if !s.pretty {
		return s.print(r, "")
	}
	sign := ')'
	if parent.Kind == resp.KindSet {
		sign = '~'
	}
	label := fmt.Sprintf("%*d%c ", width, i+1, sign)
	if parent.Kind == resp.KindMap {
		if i%2 == 0 {
			label = fmt.Sprintf("%*d# ", width, i/2+1)
			_, err := s.out.WriteString(indented(i, indent) + label + s.scalar(&r) + " => ")
			return err
		}
		return s.print(r, indent+strings.Repeat(" ", width+2))
	}
	if _, err := s.out.WriteString(indented(i, indent) + label); err != nil {
		return err
	}
	return s.print(r, indent+strings.Repeat(" ", len(label)))
}

func indented(i int, indent string) string {
	if i == 0 {
		return ""
	}
	return indent
}

func (s *shell) scalar(r *resp.Reply) string {
	text := string(r.Text)
	if !s.pretty {
		switch r.Kind {
		case resp.KindInt, resp.KindBool:
			return strconv.FormatInt(r.Int, 10)
		case resp.KindDouble:
			return strconv.FormatFloat(r.Float, 'g', -1, 64)
		}
		return text
	}
	switch r.Kind {
	case resp.KindNull:
		return "(nil)"
	case resp.KindStatus, resp.KindVerbatim, resp.KindBig:
		return text
	case resp.KindError:
		return "(error) " + text
	case resp.KindInt:
		return "(integer) " + strconv.FormatInt(r.Int, 10)
	case resp.KindDouble:
		return "(double) " + strconv.FormatFloat(r.Float, 'g', -1, 64)
	case resp.KindBool:
		return "(" + strconv.FormatBool(r.Int == 1) + ")"
	}
	return strconv.Quote(text)
}
