package command

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

func connectionCommands() []spec {
	const early = flagLoading | flagFast | flagNoAuth | flagStale | flagNoScript
	return []spec{
		{
			name: "ping", arity: -1, flags: flagFast | flagSubscriber, group: "connection", since: "0.1.0",
			syntax: "[message]", summary: "Answers PONG, or the message.", run: (*session).ping,
		},
		{
			name: "echo", arity: 2, flags: flagFast | flagLoading | flagStale, group: "connection", since: "0.1.0",
			syntax: "message", summary: "Answers the message.", run: (*session).echo,
		},
		{
			name: "quit", arity: -1, flags: early | flagNow | flagSubscriber, group: "connection", since: "0.1.0",
			summary: "Closes the connection.", run: (*session).quit,
		},
		{
			name: "reset", arity: 1, flags: early | flagNow | flagSubscriber, group: "connection", since: "0.1.0",
			summary: "Puts the connection into the state of a new one.", run: (*session).reset,
		},
		{
			name: "select", arity: 2, flags: flagLoading | flagFast | flagStale, group: "connection", since: "0.1.0",
			syntax: "index", summary: "Selects database 0, the only one.", run: (*session).selectDB,
		},
		{
			name: "auth", arity: -2, flags: early | flagSensitive, group: "connection", since: "0.1.0",
			syntax: "[username] password", summary: "Authenticates the connection.", run: (*session).auth,
		},
		{
			name: "hello", arity: -1, flags: early | flagSensitive, group: "connection", since: "0.1.0",
			syntax:  "[protover [AUTH username password] [SETNAME clientname]]",
			summary: "Shakes hands: protocol 2 or 3, authentication, name.", run: (*session).hello,
		},
	}
}

func (s *session) ping(args [][]byte) error {
	if s.listens.count() > 0 && s.out.Protocol() == 2 && len(args) <= 2 {
		s.out.ArrayHeader(2)
		s.out.BulkString("pong")
		s.out.Bulk(append([]byte(nil), bytes.Join(args[1:], nil)...))
		return nil
	}
	switch len(args) {
	case 1:
		s.out.SimpleString("PONG")
	case 2:
		s.out.Bulk(args[1])
	default:
		return errArity("ping")
	}
	return nil
}

func (s *session) echo(args [][]byte) error {
	s.out.Bulk(args[1])
	return nil
}

func (s *session) quit([][]byte) error {
	s.closing = true
	s.out.OK()
	return nil
}

func (s *session) reset([][]byte) error {
	s.dropTransaction()
	s.dropSubscriptions()
	s.setTrusted(s.h.password.Load() == nil)
	s.setProtocol(2)
	s.setName(nil)
	if s.muted {
		s.muted = false
		s.out.Unmute()
	}
	s.out.SimpleString("RESET")
	return nil
}

func (s *session) selectDB(args [][]byte) error {
	n, ok := parseInt(args[1])
	switch {
	case !ok:
		return errInteger
	case n != 0:
		return errIndex
	}
	s.out.OK()
	return nil
}

func (s *session) auth(args [][]byte) error {
	user, password := []byte("default"), args[1]
	switch len(args) {
	case 2:
	case 3:
		user, password = args[1], args[2]
	default:
		return errSyntax
	}
	if s.h.password.Load() == nil && len(args) == 2 {
		return errNoPassword
	}
	if err := s.authenticate(user, password); err != nil {
		return err
	}
	s.out.OK()
	return nil
}

// A wrong password is answered late, later each time, and after maxFailures of
// them the connection is closed. Only the connection itself waits.
const (
	failureDelay = 100 * time.Millisecond
	maxFailures  = 10
)

func (s *session) authenticate(user, password []byte) error {
	hash := s.h.password.Load()
	good := hash == nil || hash.matches(password)
	if string(user) == "default" && good {
		s.failures = 0
		s.setTrusted(true)
		return nil
	}
	s.failures++
	s.closing = s.closing || s.failures >= maxFailures
	s.h.log.Warn("authentication failed", "client", s.c.RemoteAddr(), "failures", s.failures)
	timer := time.NewTimer(failureDelay * time.Duration(s.failures))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.c.Done():
	case <-s.c.Stopping():
	}
	return errWrongPass
}

func (s *session) setTrusted(yes bool) {
	s.trusted = yes
	s.c.SetAuthenticated(yes)
}

func (s *session) setProtocol(version int) {
	s.out.SetProtocol(version)
	s.protocol.Store(int32(version))
}

// passwordHash holds a password as its digest, so that comparing takes the same
// time for every guess.
type passwordHash [sha256.Size]byte

func hashPassword(password []byte) *passwordHash {
	h := passwordHash(sha256.Sum256(password))
	return &h
}

func (h *passwordHash) matches(password []byte) bool {
	guess := sha256.Sum256(password)
	return subtle.ConstantTimeCompare(h[:], guess[:]) == 1
}

// greeting is what HELLO asks for.
type greeting struct {
	protocol       int
	user, password []byte
	name           []byte
	auth, named    bool
}

func (s *session) hello(args [][]byte) error {
	g, err := parseGreeting(args, s.out.Protocol())
	if err != nil {
		return err
	}
	if g.auth {
		if err := s.authenticate(g.user, g.password); err != nil {
			return err
		}
	}
	if !s.trusted {
		return reply("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	}
	if g.named {
		s.setName(g.name)
	}
	s.setProtocol(g.protocol)
	out := s.out
	out.MapHeader(7)
	for _, pair := range [][2]string{{"server", "tskv"}, {"version", RedisVersion}} {
		out.BulkString(pair[0])
		out.BulkString(pair[1])
	}
	out.BulkString("proto")
	out.Int(int64(g.protocol))
	out.BulkString("id")
	out.Uint(s.c.ID())
	out.BulkString("mode")
	out.BulkString("standalone")
	out.BulkString("role")
	out.BulkString("master")
	out.BulkString("modules")
	out.ArrayHeader(0)
	return nil
}

func parseGreeting(args [][]byte, protocol int) (greeting, error) {
	g := greeting{protocol: protocol}
	if len(args) == 1 {
		return g, nil
	}
	version, ok := parseInt(args[1])
	if !ok {
		return g, reply("ERR Protocol version is not an integer or out of range")
	}
	if version != 2 && version != 3 {
		return g, errProtocol
	}
	g.protocol = int(version)
	for i := 2; i < len(args); {
		switch {
		case equalFold(args[i], "auth") && i+2 < len(args):
			g.auth, g.user, g.password = true, args[i+1], args[i+2]
			i += 3
		case equalFold(args[i], "setname") && i+1 < len(args):
			g.named, g.name = true, args[i+1]
			if !validName(g.name) {
				return g, errName
			}
			i += 2
		default:
			return g, reply("ERR Syntax error in HELLO option '" + echo(args[i]) + "'")
		}
	}
	return g, nil
}
