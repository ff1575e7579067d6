package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"tskv/net/resp"
)

// Handler makes the sessions of new connections.
type Handler interface {
	// Open is called on the connection's goroutine before anything is read; it may
	// call c.SetAuthenticated.
	Open(c *Conn) Session
}

// Session serves one connection, on that connection's goroutine.
type Session interface {
	// Serve is given all complete commands that had arrived, in order, at least
	// one; it writes their replies to the connection's Out. The arguments are valid
	// during the call only. False: the replies are flushed and the connection is
	// closed. Before authentication the commands come one by one.
	Serve(cmds []resp.Command) (keep bool)
	// Close is called once, after the last Serve; the socket may be gone already.
	Close()
}

// Server serves any number of listeners. Each connection and each rejection is a
// goroutine counted in running; Shutdown waits for them.
type Server struct {
	handler  Handler
	opt      Options
	stats    Stats
	budget   budget
	pools    bufferPools
	trim     trimmer
	stopping chan struct{} // closed when Shutdown begins
	rejects  chan struct{} // one token per rejection in progress

	mu        sync.Mutex // guards what follows and running.Add against Shutdown
	closed    bool
	nextID    uint64
	conns     map[uint64]*Conn
	listeners map[net.Listener]struct{}
	running   sync.WaitGroup
}

// New returns a server with no listener yet. Errors wrap ErrOptions or
// resp.ErrLimits.
func New(h Handler, opt Options) (*Server, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	if n := clientsWithin(opt.MaxClients, openFiles()); n < opt.MaxClients {
		opt.Logger.Warn("fewer clients than configured: the limit of open files is too low",
			"max_clients", n, "configured", opt.MaxClients, "open_files", openFiles())
		opt.MaxClients = n
	}
	s := &Server{
		handler:   h,
		opt:       opt,
		stopping:  make(chan struct{}),
		rejects:   make(chan struct{}, maxRejects),
		conns:     make(map[uint64]*Conn),
		listeners: make(map[net.Listener]struct{}),
	}
	s.budget.open(opt.MaxInput, &s.stats)
	s.pools.open()
	return s, nil
}

// Options returns the options in force, defaults and corrections included.
func (s *Server) Options() Options { return s.opt }

// Stats returns the server's counters, which go on counting.
func (s *Server) Stats() *Stats { return &s.stats }

// Stopping is closed when Shutdown begins: commands that wait for something
// other than the client's socket give up then.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Conn returns the open connection with an ID, or nil.
func (s *Server) Conn(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// Conns calls yield for the connections open now, oldest first, until it returns
// false. No lock is held during the calls. (for c := range s.Conns)
func (s *Server) Conns(yield func(*Conn) bool) {
	for _, c := range s.snapshot() {
		if !yield(c) {
			return
		}
	}
}

func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	list := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		list = append(list, c)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return list
}

// killGrace is how long Shutdown waits for sessions after their sockets were
// closed under them.
const killGrace = time.Second

// Shutdown stops accepting, closes idle connections at once, lets running Serve
// calls end and their replies go out, closes those, and waits for all of the
// server's goroutines. When ctx ends first the remaining sockets are closed under
// their sessions; the error then wraps ctx.Err(). Further calls wait likewise.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stopping)
	}
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.opt.Logger.Warn("close listener", "addr", l.Addr().String(), "err", err)
		}
	}
	s.mu.Unlock()
	for _, c := range s.snapshot() {
		c.closeIfIdle()
	}
	done := make(chan struct{})
	go func() { // ends when the last connection does
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.trim.close()
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.snapshot() {
		c.Kill()
	}
	select {
	case <-done:
		s.trim.close()
		return fmt.Errorf("shut down server: connections were cut: %w", ctx.Err())
	case <-time.After(killGrace):
		return fmt.Errorf("shut down server: %d sessions still run: %w", len(s.snapshot()), ctx.Err())
	}
}

// add registers a new connection; nil if the server is full or shut down. It
// counts the goroutine that serves or rejects the connection, under the mutex, so
// that none is added after Shutdown began to wait.
func (s *Server) add(nc net.Conn) (c *Conn, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	if len(s.conns) >= s.opt.MaxClients {
		s.running.Add(1)
		return nil, true
	}
	s.nextID++
	c = newConn(s, s.nextID, nc)
	s.conns[c.id] = c
	s.running.Add(1)
	s.stats.ConnectionsTotal.Add(1)
	s.stats.ConnectionsOpen.Add(1)
	return c, false
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	s.stats.ConnectionsOpen.Add(-1)
	s.running.Done()
}

func (s *Server) log() *slog.Logger { return s.opt.Logger }
