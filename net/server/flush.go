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
	held := int64(len(b) + c.out.Rest())
	if err := c.holdOutput(held); err != nil {
		return err
	}
	c.outputHeld.Store(int64(len(b)))
	n, err := writeWithProgress(c.nc, b, c.server.opt.WriteTimeout)
	c.server.stats.BytesWritten.Add(uint64(n))
	c.server.stats.HeldBytes.Add(-held)
	c.outputHeld.Store(0)
	if err != nil {
		c.noteWriteError(err)
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{})
}

// tlsRecord is the most that TLS sends in one record.
const tlsRecord = 16 << 10

// errHeld says that the server holds too many replies for slow clients.
var errHeld = errors.New("too many replies wait for slow clients")

// smallHeld may always be held, so that a slow client of small replies is not cut
// for the large ones of others.
const smallHeld = 16 << 10

// holdOutput accounts for n bytes of replies that wait for this client. The first
// one over the limit is let through, so that a single reply may be larger than it;
// while the sum is over it every other one is refused.
func (c *Conn) holdOutput(n int64) error {
	stats := &c.server.stats
	if sum := stats.HeldBytes.Add(n); sum-n > c.server.opt.MaxHeld && n > smallHeld {
		stats.HeldBytes.Add(-n)
		stats.HeldCuts.Add(1)
		c.dropUnsent()
		return errHeld
	}
	return nil
}

const (
	// progressChecks is how often within its timeout a write is looked at.
	progressChecks = 8
	// writePatience is how many timeouts one write may take with progress: a client
	// that takes MaxOutput in more than five minutes is as good as dead, but keeps
	// a snapshot.
	writePatience = 30
)

// writeWithProgress writes all of b and gives up when the peer has taken nothing
// for timeout. Progress is what the peer has taken, not what the kernel has: its
// buffer takes bytes for a peer that never reads, and a slow reader may work for
// long on what the kernel holds already.
func writeWithProgress(nc net.Conn, b []byte, timeout time.Duration) (int, error) {
	_, encrypted := nc.(*tls.Conn)
	done, held, since := 0, unacknowledged(nc), time.Now()
	end := since.Add(writePatience * timeout)
	for done < len(b) {
		part := b[done:]
		if encrypted {
			part = part[:min(len(part), tlsRecord)]
		}
		if err := nc.SetWriteDeadline(time.Now().Add(max(timeout/progressChecks, 1))); err != nil {
			return done, err
		}
		n, err := nc.Write(part)
		done += n
		left := unacknowledged(nc)
		if held+n > left {
			since = time.Now()
		}
		held = left
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || encrypted || time.Since(since) >= timeout || time.Now().After(end)) {
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

// noteWriteError counts a client that does not read.
func (c *Conn) noteWriteError(err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.server.stats.WriteTimeouts.Add(1)
	c.dropUnsent()
}

// dropUnsent tells the kernel to throw away what it holds when the socket, which
// is next, is closed.
func (c *Conn) dropUnsent() {
	if t, ok := c.socket.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // best effort: the socket is closed in any case
	}
}
