package server

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Watch has Done closed when the client hangs up while Serve waits for something
// else than the socket (a BLOCK, say). The returned function ends the watch; it
// must be called before Serve returns. Like Redis, it takes a client that has
// closed its sending side for gone. Connection's goroutine.
func (c *Conn) Watch() (stop func()) {
	plain, ok := c.socket.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() { // ends when stop sets the deadline, or the socket is closed
		defer close(done)
		gone := false
		err := raw.Read(func(fd uintptr) bool {
			gone = isHungUp(int(fd))
			return gone
		})
		if err == nil && gone {
			c.cut()
		}
	}()
	return func() {
		c.deadline = past
		_ = c.socket.SetReadDeadline(past) // fails on a closed socket only, where the goroutine ends too
		<-done
		c.deadline = time.Time{}
		_ = c.socket.SetReadDeadline(c.deadline) // as above; fill sets the right one
	}
}

// HungUp reports whether the client has hung up, in the sense of Watch, for Serve
// calls that compute for long. Connection's goroutine.
func (c *Conn) HungUp() bool {
	plain, ok := c.socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) { gone = isHungUp(int(fd)) })
	return gone || err != nil
}

func isHungUp(fd int) bool {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(set, 0)
	return err == nil && n > 0 && set[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

// unacknowledged returns how many bytes written to a socket its peer has not
// taken yet; -1 if that cannot be known.
func unacknowledged(nc net.Conn) int {
	plain, ok := nc.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return -1
	}
	n := -1
	err = raw.Control(func(fd uintptr) {
		if got, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = got
		}
	})
	if err != nil {
		return -1
	}
	return n
}
