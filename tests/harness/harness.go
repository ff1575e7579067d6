// Package harness builds the tskv binary, runs it as a process of its own and
// talks RESP to it, for tests that need the real thing.
//
// It refuses to know the server's packages but the reply decoder. A Server and a
// Conn belong to one goroutine each, except that Kill may be called from any.
package harness

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tskv/net/resp"
)

// Binary returns the path of the binary under test: TSKV_BIN, or one built now.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("TSKV_BIN"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "tskv")
	out, err := exec.Command("go", "build", "-o", path, "tskv/cmd/tskv").CombinedOutput()
	if err != nil {
		t.Fatalf("build tskv: %v\n%s", err, out)
	}
	return path
}

// Server is a running tskv process.
type Server struct {
	Addr string // for RESP
	HTTP string // for metrics and health
	Dir  string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when the process has ended
	err  error         // its exit; after done
}

// FreeAddr returns a loopback address that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Start runs tskv serve on dir with more flags, and returns at once: the server
// may still be loading. The process is killed when the test ends.
func Start(t testing.TB, bin, dir string, flags ...string) *Server {
	t.Helper()
	s := &Server{Addr: FreeAddr(t), HTTP: FreeAddr(t), Dir: dir, log: &logBuffer{}, done: make(chan struct{})}
	args := append([]string{"serve", "--dir", dir, "--addr", s.Addr, "--http", s.HTTP}, flags...)
	s.cmd = exec.Command(bin, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.Kill)
	return s
}

// Pid is the process's id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits for it.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// Stop sends SIGTERM and returns how long the process took to end, and its exit.
func (s *Server) Stop() (time.Duration, error) {
	start := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	<-s.done
	return time.Since(start), s.err
}

// Wait waits for the process to end by itself.
func (s *Server) Wait(timeout time.Duration) error {
	select {
	case <-s.done:
		return s.err
	case <-time.After(timeout):
		return errors.New("the server is still running")
	}
}

// Log returns what the process has printed.
func (s *Server) Log() string { return s.log.String() }

// Dial connects and waits until the server answers PING with PONG, so that it
// has finished loading.
func (s *Server) Dial(t testing.TB) *Conn {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		c, err := s.TryDial()
		if err == nil {
			return c
		}
		select {
		case <-s.done:
			t.Fatalf("server ended: %v\n%s", s.err, s.Log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("server does not answer: %v\n%s", err, s.Log())
		}
	}
}

// TryDial connects once; an error also if the server is loading.
func (s *Server) TryDial() (*Conn, error) {
	c, err := Connect(s.Addr)
	if err != nil {
		return nil, err
	}
	reply, err := c.Do("EXISTS", "nothing")
	if err == nil && reply.IsError() {
		err = errors.New(string(reply.Text))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Conn is a client connection.
type Conn struct {
	net.Conn
	in  *resp.Reader
	out resp.Writer
}

// Connect opens a connection without asking anything.
func Connect(addr string) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: nc, in: resp.NewReader(bufio.NewReaderSize(nc, 64<<10), resp.DefaultReplyLimits())}, nil
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.Conn.Close() }

// Queue puts a command into the next Flush.
func (c *Conn) Queue(args ...string) {
	c.out.ArrayHeader(len(args))
	for _, a := range args {
		c.out.BulkString(a)
	}
}

// Flush sends what was queued.
func (c *Conn) Flush() error {
	_, err := c.Write(c.out.Bytes())
	c.out.Reset()
	return err
}

// Read returns the next reply.
func (c *Conn) Read() (resp.Reply, error) { return c.in.Read() }

// Head returns the next reply without its elements.
func (c *Conn) Head() (resp.Reply, error) { return c.in.Head() }

// Do sends one command and returns its reply.
func (c *Conn) Do(args ...string) (resp.Reply, error) {
	c.Queue(args...)
	if err := c.Flush(); err != nil {
		return resp.Reply{}, err
	}
	return c.Read()
}

// Must is Do for commands that must not fail.
func (c *Conn) Must(t testing.TB, args ...string) resp.Reply {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if reply.IsError() {
		t.Fatalf("%v: %s", args, reply.Text)
	}
	return reply
}

// Text shows a reply in one line, arrays in brackets, for comparisons.
func Text(r resp.Reply) string {
	switch r.Kind {
	case resp.KindNull:
		return "nil"
	case resp.KindInt, resp.KindBool:
		return fmt.Sprint(r.Int)
	case resp.KindDouble:
		return fmt.Sprint(r.Float)
	}
	if !r.IsAggregate() {
		return string(r.Text)
	}
	parts := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		parts[i] = Text(e)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// logBuffer keeps the last part of what a process prints.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if len(b.text) > 1<<20 {
		b.text = append([]byte(nil), b.text[len(b.text)/2:]...)
	}
	return len(p), nil
}

// String returns what is kept.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
