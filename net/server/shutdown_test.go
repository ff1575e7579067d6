package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"tskv/net/resp"
)

func TestShutdown(t *testing.T) {
	r := start(t, Options{})
	idle, partial, busy := r.dial(), r.dial(), r.dial()
	idle.send("PING\r\n")
	idle.expect("+PONG\r\n")
	partial.send("*2\r\n$4\r\nECHO\r\n$100\r\nabc")
	busy.send(command("BLOCK") + command("PING"))
	<-r.echo.blocked
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	busy.expect("+OK\r\n+PONG\r\n") // the running batch is answered to its end
	busy.expectEnd()
	idle.expectGone()
	partial.expectGone()
	if got := r.echo.closed.Load(); got != 3 {
		t.Errorf("%d sessions closed", got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(l); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// stubborn is a session that ends only when its connection is cut.
type stubborn struct {
	c     *Conn
	began chan struct{}
}

func (s *stubborn) Open(c *Conn) Session { s.c = c; return s }
func (s *stubborn) Close()               {}
func (s *stubborn) Serve([]resp.Command) bool {
	close(s.began)
	<-s.c.Done()
	return true
}

func TestShutdownCuts(t *testing.T) {
	h := &stubborn{began: make(chan struct{})}
	s, err := New(h, Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.send("PING\r\n")
	<-h.began
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	c.expectGone()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestPanic(t *testing.T) {
	log := newSyncBuffer()
	hooked := make(chan any, 1)
	r := start(t, Options{
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
		OnPanic: func(_ *Conn, value any, _ []byte) { hooked <- value },
	})
	other := r.dial()
	c := r.dial()
	c.send(command("PING") + command("PANIC") + command("PING"))
	c.expect("+PONG\r\n-ERR internal error\r\n") // the array that PANIC began is not there
	c.expectEnd()
	if got := <-hooked; got != "a test" {
		t.Errorf("hook got %v", got)
	}
	if got := r.Stats().Panics.Load(); got != 1 {
		t.Errorf("%d panics counted", got)
	}
	if text := log.String(); !strings.Contains(text, "a test") || !strings.Contains(text, "echoSession") {
		t.Errorf("the log has no stack: %s", text)
	}
	other.send("PING\r\n")
	other.expect("+PONG\r\n")
}

// brittle panics outside Serve.
type brittle struct{ inOpen bool }

func (b brittle) Open(*Conn) Session {
	if b.inOpen {
		panic("in Open")
	}
	return b
}
func (b brittle) Serve([]resp.Command) bool { return false }
func (b brittle) Close()                    { panic("in Close") }

func TestPanicOutsideServe(t *testing.T) {
	for _, h := range []brittle{{true}, {false}} {
		s, err := New(h, Options{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, nc)
		c.send("PING\r\n")
		if h.inOpen {
			c.expect("-ERR internal error\r\n")
		}
		c.expectEnd()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if got := s.Stats().Panics.Load(); got != 1 {
			t.Errorf("%d panics", got)
		}
	}
}
