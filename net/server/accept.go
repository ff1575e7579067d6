package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Accept errors (no descriptors left, mostly) are waited out: retrying at once
// would burn a core, and giving up would end the service.
const (
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
)

const (
	// maxRejects bounds the rejections in progress; beyond, the socket is closed
	// without a word.
	maxRejects = 128
	// rejectTime bounds one rejection: the error is sent at once, then the client
	// has this long to take it and close.
	rejectTime = 100 * time.Millisecond

	rejectText = "-ERR max number of clients reached\r\n"
)

// Serve accepts connections from l until Shutdown, and returns nil then; it
// returns ErrClosed if Shutdown has already begun, and an error if l was closed
// by somebody else. It closes l. Several listeners may be served at once.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.Join(ErrClosed, l.Close())
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer s.forget(l)
	delay := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.welcome(nc)
			continue
		}
		select {
		case <-s.stopping:
			return nil
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept connection: %w", err)
		}
		s.stats.AcceptErrors.Add(1)
		delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
		s.log().Warn("accept connection", "err", err, "retry_in", delay)
		select {
		case <-s.stopping:
			return nil
		case <-time.After(delay):
		}
	}
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log().Warn("close listener", "addr", l.Addr().String(), "err", err)
	}
}

// welcome starts the goroutine of a new connection, or turns it away.
func (s *Server) welcome(nc net.Conn) {
	if s.opt.TLS != nil && nc.LocalAddr().Network() != "unix" {
		nc = tls.Server(patient{nc, s.opt.WriteTimeout}, s.opt.TLS)
	}
	c, full := s.add(nc)
	switch {
	case c != nil:
		go c.run() // ends at the latest when Shutdown kills it, which waits for it
	case full:
		s.reject(nc)
	default:
		hangUp(nc)
	}
}

// reject tells a client over MaxClients why it is closed; add has counted it in
// running. TLS clients are closed in silence, as Redis does: there is no session
// yet to say it in.
func (s *Server) reject(nc net.Conn) {
	s.stats.ConnectionsRejected.Add(1)
	if _, encrypted := nc.(*tls.Conn); encrypted || !s.startReject() {
		hangUp(nc)
		s.running.Done()
		return
	}
	go func() { // ends after rejectTime
		defer s.running.Done()
		defer func() { <-s.rejects }()
		_ = nc.SetDeadline(time.Now().Add(rejectTime)) // fails on a dead socket only
		if _, err := nc.Write([]byte(rejectText)); err == nil {
			drain(nc)
		}
		hangUp(nc)
	}()
}

// startReject takes one of the tokens for rejections, if there is one.
func (s *Server) startReject() bool {
	select {
	case s.rejects <- struct{}{}:
		return true
	default:
		return false
	}
}
