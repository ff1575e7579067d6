package command

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"tskv/kv"
)

const errName reply = "ERR Client names cannot contain spaces, newlines or special characters."

// maxName bounds what CLIENT SETNAME and SETINFO keep per connection.
const maxName = 1024

func clientCommands() []spec {
	const f = flagLoading | flagStale | flagNoScript
	return []spec{{
		name: "client", arity: -2, flags: f, group: "connection", since: "0.1.0",
		syntax: "subcommand", summary: "Looks at connections and changes this one.",
		subs: []spec{
			{name: "id", arity: 2, flags: f, summary: "The number of this connection.", run: (*session).clientID},
			{name: "getname", arity: 2, flags: f, summary: "The name of this connection.", run: (*session).clientGetName},
			{name: "setname", arity: 3, flags: f, syntax: "name", summary: "Names this connection.", run: (*session).clientSetName},
			{name: "setinfo", arity: 4, flags: f, syntax: "LIB-NAME name|LIB-VER version", summary: "Says which library the client uses.", run: (*session).clientSetInfo},
			{name: "info", arity: 2, flags: f, summary: "Describes this connection.", run: (*session).clientInfo},
			{name: "list", arity: -2, flags: f | flagAdmin, syntax: "[TYPE type] [ID id...]", summary: "Describes all connections.", run: (*session).clientList},
			{
				name: "kill", arity: -3, flags: f | flagAdmin, syntax: "ip:port | [ID id] [ADDR ip:port] [LADDR ip:port] [TYPE type] [USER name] [SKIPME yes|no] [MAXAGE seconds]",
				summary: "Closes connections.", run: (*session).clientKill,
			},
			{name: "unblock", arity: -3, flags: f | flagAdmin, syntax: "id [TIMEOUT|ERROR]", summary: "Wakes a blocked connection.", run: (*session).clientUnblock},
			{name: "no-evict", arity: 3, flags: f | flagAdmin, syntax: "ON|OFF", summary: "Accepted: connections are never evicted.", run: (*session).clientSwitch},
			{name: "no-touch", arity: 3, flags: f, syntax: "ON|OFF", summary: "Accepted: no access times are kept.", run: (*session).clientSwitch},
			{name: "reply", arity: 3, flags: f, syntax: "ON|OFF|SKIP", summary: "Switches replies on or off.", run: (*session).clientReply},
			{name: "help", arity: 2, flags: f, summary: "Lists the subcommands.", run: (*session).containerHelp},
		},
	}}
}

func (s *session) clientID([][]byte) error {
	s.out.Uint(s.c.ID())
	return nil
}

func (s *session) clientGetName([][]byte) error {
	if s.name == "" {
		s.out.Null()
	} else {
		s.out.BulkString(s.name)
	}
	return nil
}

func (s *session) clientSetName(args [][]byte) error {
	if !validName(args[2]) {
		return errName
	}
	s.setName(args[2])
	s.out.OK()
	return nil
}

func (s *session) setName(name []byte) {
	s.mu.Lock()
	s.name = string(name)
	s.mu.Unlock()
}

// validName is the rule of Redis: no spaces, nothing outside printable ASCII.
func validName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return len(name) <= maxName
}

func (s *session) clientSetInfo(args [][]byte) error {
	target := &s.library
	switch {
	case equalFold(args[2], "lib-name"):
	case equalFold(args[2], "lib-ver"):
		target = &s.version
	default:
		return reply("ERR Unrecognized option '" + echo(args[2]) + "'")
	}
	if !validName(args[3]) {
		return reply("ERR " + string(bytes.ToLower(args[2])) + " cannot contain spaces, newlines or special characters.")
	}
	s.mu.Lock()
	*target = string(args[3])
	s.mu.Unlock()
	s.out.OK()
	return nil
}

// line is the row of CLIENT LIST; any goroutine.
func (s *session) line() string {
	s.mu.Lock()
	name, library, version := s.name, s.library, s.version
	s.mu.Unlock()
	last, command := s.last.Load(), "NULL"
	if last != nil {
		command = last.full
	}
	now := time.Now()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=N db=0 sub=%d psub=0 ssub=0 multi=%d qbuf=%d obl=0 oll=0 omem=%d events=r cmd=%s user=default redir=-1 resp=%d lib-name=%s lib-ver=%s tot-cmds=%d\n",
		s.c.ID(), s.c.RemoteAddr(), s.c.LocalAddr(), name,
		int64(now.Sub(s.c.Created()).Seconds()), int64(now.Sub(s.c.LastActive()).Seconds()), s.listening.Load(), s.pending.Load()-1,
		s.c.InputBuffered(), s.c.OutputBuffered(), command, max(s.protocol.Load(), 2), library, version, s.calls.Load())
}

func (s *session) clientInfo([][]byte) error {
	s.out.Verbatim("txt", s.line())
	return nil
}

func (s *session) clientList(args [][]byte) error {
	normal := true
	ids := map[uint64]bool{}
	switch {
	case len(args) == 2:
	case len(args) == 4 && equalFold(args[2], "type"):
		var err error
		if normal, err = clientType(args[3]); err != nil {
			return err
		}
	case len(args) > 3 && equalFold(args[2], "id"):
		for _, arg := range args[3:] {
			id, ok := kv.ParseUint(arg)
			if !ok || id == 0 {
				return reply("ERR Invalid client ID")
			}
			ids[id] = true
		}
	default:
		return errSyntax
	}
	var text []byte
	for _, c := range s.h.clients() {
		if normal && (len(ids) == 0 || ids[c.c.ID()]) {
			text = append(text, c.line()...)
		}
	}
	s.out.Verbatim("txt", string(text))
	return nil
}

