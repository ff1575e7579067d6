package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// writeCall carries the arguments and the result of tryWrite; see readCall.
type writeCall struct {
	try func(fd uintptr) bool
	buf []byte
	n   int
	err error
}

func (w *writeCall) bind(c *Conn) { w.try = c.tryWrite }

// Flush writes all pending replies and blocks until the client has taken them.
// When it takes nothing for WriteTimeout the connection is cut. After an error,
// which is final, replies are discarded.
func (c *Conn) Flush() error {
	if b := c.out.Bytes(); len(b) > 0 && c.writeErr == nil {
		if err := c.send(b); err != nil {
			c.writeErr = fmt.Errorf("write replies: %w", err)
			c.server.log().Debug("write connection", "conn", c.id, "remote", c.remote, "err", err)
			c.cut()
		}
	}
	c.out.Reset()
	c.boundary = 0
	return c.writeErr
}

// MaybeFlush is to be called by sessions after each command: it marks the end of
// a whole reply, behind which a panic's error goes, and flushes when half of
// MaxOutput is pending. It returns the error of the first failed write; the
// remaining commands need not be run then.
func (c *Conn) MaybeFlush() error {
	c.boundary = c.out.Len()
	if c.boundary >= c.server.opt.MaxOutput/2 {
		return c.Flush()
	}
	return c.writeErr
}

// overflow keeps Out within MaxOutput.
func (c *Conn) overflow() {
	_ = c.Flush() // the error stays in writeErr
}

// send writes b: at once if the socket takes it, else with deadlines.
func (c *Conn) send(b []byte) error {
	if c.raw != nil {
		n, err := c.sendNow(b)
		if err != nil || n == len(b) {
			return err
		}
		c.server.stats.OutputWaits.Add(1)
		b = b[n:]
	}
	c.outputHeld.Store(int64(len(b)))
	n, err := writeWithProgress(c.nc, b, c.server.opt.WriteTimeout)
	c.server.stats.BytesWritten.Add(uint64(n))
	c.outputHeld.Store(0)
	if err != nil {
		c.noteWriteError(err)
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{})
}

// tlsRecord is the most that TLS sends in one record.
const tlsRecord = 16 << 10

// writeWithProgress writes all of b and gives up when the peer has taken nothing
// for timeout. Bytes that move from b into the kernel are not the only progress:
// a slow reader may work for long on what the kernel holds already.
func writeWithProgress(nc net.Conn, b []byte, timeout time.Duration) (int, error) {
	_, encrypted := nc.(*tls.Conn)
	done := 0
	for done < len(b) {
		part := b[done:]
		if encrypted {
			part = part[:min(len(part), tlsRecord)]
		}
		held := unacknowledged(nc)
		if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return done, err
		}
		n, err := nc.Write(part)
		done += n
		if err == nil || n > 0 && !encrypted {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || unacknowledged(nc) >= held {
			return done, err
		}
	}
	return done, nil
}

// patient is the socket below TLS. TLS cannot go on after a failed write, so
// progress is looked for down here.
type patient struct {
	net.Conn
	timeout time.Duration
}

// Write writes all of b, however slowly the peer takes it.
func (p patient) Write(b []byte) (int, error) { return writeWithProgress(p.Conn, b, p.timeout) }

// sendNow writes what the socket's buffer takes.
func (c *Conn) sendNow(b []byte) (int, error) {
	c.write.buf, c.write.n, c.write.err = b, 0, nil
	err := c.raw.Write(c.write.try)
	c.write.buf = nil
	if err == nil {
		err = c.write.err
	}
	c.server.stats.BytesWritten.Add(uint64(c.write.n))
	return c.write.n, err
}

func (c *Conn) tryWrite(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), c.write.buf)
		switch {
		case n > 0:
			c.write.n = n
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
		default:
			c.write.err = err
		}
		return true
	}
}

// noteWriteError counts a client that does not read. The kernel is told to throw
// away what it still holds for it.
func (c *Conn) noteWriteError(err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.server.stats.WriteTimeouts.Add(1)
	if t, ok := c.socket.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // best effort: the socket is closed next in any case
	}
}
