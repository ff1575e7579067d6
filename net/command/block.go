package command

import (
	"context"
	"errors"
	"math"
	"time"

	"tskv/engine"
	"tskv/kv"
)

const (
	errBlockReverse reply = "ERR BLOCK waits for new records and cannot be used with REV or OFFSET"
	errTimeout      reply = "ERR timeout is not an integer or out of range"
	errNegativeTime reply = "ERR timeout is negative"
	// errTimeoutGiven is no reply: CLIENT UNBLOCK has ended the wait as if its time
	// were over.
	errTimeoutGiven reply = "the time is over"
	errUnblocked    reply = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
)

// maxBlock bounds BLOCK; 0, which means for ever, is not bounded.
const maxBlock = 365 * 24 * time.Hour

func parseBlock(text []byte) (time.Duration, error) {
	n, ok := parseInt(text)
	switch {
	case !ok || n > math.MaxInt64/int64(time.Millisecond) || time.Duration(n)*time.Millisecond > maxBlock:
		return 0, errTimeout
	case n < 0:
		return 0, errNegativeTime
	}
	return time.Duration(n) * time.Millisecond, nil
}

// scanBlock answers a SCAN with BLOCK: at once if the range has a record, else when
// the first comes, or with an empty list when the time is over. The bound for the
// next page is always one to go on from.
func (s *session) scanBlock(q *rangeQuery) error {
	if q.reverse || q.offset > 0 {
		return errBlockReverse
	}
	if s.at != nil { // inside EXEC nothing waits
		return s.scanNow(q, nil)
	}
	_ = s.c.Flush() // replies before this one do not wait; the error is met again
	stop := s.c.Watch()
	defer stop()
	ctx, cancel := s.blockContext(q.block)
	defer cancel()
	var start kv.ID
	tail, err := s.db.Tail(engine.TailOptions{Key: q.key, Tags: q.tags, Start: func(snap *engine.Snapshot, _ []byte) (kv.ID, bool, error) {
		// "$" becomes the last ID of this moment; a key without one starts at the first.
		var some bool
		var err error
		if q.from.last {
			if some, err = q.from.resolve(snap, q.key); err == nil && !some {
				q.from = bound{}
			}
		}
		start, some = q.from.from()
		return start, some, err
	}})
	if err != nil {
		return err
	}
	defer tail.Close()
	for {
		events, err := tail.Next(ctx)
		switch {
		case err == nil:
			if q.wantsOne(events) {
				return s.scanNow(q, &start)
			}
		case errors.Is(err, engine.ErrLagged): // it may be in the range: look
			return s.scanNow(q, &start)
		case errors.Is(err, context.DeadlineExceeded):
			return s.scanNow(q, &start)
		case errors.Is(err, context.Canceled):
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, errTimeoutGiven):
				return s.scanNow(q, &start)
			case errors.Is(cause, errUnblocked):
				return errUnblocked
			}
			return errStopped
		default:
			return err
		}
	}
}

// wantsOne reports whether one of the events lies in the range.
func (q *rangeQuery) wantsOne(events []engine.Event) bool {
	from, ok := q.from.from()
	to, possible := q.to.to()
	if q.to.last {
		to, possible = kv.MaxID, true
	}
	for i := range events {
		if id := events[i].ID; ok && possible && !id.Less(from) && !to.Less(id) {
			return true
		}
	}
	return false
}

// scanNow answers with what is there. start is where the next page begins if that
// is nothing.
func (s *session) scanNow(q *rangeQuery, start *kv.ID) error {
	return s.readWindow(&q.window, func(snap *engine.Snapshot, from, to kv.ID) error {
		r := recordStream{s: s, q: q, snap: snap, follow: true, opt: engine.ScanOptions{From: from, To: to, Tags: q.tags}}
		if start != nil {
			r.start = *start
		} else {
			r.start = from
		}
		r.opt.Stop = r.stop(s.untilGone())
		return r.run()
	})
}

// blockContext ends after d (0: never), when the client is gone, when the server
// stops, and by CLIENT UNBLOCK.
func (s *session) blockContext(d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	end := func() {}
	if d > 0 {
		ctx, end = context.WithTimeout(ctx, d)
	}
	s.mu.Lock()
	s.unblock = cancel
	s.mu.Unlock()
	s.h.blocked.Add(1)
	ended := make(chan struct{})
	go func() { // ends with the command
		select {
		case <-s.c.Done():
			cancel(errStopped)
		case <-s.c.Stopping():
			cancel(errStopped)
		case <-ended:
		}
	}()
	return ctx, func() {
		s.mu.Lock()
		s.unblock = nil
		s.mu.Unlock()
		s.h.blocked.Add(-1)
		close(ended)
		end()
		cancel(nil)
	}
}
