package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds the input memory of all connections together.
//
// The smallest buffers are only counted, so that small commands always go
// through; larger ones are reserved, and while the sum is at its maximum those
// who want to grow wait, first come first served, without reading: TCP pushes
// back. If everybody waited for everybody nobody would ever finish, so at any
// time one connection has the overdraft: it may exceed the maximum by the one
// command that it is reading.
type budget struct {
	max     int64
	stats   *Stats // InputBytes is the sum
	waiting atomic.Int32

	mu        sync.Mutex
	queue     []*waiter
	overdraft bool // taken
}

type waiter struct {
	bytes int64
	extra bool // granted the overdraft
	ready chan struct{}
}

func (b *budget) open(limit int64, stats *Stats) { b.max, b.stats = limit, stats }

func (b *budget) isFull() bool { return b.stats.InputBytes.Load() >= b.max }

// add counts n bytes more or fewer.
func (b *budget) add(n int64) {
	b.stats.InputBytes.Add(n)
	if n < 0 && b.waiting.Load() > 0 {
		b.mu.Lock()
		b.grant()
		b.mu.Unlock()
	}
}

// take counts n bytes if they are within the maximum.
func (b *budget) take(n int64) bool {
	for {
		sum := b.stats.InputBytes.Load()
		if sum+n > b.max {
			return false
		}
		if b.stats.InputBytes.CompareAndSwap(sum, sum+n) {
			return true
		}
	}
}

// grant lets waiters go in their order; under mu.
func (b *budget) grant() {
	for len(b.queue) > 0 {
		w := b.queue[0]
		if !b.take(w.bytes) {
			if b.overdraft {
				return
			}
			b.overdraft, w.extra = true, true
			b.stats.InputBytes.Add(w.bytes)
		}
		b.queue = slices.Delete(b.queue, 0, 1)
		b.waiting.Add(-1)
		close(w.ready)
	}
}

// leave ends the wait of w; false if it was granted in the meantime.
func (b *budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i < 0 {
		return false
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	b.waiting.Add(-1)
	b.grant()
	return true
}

// reserve counts n more bytes of input memory, waiting for them if need be, at
// most CommandTimeout, and a stranger not beyond AuthTimeout: errInputFull.
func (c *Conn) reserve(n int) error {
	b := &c.server.budget
	switch {
	case c.input.extra:
		b.add(int64(n))
	case b.waiting.Load() == 0 && b.take(int64(n)):
	default:
		if err := c.wait(b, int64(n)); err != nil {
			return err
		}
	}
	c.inputHeld.Add(int64(n))
	return nil
}

func (c *Conn) wait(b *budget, n int64) error {
	w := &waiter{bytes: n, ready: make(chan struct{})}
	b.mu.Lock()
	b.queue = append(b.queue, w)
	b.waiting.Add(1)
	b.grant()
	b.mu.Unlock()
	select {
	case <-w.ready:
		c.input.extra = w.extra
		return nil
	default:
	}
	c.server.stats.InputWaits.Add(1)
	limit := c.server.opt.CommandTimeout
	if !c.authenticated {
		limit = min(limit, time.Until(c.strangerSince.Add(c.server.opt.AuthTimeout)))
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	err := errInputFull
	select {
	case <-w.ready:
		c.input.extra = w.extra
		return nil
	case <-timer.C:
	case <-c.done:
		err = ErrClosed
	case <-c.server.stopping:
		err = ErrClosed
	}
	if !b.leave(w) {
		c.input.extra = w.extra
		return nil
	}
	return err
}

// endOverdraft gives the overdraft to the next in the queue.
func (c *Conn) endOverdraft() {
	if !c.input.extra {
		return
	}
	c.input.extra = false
	b := &c.server.budget
	b.mu.Lock()
	b.overdraft = false
	b.grant()
	b.mu.Unlock()
}