// clientType reports whether a client type is the only one there is.
func clientType(arg []byte) (normal bool, err error) {
	switch {
	case equalFold(arg, "normal"):
		return true, nil
	case equalFold(arg, "master"), equalFold(arg, "replica"), equalFold(arg, "slave"), equalFold(arg, "pubsub"):
		return false, nil
	}
	return false, reply("ERR Unknown client type '" + echo(arg) + "'")
}

// killFilter says which connections CLIENT KILL means.
type killFilter struct {
	id         uint64
	addr       string
	local      string
	none       bool // a type or user that no connection has
	skipSelf   bool
	age        time.Duration
	hasID, old bool
}

func (s *session) clientKill(args [][]byte) error {
	f := killFilter{skipSelf: true}
	old := len(args) == 3
	if old {
		f = killFilter{addr: string(args[2])}
	} else if err := f.parse(args[2:]); err != nil {
		return err
	}
	n := 0
	for _, c := range s.h.clients() {
		if !f.matches(c) || f.skipSelf && c == s {
			continue
		}
		n++
		if c == s {
			s.closing = true
		} else {
			c.c.Kill()
		}
	}
	switch {
	case !old:
		s.out.Int(int64(n))
	case n == 0:
		return errNoClient
	default:
		s.out.OK()
	}
	return nil
}

func (f *killFilter) parse(args [][]byte) error {
	if len(args)%2 != 0 {
		return errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		if err := f.option(args[i], args[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (f *killFilter) option(name, value []byte) error {
	switch {
	case equalFold(name, "id"):
		id, ok := kv.ParseUint(value)
		if !ok || id == 0 {
			return reply("ERR client-id should be greater than 0")
		}
		f.id, f.hasID = id, true
	case equalFold(name, "addr"):
		f.addr = string(value)
	case equalFold(name, "laddr"):
		f.local = string(value)
	case equalFold(name, "type"):
		normal, err := clientType(value)
		f.none = f.none || !normal
		return err
	case equalFold(name, "user"):
		if string(value) != "default" {
			return reply("ERR No such user '" + echo(value) + "'")
		}
	case equalFold(name, "skipme"):
		yes, no := equalFold(value, "yes"), equalFold(value, "no")
		if !yes && !no {
			return errSyntax
		}
		f.skipSelf = yes
	case equalFold(name, "maxage"):
		seconds, ok := parseInt(value)
		if !ok || seconds <= 0 || seconds > int64(100*365*day/time.Second) {
			return reply("ERR maxage is not an integer or out of range")
		}
		f.age, f.old = time.Duration(seconds)*time.Second, true
	default:
		return errSyntax
	}
	return nil
}

func (f *killFilter) matches(s *session) bool {
	return !f.none &&
		(!f.hasID || s.c.ID() == f.id) &&
		(f.addr == "" || s.c.RemoteAddr() == f.addr) &&
		(f.local == "" || s.c.LocalAddr() == f.local) &&
		(!f.old || time.Since(s.c.Created()) >= f.age)
}

// clientUnblock answers 0: no command of this server blocks a connection.
func (s *session) clientUnblock(args [][]byte) error {
	if _, ok := parseInt(args[2]); !ok {
		return errInteger
	}
	if len(args) > 4 {
		return errArity("client|unblock")
	}
	if len(args) == 4 && !equalFold(args[3], "timeout") && !equalFold(args[3], "error") {
		return reply("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	}
	id, ok := kv.ParseUint(args[2])
	if !ok {
		return errInteger
	}
	cause := error(errTimeoutGiven)
	if len(args) == 4 && equalFold(args[3], "error") {
		cause = errUnblocked
	}
	s.out.Int(s.h.unblock(id, cause))
	return nil
}

// unblock ends the wait of a client and returns 1, or 0 if it does not wait.
func (h *Handler) unblock(id uint64, cause error) int64 {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unblock == nil {
		return 0
	}
	s.unblock(cause)
	return 1
}

func (s *session) clientSwitch(args [][]byte) error {
	if !equalFold(args[2], "on") && !equalFold(args[2], "off") {
		return errSyntax
	}
	s.out.OK()
	return nil
}

func (s *session) clientReply(args [][]byte) error {
	switch {
	case equalFold(args[2], "on"):
		s.muted = false
		s.out.Unmute()
		s.out.OK()
	case equalFold(args[2], "off"):
		s.muted = true
		s.out.Mute()
	case equalFold(args[2], "skip"):
		s.skip = !s.muted
	default:
		return errSyntax
	}
	return nil
}

// containerHelp lists the subcommands of a container command.
func (s *session) containerHelp(args [][]byte) error {
	sp := s.h.table.find(args[0])
	s.out.ArrayHeader(1 + 2*len(sp.subs))
	s.out.SimpleString(upper(sp.name) + " <subcommand> [<arg> [value] ...]. Subcommands are:")
	for i := range sp.subs {
		sub := &sp.subs[i]
		s.out.SimpleString(upper(sub.name) + spaced(sub.syntax))
		s.out.SimpleString("    " + sub.summary)
	}
	return nil
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

// parseInt reads a signed 64-bit integer as Redis does: no spaces, no plus sign,
// no leading zeros.
func parseInt(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	if len(digits) == 0 || digits[0] == '+' || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}
