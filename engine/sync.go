package engine

import (
	"errors"
	"sync"
	"time"

	"tskv/wal"
)

// pipelineOps is the size from which encoding a group beside a running sync is
// worth a hand-over between goroutines: about the operations that are encoded in
// the time of one fdatasync (90 to 200 us).
const pipelineOps = 512

// syncer carries groups from the commit goroutine to their answer. In SyncAlways
// small groups are synced by the commit goroutine itself, which saves a switch;
// meanwhile the next group gathers in the queue. Large ones go to the sync
// goroutine, so that the next group is encoded beside the sync. In the other modes
// submit answers at once and a timer syncs.
type syncer struct {
	db      *DB
	mu      sync.Mutex
	waiting *group // handed over and not yet taken for its sync
	busy    bool   // the sync goroutine has a group
	closed  bool
	work    *sync.Cond    // for the sync goroutine
	ended   chan struct{} // one slot: the sync goroutine took or finished a group
	free    chan *group
}

func newSyncer(db *DB) *syncer {
	s := &syncer{db: db, ended: make(chan struct{}, 1), free: make(chan *group, 4)}
	s.work = sync.NewCond(&s.mu)
	return s
}

// turn waits for the moment to take the next group from the queue: at once when
// no sync runs, and when so much waits that it is worth encoding beside the sync.
func (s *syncer) turn(q *queue) {
	for {
		s.mu.Lock()
		busy, ahead := s.busy, s.waiting != nil
		s.mu.Unlock()
		if !ahead && (!busy || q.size() >= pipelineOps) {
			return
		}
		select {
		case <-s.ended:
		case <-q.big:
		}
	}
}

// group returns an empty group.
func (s *syncer) group() *group {
	select {
	case g := <-s.free:
		return g
	default:
		return &group{}
	}
}

// submit takes over a written group.
func (s *syncer) submit(g *group) {
	if s.db.options.Sync != SyncAlways {
		if g.err == nil {
			g.err = s.db.failure()
		}
		s.finish(g)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy || g.lastSeq-g.firstSeq+1 >= pipelineOps {
		s.waiting, s.busy = g, true
		s.work.Signal()
		return
	}
	s.mu.Unlock()
	s.sync(g)
	s.mu.Lock()
}

// sync makes a group durable and answers it.
func (s *syncer) sync(g *group) {
	if err := s.db.syncLog(); g.err == nil {
		g.err = err
	}
	s.finish(g)
}

// finish publishes the group and wakes its callers.
func (s *syncer) finish(g *group) {
	if g.err == nil || g.undone && s.db.failure() == nil {
		// Sequences that hold nothing are published too: a memtable that ends
		// with them can be flushed without waiting for a next write.
		s.db.publishRules(g)
		s.db.publish(g.lastSeq)
		if g.undone {
			g.events.empty()
		}
		s.db.recent.publish(g.events, g.lastSeq)
	}
	now := time.Now()
	for _, b := range g.batches {
		s.db.metrics.CommitLatency.Observe(now.Sub(b.queued))
		b.err = g.err
		b.done <- struct{}{}
	}
	clear(g.batches)
	*g = group{batches: g.batches[:0]}
	select {
	case s.free <- g:
	default:
	}
}

// run is the sync goroutine of SyncAlways.
func (s *syncer) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.waiting == nil && !s.closed {
			s.work.Wait()
		}
		g := s.waiting
		if g == nil {
			return
		}
		s.waiting = nil
		s.mu.Unlock()
		s.db.nudge(s.ended)
		s.sync(g)
		s.mu.Lock()
		s.busy = s.waiting != nil
		s.db.nudge(s.ended)
	}
}

func (s *syncer) close() {
	s.mu.Lock()
	s.closed = true
	s.work.Signal()
	s.mu.Unlock()
}

// syncTimer is the goroutine of SyncInterval.
func (db *DB) syncTimer() {
	tick := time.NewTicker(db.options.SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = db.syncLog() // remembered as the failure that refuses writes
		case <-db.stopping:
			return
		}
	}
}

// syncLog makes the log durable. The first failure is final: the kernel may have
// dropped the dirty pages, so that a later success would be a lie.
func (db *DB) syncLog() error {
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	start := time.Now()
	err := db.wal.Sync()
	if errors.Is(err, wal.ErrClosed) {
		return ErrClosed
	}
	db.metrics.Fsyncs.Inc()
	db.metrics.FsyncLatency.Observe(time.Since(start))
	if err != nil {
		db.metrics.FsyncErrors.Inc()
		db.fail(err)
		return db.failure()
	}
	return nil
}

// Sync waits until everything acknowledged so far is on disk, whatever the sync
// mode.
func (db *DB) Sync() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.failure(); err != nil {
		return err
	}
	return db.syncLog()
}

// publish makes everything up to seq visible.
func (db *DB) publish(seq uint64) {
	if seq <= db.visible.Load() {
		return
	}
	db.visible.Store(seq)
	db.metrics.VisibleSequence.Set(int64(seq))
	if db.flushWaits.Load() {
		db.nudge(db.flushNudge)
	}
}
