package server

import (
	"errors"
	"os"
	"runtime"
	"time"
)

// Pusher is a Session that has something to say without being asked. A connection
// calls Push, on its own goroutine, some time after a Wake.
type Pusher interface {
	// Push writes what there is to the connection's Out, but no more than about
	// MaxOutput bytes of it: if more is left it returns more, and is called again
	// after the input that has arrived was served. keep is as that of Serve.
	Push() (more, keep bool)
}

// Wake has Push called soon, also if the connection waits for input. It does not
// block and may be called from any goroutine, under locks that the session does not
// wait for. Calls before the Push are one.
func (c *Conn) Wake() {
	if c.wanted.Swap(true) || c.finishing.Load() {
		return
	}
	// A connection that is not waiting looks at wanted before it waits. The state in
	// between keeps it from serving under the deadline that is meant to end the wait.
	if c.state.CompareAndSwap(stateWaiting, stateWaking) {
		_ = c.socket.SetReadDeadline(past) // fails on a closed socket only
		c.state.CompareAndSwap(stateWaking, stateWaiting)
	}
}

// tlsPeek is how long a look at a wrapped connection waits for input.
const tlsPeek = time.Millisecond

// receiveNow is receive without the wait: os.ErrDeadlineExceeded if nothing is
// there.
func (c *Conn) receiveNow() (int, error) {
	if c.raw == nil {
		_ = c.socket.SetReadDeadline(time.Now().Add(tlsPeek)) // fails on a closed socket only
		return c.receive()
	}
	c.read.n, c.read.err = 0, os.ErrDeadlineExceeded
	err := c.raw.Control(func(fd uintptr) {
		if c.tryRead(fd) && c.read.n > 0 {
			c.read.err = nil
		}
	})
	return c.read.n, errors.Join(c.read.err, err)
}

// wokenUp reports whether the wait for input ended because of a Wake.
func (c *Conn) wokenUp(err error) bool {
	return c.wanted.Load() && errors.Is(err, os.ErrDeadlineExceeded)
}

// push lets the session speak; false when the connection is to end.
func (c *Conn) push() bool {
	c.deadline = past // or what Wake has set would be taken for what is wanted
	c.wanted.Store(false)
	p, ok := c.session.(Pusher)
	if !ok {
		return true
	}
	c.takeScratch(0)
	more, keep := c.callPush(p)
	if !keep || c.isStopping() {
		c.finish()
		return false
	}
	if c.Flush() != nil {
		return false
	}
	if more {
		c.wanted.Store(true)
	}
	return true
}

func (c *Conn) callPush(p Pusher) (more, keep bool) {
	defer c.recoverPanic(&keep)
	c.boundary = c.out.Len()
	return p.Push()
}

// leaveWaiting moves the state from waiting, once no Wake is in the middle of its
// call; false if the connection was closed.
func (c *Conn) leaveWaiting(to int32) bool {
	for {
		if c.state.CompareAndSwap(stateWaiting, to) {
			return true
		}
		if c.state.Load() != stateWaking {
			return c.state.CompareAndSwap(stateWaiting, to)
		}
		runtime.Gosched()
	}
}

// commandDeadline is when a command that has begun must have gone on.
func (c *Conn) commandDeadline() time.Time {
	return c.LastActive().Add(c.server.opt.CommandTimeout)
}
