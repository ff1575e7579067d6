package server

import (
	"errors"
	"io"
	"syscall"
	"time"
)

// readCall carries the result of tryRead out of RawConn.Read. The function value
// is kept, because making one for each read would allocate.
type readCall struct {
	try func(fd uintptr) bool
	n   int
	err error

	small []byte // what a wrapped connection waits with
}

func (r *readCall) bind(c *Conn) { r.try = c.tryRead }

// receive waits for input and reads it behind what is there.
//
// A plain socket is read without blocking, by tryRead; if nothing has come,
// tryRead gives the buffers back and the runtime's poller calls it again when
// the socket is readable. So waiting costs a goroutine and no buffer, and a
// socket with input waiting costs one system call, as with net.Conn.Read.
func (c *Conn) receive() (int, error) {
	if c.raw == nil {
		return c.receiveWrapped()
	}
	c.read.n, c.read.err = 0, nil
	if err := c.raw.Read(c.read.try); err != nil {
		return 0, err
	}
	return c.read.n, c.read.err
}

func (c *Conn) tryRead(fd uintptr) bool {
	c.borrow()
	for {
		n, err := syscall.Read(int(fd), c.room())
		switch {
		case n > 0:
			c.read.n = n
		case err == nil:
			c.read.err = io.EOF
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			c.idle()
			return false
		default:
			c.read.err = err
		}
		return true
	}
}

// room is where the next read goes: all that is free, but no more than a large
// read or the rest of a large argument, so that one batch stays bounded.
func (c *Conn) room() []byte {
	in := &c.input
	free := in.buf[in.have:]
	if len(free) > largeRead {
		free = free[:min(len(free), max(largeRead, c.decoder.Need(in.have)))]
	}
	return free
}

// past is a deadline for reading what has been decrypted already and nothing more.
var past = time.Unix(1, 0)

// receiveWrapped is receive for TLS, which reads in blocking mode only: it waits
// with a small buffer of its own and, when that was filled, collects what TLS
// still holds of the record.
func (c *Conn) receiveWrapped() (int, error) {
	in := &c.input
	c.idle()
	if in.buf != nil {
		return c.nc.Read(c.room())
	}
	if c.read.small == nil {
		c.read.small = make([]byte, smallRead)
	}
	n, err := c.nc.Read(c.read.small)
	if n == 0 {
		return 0, err
	}
	if n == len(c.read.small) {
		in.class = max(in.class, 1)
	}
	c.borrow()
	copy(in.buf, c.read.small[:n])
	if n < len(c.read.small) || n == len(in.buf) {
		return n, nil
	}
	c.deadline = past
	_ = c.socket.SetReadDeadline(past) // fails on a closed socket only, which the next read reports
	for n < len(in.buf) {
		more, err := c.nc.Read(in.buf[n:])
		n += more
		if err != nil {
			return n, nil // a timeout is expected; anything else comes again at the next read
		}
	}
	return n, nil
}
