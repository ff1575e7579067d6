package engine

import (
	"runtime"
	"sync"
	"time"

	"tskv/metrics"
)

// queueOps bounds the operations of the commit queue and of one group taken from
// it, as Options.Memory bounds their bytes. A batch larger than a bound is still
// taken, alone.
const queueOps = 64 << 10

// queue is the bounded multi-producer queue in front of the commit goroutine.
// A producer that finds it full waits for room until its deadline.
type queue struct {
	mu      sync.Mutex
	waiting []*Batch
	ops     int
	bytes   int64
	limit   int64 // of bytes
	closed  bool
	full    bool          // somebody waits for room
	room    chan struct{} // closed and replaced when room appears
	work    chan struct{} // one slot: something waits, or the queue closed
	big     chan struct{} // one slot: pipelineOps operations wait
	metrics *metrics.Engine
}

func newQueue(limit int64, m *metrics.Engine) *queue {
	return &queue{limit: limit, room: make(chan struct{}), work: make(chan struct{}, 1), big: make(chan struct{}, 1), metrics: m}
}

// put hands b to the commit goroutine, or returns ErrBusy after timeout, or
// ErrClosed.
func (q *queue) put(b *Batch, timeout time.Duration) error {
	var deadline *time.Timer
	for {
		room, err := q.tryPut(b)
		if room == nil {
			return err
		}
		if deadline == nil {
			q.metrics.QueueFull.Inc()
			deadline = time.NewTimer(timeout)
			defer deadline.Stop()
		}
		select {
		case <-room:
		case <-deadline.C:
			q.metrics.Busy.Inc()
			return ErrBusy
		}
	}
}

// tryPut returns a channel to wait on if the queue is full.
func (q *queue) tryPut(b *Batch) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	if len(q.waiting) > 0 && (q.ops+len(b.Ops) > queueOps || q.bytes+b.bytes > q.limit) {
		q.full = true
		return q.room, nil
	}
	q.waiting = append(q.waiting, b)
	q.ops += len(b.Ops)
	q.bytes += b.bytes
	q.signal()
	if q.ops >= pipelineOps {
		select {
		case q.big <- struct{}{}:
		default:
		}
	}
	return nil, nil
}

// size returns how many operations wait.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ops
}

// signal wakes the commit goroutine.
func (q *queue) signal() {
	select {
	case q.work <- struct{}{}:
	default:
	}
}

// wait blocks until something waits (ready) or signal was called (not ready); not
// open when the queue is closed and empty.
//
// Before it returns it lets goroutines run that are ready to: connections that
// are about to put something join this group instead of waiting for the next.
// (Measured with 50 clients and SyncAlways: groups of 17 instead of 10, +35 %.
// Waiting longer was tried three ways: spinning for a time, spinning for as many
// callers as before, sleeping for half a sync. Groups grew and answers did not: on
// two cores that clients share it is their processor time that is missing.)
func (q *queue) wait() (ready, open bool) {
	for woken := false; ; woken = true {
		q.mu.Lock()
		n, closed := len(q.waiting), q.closed
		q.mu.Unlock()
		if n > 0 {
			runtime.Gosched()
			return true, true
		}
		if closed || woken {
			return false, !closed
		}
		<-q.work
	}
}

// take returns everything that waits, appended to dst.
func (q *queue) take(dst []*Batch) []*Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.waiting...)
	q.drop(len(q.waiting))
	return dst
}

// expire takes out the batches that have waited since before limit.
func (q *queue) expire(limit time.Time, dst []*Batch) []*Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.waiting) && q.waiting[n].queued.Before(limit) {
		n++
	}
	dst = append(dst, q.waiting[:n]...)
	q.drop(n)
	return dst
}

// drop removes the first n batches and wakes the producers. q.mu is held.
func (q *queue) drop(n int) {
	if n == 0 {
		return
	}
	for _, b := range q.waiting[:n] {
		q.ops -= len(b.Ops)
		q.bytes -= b.bytes
	}
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if q.full {
		q.full = false
		close(q.room)
		q.room = make(chan struct{})
	}
}

// close makes every later put fail; what waits is still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// maxTime is later than any batch was queued.
var maxTime = time.Unix(1<<40, 0)

// answer ends batches with an error; nothing of them was written.
func answer(batches []*Batch, err error) {
	for _, b := range batches {
		b.err = err
		b.done <- struct{}{}
	}
}
