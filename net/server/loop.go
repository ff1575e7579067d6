package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"tskv/net/resp"
)

// run is the life of a connection.
func (c *Conn) run() {
	defer c.server.remove(c)
	defer c.releaseBuffers()
	defer c.closeSession()
	defer c.cut()
	if !c.handshake() {
		return
	}
	if !c.open() {
		c.finish()
		return
	}
	for c.fill() {
		if !c.serve() {
			return
		}
	}
}

// handshake does TLS's part within its deadline.
func (c *Conn) handshake() bool {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	if !c.beginWait() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.server.opt.HandshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			c.server.stats.HandshakeTimeouts.Add(1)
		}
		c.server.log().Debug("TLS handshake", "conn", c.id, "remote", c.remote, "err", err)
		return false
	}
	return c.endWait()
}

func (c *Conn) open() (ok bool) {
	defer c.recoverPanic(&ok)
	c.session = c.server.handler.Open(c)
	return true
}

func (c *Conn) closeSession() {
	if c.session == nil {
		return
	}
	var ignored bool
	defer c.recoverPanic(&ignored)
	c.session.Close()
}

// fill waits for input and reads what is there, and lets the session push
// meanwhile; false when the connection is to end.
func (c *Conn) fill() bool {
	for {
		if c.wanted.Load() && !c.push() {
			return false
		}
		n, err := c.await()
		if n > 0 {
			c.input.arrived(n)
			c.lastActive.Store(time.Now().UnixNano())
			c.server.stats.BytesRead.Add(uint64(n))
			return true
		}
		if !c.wokenUp(err) {
			c.noteReadError(err)
			return false
		}
	}
}

// await waits for input or a Wake. Nothing and no error: the connection was closed.
func (c *Conn) await() (int, error) {
	if err := c.makeRoom(); err != nil {
		return 0, err
	}
	c.setReadDeadline()
	if !c.beginWait() {
		return 0, nil
	}
	n, err := 0, error(nil)
	if c.wanted.Load() {
		n, err = c.receiveNow()
	} else {
		n, err = c.receive()
	}
	if !c.endWait() {
		return 0, nil
	}
	return n, err
}

// beginWait lets Shutdown close the connection at once; false if it is to end. The
// state is set before the look at stopping, and Shutdown does it the other way
// round, so one of the two sees the other.
func (c *Conn) beginWait() bool {
	if !c.state.CompareAndSwap(stateServing, stateWaiting) {
		return false
	}
	select {
	case <-c.server.stopping:
		return false
	default:
		return true
	}
}

// endWait is false if the connection was closed meanwhile.
func (c *Conn) endWait() bool {
	return c.leaveWaiting(stateServing)
}

// setReadDeadline gives an idle connection none, a begun command CommandTimeout
// from the last byte, and a stranger AuthTimeout from when it became one at most.
func (c *Conn) setReadDeadline() {
	var deadline time.Time
	if c.input.have > 0 {
		deadline = c.commandDeadline()
	}
	if !c.authenticated {
		limit := c.strangerSince.Add(c.server.opt.AuthTimeout)
		if deadline.IsZero() || limit.Before(deadline) {
			deadline = limit
		}
	}
	if deadline.Equal(c.deadline) {
		return
	}
	c.deadline = deadline
	_ = c.socket.SetReadDeadline(deadline) // fails on a closed socket only, which the read reports
}

func (c *Conn) noteReadError(err error) {
	stats := &c.server.stats
	switch {
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed):
		return
	case errors.Is(err, errInputFull):
		stats.CommandTimeouts.Add(1)
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.authenticated && !time.Now().Before(c.strangerSince.Add(c.server.opt.AuthTimeout)):
		stats.AuthTimeouts.Add(1)
	case errors.Is(err, os.ErrDeadlineExceeded):
		stats.CommandTimeouts.Add(1)
	}
	c.server.log().Debug("read connection", "conn", c.id, "remote", c.remote, "err", err)
}

// serve answers every complete command in the buffer and keeps the rest; false
// when the connection is to end.
func (c *Conn) serve() bool {
	c.takeScratch(0)
	in := &c.input
	used := 0
	for {
		n, err := c.decoder.Decode(in.buf[used:in.have], &c.scratch.batch)
		used += n
		keep := true
		if len(c.scratch.batch.Commands) > 0 {
			keep = c.call(c.scratch.batch.Commands)
		}
		if !keep || c.isStopping() {
			c.finish()
			return false
		}
		if err != nil {
			c.refuse(err)
			return false
		}
		if n == 0 || used == in.have {
			break
		}
	}
	in.drop(used)
	if c.Flush() != nil {
		return false
	}
	if in.extra && used > 0 {
		c.idle() // others wait for this memory
	}
	return true
}

// call has the session serve commands. A panic costs this client its connection
// and nobody else anything.
func (c *Conn) call(cmds []resp.Command) (keep bool) {
	defer c.recoverPanic(&keep)
	c.boundary = c.out.Len()
	return c.session.Serve(cmds)
}

func (c *Conn) recoverPanic(ok *bool) {
	value := recover()
	if value == nil {
		return
	}
	*ok = false
	stack := debug.Stack()
	c.server.stats.Panics.Add(1)
	c.server.log().Error("panic in a session", "conn", c.id, "remote", c.remote, "panic", value, "stack", string(stack))
	c.out.Unmute()
	c.out.Truncate(c.boundary)
	c.out.Error("ERR internal error")
	if hook := c.server.opt.OnPanic; hook != nil {
		hook(c, value, stack)
	}
}

// refuse answers a malformed request and closes.
func (c *Conn) refuse(err error) {
	c.server.stats.ProtocolErrors.Add(1)
	c.server.log().Debug("malformed request", "conn", c.id, "remote", c.remote, "err", err)
	if !errors.Is(err, resp.ErrCrossProtocol) {
		c.out.Unmute()
		c.out.Error("ERR " + err.Error())
	}
	c.finish()
}

// lingerTime and lingerBytes bound how long a closed client may still send. A
// socket closed with unread input is reset, and the reset would overtake the last
// reply; so its sending side is shut down and the input is read away first.
const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// finish sends what is pending and ends the conversation so that the client can
// read it all.
func (c *Conn) finish() {
	c.finishing.Store(true)
	if c.Flush() != nil {
		return
	}
	c.releaseBuffers()
	_ = c.socket.SetDeadline(time.Now().Add(lingerTime)) // fails on a closed socket only
	if c.beginWait() {
		drain(c.nc)
	} else {
		_ = closeWrite(c.nc) // the server is on its way out; the close follows
	}
}
