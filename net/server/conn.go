package server

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tskv/net/resp"
)

// The states of a connection. Only its goroutine moves it between waiting and
// serving; whoever moves it to closed closes the socket.
const (
	stateServing int32 = iota
	stateWaiting       // for input, with nothing to answer
	stateWaking        // the same, while a Wake sets the deadline
	stateClosed
)

// Conn is one client. Name, library and the like belong to the command layer's
// session.
type Conn struct {
	server  *Server
	id      uint64
	created time.Time
	nc      net.Conn        // as accepted, or TLS over it
	socket  net.Conn        // below TLS
	raw     syscall.RawConn // of nc; nil if nc is not a plain socket
	remote  string
	local   string
	session Session

	state      atomic.Int32
	done       chan struct{}
	kill       sync.Once
	lastActive atomic.Int64 // Unix nanoseconds
	inputHeld  atomic.Int64 // bytes of input buffers
	outputHeld atomic.Int64 // bytes of replies that wait to be written
	wanted     atomic.Bool  // Push is to be called
	finishing  atomic.Bool  // no Push any more

	// What follows belongs to the connection's goroutine.

	decoder *resp.Decoder
	out     resp.Writer
	scratch *scratch // nil while idle
	input   input
	read    readCall
	write   writeCall

	deadline      time.Time // read deadline that the socket has now
	writeErr      error     // first failure of a write: nothing more is sent
	boundary      int       // length of out at the end of the last whole reply
	authenticated bool
	strangerSince time.Time // when the connection was accepted, or lost its authentication
	closeAfter    bool
}

func newConn(s *Server, id uint64, nc net.Conn) *Conn {
	c := &Conn{
		server:  s,
		id:      id,
		created: time.Now(),
		nc:      nc,
		socket:  nc,
		done:    make(chan struct{}),
		decoder: resp.NewDecoder(&s.opt.Limits),
	}
	if t, ok := nc.(*tls.Conn); ok {
		c.socket = t.NetConn()
		if p, ok := c.socket.(patient); ok {
			c.socket = p.Conn
		}
	} else if plain, ok := nc.(syscall.Conn); ok {
		if raw, err := plain.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.remote, c.local = nc.RemoteAddr().String(), nc.LocalAddr().String()
	if nc.LocalAddr().Network() == "unix" {
		c.remote = c.local
	}
	c.lastActive.Store(c.created.UnixNano())
	c.strangerSince = c.created
	c.read.bind(c)
	c.write.bind(c)
	c.out.OnFull(s.opt.MaxOutput, c.overflow)
	c.SetAuthenticated(!s.opt.AuthRequired)
	return c
}

// ID returns the number of the connection: unique in the process, ascending. Any
// goroutine.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr returns the client's address; for a unix socket the socket's path.
// Any goroutine.
func (c *Conn) RemoteAddr() string { return c.remote }

// LocalAddr returns the address that the client connected to. Any goroutine.
func (c *Conn) LocalAddr() string { return c.local }

// Created returns when the connection was accepted. Any goroutine.
func (c *Conn) Created() time.Time { return c.created }

// LastActive returns when bytes last arrived. Any goroutine.
func (c *Conn) LastActive() time.Time { return time.Unix(0, c.lastActive.Load()) }

// InputBuffered returns the bytes of memory held for input now. Any goroutine.
func (c *Conn) InputBuffered() int64 { return c.inputHeld.Load() }

// OutputBuffered returns the bytes of replies that wait for the client to take
// them. Any goroutine.
func (c *Conn) OutputBuffered() int64 { return c.outputHeld.Load() }

// Out is where replies go. It is flushed after Serve, and by itself whenever
// MaxOutput bytes are pending: writing to it then blocks until the client takes
// them, or the connection fails and everything further is discarded.
func (c *Conn) Out() *resp.Writer { return &c.out }

// SetAuthenticated switches the decoder's limits and starts or ends the deadline
// for authentication, which counts anew only for a client that was authenticated.
func (c *Conn) SetAuthenticated(yes bool) {
	if c.authenticated && !yes {
		c.strangerSince = time.Now()
	}
	c.authenticated = yes
	c.decoder.SetAuthenticated(yes)
}

// CloseAfterReply closes the connection when the present Serve has returned and
// its replies are flushed, whatever Serve returns.
func (c *Conn) CloseAfterReply() { c.closeAfter = true }

// Done is closed when the connection is gone: killed, cut by Shutdown, failed in
// a write, or ended. A client that hangs up while Serve runs is noticed only by a
// write, or under Watch. Any goroutine.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Stopping is closed when the server begins to shut down. Any goroutine.
func (c *Conn) Stopping() <-chan struct{} { return c.server.stopping }

// Kill closes the socket at once, unsent replies lost; the connection's goroutine
// then ends by itself. Any goroutine, any number of times.
func (c *Conn) Kill() {
	c.state.Store(stateClosed)
	c.cut()
}

// closeIfIdle closes the connection if it waits for input. If it is serving it
// will see that the server is stopping.
func (c *Conn) closeIfIdle() {
	if c.leaveWaiting(stateClosed) {
		c.cut()
	}
}

// cut closes the socket below everything, which ends every call on it. TLS is not
// asked: its Close waits for its lock.
func (c *Conn) cut() {
	c.kill.Do(func() {
		close(c.done)
		hangUp(c.socket)
	})
}

// isStopping reports whether the connection is to end after the present reply.
func (c *Conn) isStopping() bool {
	if c.closeAfter || c.writeErr != nil || c.state.Load() == stateClosed {
		return true
	}
	select {
	case <-c.server.stopping:
		return true
	default:
		return false
	}
}
