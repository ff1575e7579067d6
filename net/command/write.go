package command

import (
	"sync"
	"time"

	"tskv/engine"
	"tskv/kv"
)

// Bounds of what a session collects before it applies it.
const (
	maxQueueBytes = 8 << 20
	maxQueueOps   = 16 << 10
)

// queued is a write that waits in the session's batch for its answer.
type queued struct {
	sp    *spec
	index int // in the queue, and of its operation in the batch
	args  [][]byte
	reply func(*session, *queued) error

	// What the reply needs; filled by the command or its Update function.
	n      int64
	found  bool
	value  []byte
	ops    []engine.Op
	snap   *engine.Snapshot
	window *window
}

// work is the memory with which a session serves a pipeline. Idle sessions have
// none.
type work struct {
	batch      engine.Batch
	queue      []queued // one per operation of the batch
	queueBytes int
	scratch    []byte
}

// Bounds of the memory that goes back to the pool.
const (
	keptQueue   = 1024
	keptScratch = 64 << 10
)

type works struct{ pool sync.Pool }

func (w *works) take() *work {
	if got, ok := w.pool.Get().(*work); ok {
		return got
	}
	return &work{}
}

func (w *works) put(used *work) {
	if cap(used.queue) > keptQueue {
		used.queue, used.batch = nil, engine.Batch{}
	}
	if cap(used.scratch) > keptScratch {
		used.scratch = nil
	}
	w.pool.Put(used)
}

// makeRoom applies the queue first if a command with these arguments would lift
// it over its bounds.
func (s *session) makeRoom(args [][]byte) {
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	if len(s.queue) > 0 && (s.queueBytes+size > maxQueueBytes || len(s.batch.Ops) >= maxQueueOps) {
		s.apply()
	}
	s.queueBytes += size
}

// queuePut adds one put to the batch; the caller fills in the operation. The
// reply is written when the batch has been applied.
func (s *session) queuePut(args [][]byte, reply func(*session, *queued) error) *engine.Op {
	s.queue = append(s.queue, queued{sp: s.sp, index: len(s.queue), args: args, reply: reply})
	return s.batch.Add()
}

// queueUpdate adds a function that runs on the commit goroutine. It gets the
// queued command to leave its results in.
func (s *session) queueUpdate(args [][]byte, fn func(*engine.Tx, *queued) error, reply func(*session, *queued) error, keys ...[]byte) *queued {
	i := len(s.queue)
	s.queue = append(s.queue, queued{sp: s.sp, index: i, args: args, reply: reply})
	s.batch.Update(func(tx *engine.Tx) error { return fn(tx, &s.queue[i]) }, keys...)
	return &s.queue[i]
}

// freesDisk marks the command queued last as one that only deletes, which a
// nearly full disk does not refuse.
func (s *session) freesDisk() { s.batch.Ops[len(s.batch.Ops)-1].Frees = true }

// apply commits the queued writes as one batch and answers them in order. Every
// queued command has exactly one operation, so the indexes agree.
func (s *session) apply() {
	if len(s.queue) == 0 {
		s.queueBytes = 0
		return
	}
	err := s.commit()
	for i := range s.queue {
		s.answer(&s.queue[i], err)
	}
	s.emptyQueue()
	_ = s.c.MaybeFlush() // the error is final; Serve meets it again
}

// commit applies the batch of the queue.
func (s *session) commit() error {
	start := s.h.clock()
	err := s.db.Apply(&s.batch)
	s.countQueue(s.h.clock() - start)
	return err
}

// answer writes the reply of a queued command; failed is the error of the whole
// batch.
func (s *session) answer(q *queued, failed error) {
	if failed == nil {
		failed = s.batch.Ops[q.index].Err
	}
	if failed == nil {
		failed = q.reply(s, q)
	}
	if failed != nil {
		s.h.metrics.At(q.sp.index).Failed.Inc()
		s.writeError(failed)
	}
}

func (s *session) emptyQueue() {
	for i := range s.queue {
		if snap := s.queue[i].snap; snap != nil {
			snap.Release()
		}
	}
	s.batch.Reset()
	clear(s.queue)
	s.queue, s.queueBytes = s.queue[:0], 0
}

// countQueue books the queued commands; each of them took as long as the batch.
func (s *session) countQueue(took time.Duration) {
	s.flushTally()
	for i := 0; i < len(s.queue); {
		sp, n := s.queue[i].sp, i
		for n < len(s.queue) && s.queue[n].sp == sp {
			n++
		}
		m := s.h.metrics.At(sp.index)
		m.Calls.Add(uint64(n - i))
		m.Latency.ObserveN(took, uint64(n-i))
		i = n
	}
	if len(s.queue) > 0 {
		s.h.slow.observe(s, s.queue[0].sp, took, s.queue[0].args)
	}
}

func replyOK(s *session, _ *queued) error {
	s.out.OK()
	return nil
}

func replyNumber(s *session, q *queued) error {
	s.out.Int(q.n)
	return nil
}

// checkKey refuses a key before it is queued, because the engine refuses the
// whole batch for it.
func checkKey(key []byte) error {
	if len(key) == 0 || len(key) > engine.MaxKey {
		return engine.ErrKey
	}
	return nil
}

func checkPair(key, value []byte) error {
	if len(value) > kv.MaxValue {
		return engine.ErrValue
	}
	return checkKey(key)
}
