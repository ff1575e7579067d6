package command

import (
	"sync"
	"sync/atomic"
	"time"

	"tskv/engine"
	"tskv/net/resp"
	"tskv/net/server"
)

// session is one client. Everything but the fields under mu and the atomics
// belongs to the connection's goroutine.
type session struct {
	h   *Handler
	c   *server.Conn
	out *resp.Writer
	db  *engine.DB // of the present Serve; nil while loading

	trusted  bool // authenticated, or no password is set
	failures int  // wrong passwords so far
	closing  bool
	muted    bool // CLIENT REPLY OFF
	skip     bool // CLIENT REPLY SKIP: the next command is not answered

	multi   *transaction     // between MULTI and EXEC
	watched *watches         // by WATCH
	at      *engine.Snapshot // what a read inside EXEC reads, else nil
	listens *subscriptions   // nil: to nothing
	mail    mailbox

	sp    *spec // the present command
	*work       // only during Serve
	tally tally

	calls   atomic.Uint64
	pending atomic.Int64 // 1 + commands in the transaction; 0: there is none

	listening atomic.Int64         // subscriptions
	last      atomic.Pointer[spec] // the last command
	protocol  atomic.Int32
	mu        sync.Mutex
	name      string
	library   string
	version   string
	unblock   func(cause error) // ends the wait of a BLOCK; nil: there is none
}

// tally counts the calls of one command in a row, so that a pipeline touches the
// shared instruments once.
type tally struct {
	sp    *spec
	calls uint64
	total time.Duration
}

// Calls this long are observed one by one instead of as the mean of a tally.
const longCall = time.Millisecond

// Serve implements server.Session.
func (s *session) Serve(cmds []resp.Command) bool {
	s.db, s.work = s.h.db(), s.h.works.take()
	for i := range cmds {
		s.serveOne(cmds[i].Args)
		if s.closing || s.c.MaybeFlush() != nil {
			break
		}
	}
	s.apply()
	s.flushTally()
	s.calls.Add(uint64(len(cmds)))
	s.h.works.put(s.work)
	s.db, s.work = nil, nil
	return !s.closing
}

// Close implements server.Session.
func (s *session) Close() {
	s.dropTransaction()
	s.dropSubscriptions()
	s.mail.close(s)
	s.h.forget(s)
}

// serveOne executes a command under CLIENT REPLY SKIP, if that is on.
func (s *session) serveOne(args [][]byte) {
	if !s.skip {
		s.execute(args)
		return
	}
	s.apply()
	s.skip = false
	s.out.Mute()
	s.execute(args)
	s.apply()
	if !s.muted {
		s.out.Unmute()
	}
}

// execute looks a command up, checks that it may run, and runs it. A queued
// command is answered when the queue is applied.
func (s *session) execute(args [][]byte) {
	sp, err := s.admit(args)
	if err != nil {
		s.apply()
		s.spoilTransaction()
		if sp != nil {
			s.h.metrics.At(sp.index).Rejected.Inc()
		}
		s.writeError(err)
		return
	}
	s.sp = sp
	if s.h.monitors.Load() > 0 {
		s.show(sp, args)
	}
	if s.last.Load() != sp {
		s.last.Store(sp)
	}
	if s.multi != nil && sp.flags&flagNow == 0 {
		s.enqueue(sp, args)
		return
	}
	if sp.flags&flagQueued != 0 {
		s.makeRoom(args)
		if err := sp.run(s, args); err != nil {
			s.apply()
			m := s.h.metrics.At(sp.index)
			m.Calls.Inc()
			m.Failed.Inc() // without a latency: it was never in a batch
			s.writeError(err)
		}
		return
	}
	s.apply()
	start := s.h.clock()
	err = sp.run(s, args)
	s.count(sp, s.h.clock()-start, err, args)
}

// admit finds the row of a command and checks what does not depend on its
// arguments' meaning.
func (s *session) admit(args [][]byte) (*spec, error) {
	sp := s.h.table.find(args[0])
	if !s.trusted && (sp == nil || sp.flags&flagNoAuth == 0) {
		return sp, errNoAuth
	}
	if sp == nil {
		return nil, errUnknown(args)
	}
	if sp.subs != nil && (len(args) > 1 || sp.run == nil) {
		if len(args) < 2 {
			return sp, errArity(sp.name)
		}
		sub := sp.sub(args[1])
		if sub == nil && sp.run == nil {
			return sp, errUnknownSub(sp.name, args[1])
		}
		if sub != nil {
			sp = sub
		}
	}
	if !sp.accepts(len(args)) {
		return sp, errArity(sp.full)
	}
	if s.db == nil && sp.flags&flagLoading == 0 {
		return sp, errLoading
	}
	if s.listens.count() > 0 && s.out.Protocol() == 2 && sp.flags&flagSubscriber == 0 {
		return sp, errSubscriber(sp.full)
	}
	return sp, nil
}

// count books an executed command and answers its error, if it has one.
func (s *session) count(sp *spec, took time.Duration, err error, args [][]byte) {
	if took >= longCall {
		m := s.h.metrics.At(sp.index)
		m.Calls.Inc()
		m.Latency.Observe(took)
		s.h.slow.observe(s, sp, took, args)
	} else {
		if s.tally.sp != sp {
			s.flushTally()
			s.tally.sp = sp
		}
		s.tally.calls++
		s.tally.total += took
		if s.h.slow.threshold.Load() < int64(longCall) {
			s.h.slow.observe(s, sp, took, args)
		}
	}
	if err != nil {
		s.h.metrics.At(sp.index).Failed.Inc()
		s.writeError(err)
	}
}

func (s *session) flushTally() {
	t := &s.tally
	if t.calls > 0 {
		m := s.h.metrics.At(t.sp.index)
		m.Calls.Add(t.calls)
		m.Latency.ObserveN(t.total/time.Duration(t.calls), t.calls)
	}
	*t = tally{}
}

// writeError answers an error and counts it.
func (s *session) writeError(err error) {
	text := replyText(err)
	s.h.metrics.CountError(errorWord(text))
	s.out.Error(text)
}

// abort ends a connection whose reply has begun and cannot be finished.
func (s *session) abort(reason string, err error) {
	s.h.log.Error("reply broken off", "reason", reason, "error", err, "client", s.c.RemoteAddr())
	s.closing = true
	s.c.Kill()
}

// unwanted reports whether a long command should end: nobody can get its answer,
// or the server shuts down.
func (s *session) unwanted() bool {
	select {
	case <-s.c.Stopping():
		return true
	default:
		return s.gone()
	}
}

// gone reports whether the client can get no more replies.
func (s *session) gone() bool {
	select {
	case <-s.c.Done():
		return true
	default:
		return false
	}
}

// lookEvery is how long work without output goes on between two looks at whether
// the client has hung up.
const lookEvery = 200 * time.Millisecond

// untilGone returns what the engine asks during long work: errStopped once nobody
// can get the answer.
func (s *session) untilGone() func() error {
	looked := s.h.clock()
	return func() error {
		if !s.gone() {
			now := s.h.clock()
			if now-looked < lookEvery {
				return nil
			}
			if looked = now; !s.c.HungUp() {
				return nil
			}
		}
		s.closing = true
		return errStopped
	}
}
