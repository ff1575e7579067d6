package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tskv/net/resp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// echo is a handler with just enough commands to move bytes and break things.
type echo struct {
	blocked chan *Conn // gets the connection when BLOCK begins
	closed  atomic.Int64
	batches atomic.Int64
	opener  atomic.Pointer[func(c *Conn) Session] // instead of an echoSession
}

type echoSession struct {
	e *echo
	c *Conn
}

func (e *echo) Open(c *Conn) Session {
	if open := e.opener.Load(); open != nil {
		return (*open)(c)
	}
	return &echoSession{e, c}
}

func (s *echoSession) Close() { s.e.closed.Add(1) }

func (s *echoSession) Serve(cmds []resp.Command) bool {
	s.e.batches.Add(1)
	for _, cmd := range cmds {
		if !s.command(cmd.Args) {
			return false
		}
		if s.c.MaybeFlush() != nil {
			return false
		}
	}
	return true
}

func (s *echoSession) command(args [][]byte) bool {
	out := s.c.Out()
	switch name := string(args[0]); name {
	case "PING":
		out.SimpleString("PONG")
	case "ECHO":
		out.Bulk(args[1])
	case "LEN":
		out.Int(int64(len(args[1])))
	case "BIG":
		n, _ := strconv.Atoi(string(args[1])) // the tests send numbers
		out.Bulk(make([]byte, n))
	case "ENDLESS":
		for {
			out.Bulk(args[1])
			if s.c.writeErr != nil {
				return true
			}
		}
	case "AUTH":
		s.c.SetAuthenticated(true)
		out.OK()
	case "RESET":
		s.c.SetAuthenticated(false)
		out.OK()
	case "QUIT":
		out.OK()
		return false
	case "BYE":
		out.OK()
		s.c.CloseAfterReply()
	case "PANIC":
		out.ArrayHeader(3)
		panic("a test")
	case "BLOCK":
		stop := s.c.Watch()
		defer stop()
		s.e.blocked <- s.c
		select {
		case <-s.c.Done():
		case <-s.c.Stopping():
		}
		out.OK()
	default:
		out.Error("ERR unknown command '" + name + "'")
	}
	return true
}

type running struct {
	*Server
	echo *echo
	addr string
	t    testing.TB
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start runs a server on a free port of loopback until the test ends.
func start(t testing.TB, opt Options) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, opt, l)
}

func startOn(t testing.TB, opt Options, l net.Listener) *running {
	t.Helper()
	if opt.Logger == nil {
		opt.Logger = quiet()
	}
	e := &echo{blocked: make(chan *Conn, 16)}
	s, err := New(e, opt)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := s.Stats().InputBytes.Load(); n != 0 {
			t.Errorf("%d bytes of input memory are still counted", n)
		}
		if n := s.Stats().ConnectionsOpen.Load(); n != 0 {
			t.Errorf("%d connections are still counted", n)
		}
	})
	return &running{Server: s, echo: e, addr: l.Addr().String(), t: t}
}

// client is a raw socket with a reader of replies.
type client struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

func (r *running) dial() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return newClient(r.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	c := &client{Conn: nc, r: bufio.NewReader(nc), t: t}
	t.Cleanup(c.close)
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) close() { _ = c.Conn.Close() } // also called twice

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect reads exactly want.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("received %.200q (%v), want %.200q", got[:n], err, want)
	}
}

// expectEnd reads to the end of the connection; the end must be clean, not a reset.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("received %.200q (%v), want a clean end", rest, err)
	}
}

// expectGone accepts any end but the test's own deadline.
func (c *client) expectGone() {
	c.t.Helper()
	var timeout net.Error
	if _, err := io.Copy(io.Discard, c.r); errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatal("the connection is still there")
	}
}

func command(args ...string) string {
	var list [][]byte
	for _, arg := range args {
		list = append(list, []byte(arg))
	}
	return string(resp.AppendCommand(nil, list...))
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// eventually polls a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// syncBuffer collects a log.
type syncBuffer struct {
	lock chan struct{}
	buf  bytes.Buffer
}

func newSyncBuffer() *syncBuffer { return &syncBuffer{lock: make(chan struct{}, 1)} }

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.lock <- struct{}{}
	defer func() { <-b.lock }()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.lock <- struct{}{}
	defer func() { <-b.lock }()
	return b.buf.String()
}
