package engine

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"tskv/wal"
)

// syncer carries groups from the commit goroutine to their answer. In
// SyncAlways its goroutine syncs the log and answers all groups written before,
// while the commit goroutine builds the next one; in the other modes submit
// answers at once and a timer syncs.
//
// At most one group waits while one is being synced: a commit goroutine that ran
// further ahead would only make groups smaller.
type syncer struct {
	db      *DB
	mu      sync.Mutex
	changed *sync.Cond
	waiting []*group
	free    []*group
	closed  bool
}

func newSyncer(db *DB) *syncer {
	s := &syncer{db: db}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// group returns an empty group, when the one before the last has been taken for
// its sync.
func (s *syncer) group() *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 {
		s.changed.Wait()
	}
	if n := len(s.free); n > 0 {
		g := s.free[n-1]
		s.free = s.free[:n-1]
		return g
	}
	return &group{}
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
	s.waiting = append(s.waiting, g)
	s.changed.Broadcast()
	s.mu.Unlock()
}

// finish publishes the group and wakes its callers.
func (s *syncer) finish(g *group) {
	if g.err == nil {
		s.db.publish(g.lastSeq)
	}
	now := time.Now()
	for _, b := range g.batches {
		s.db.metrics.CommitLatency.Observe(now.Sub(b.queued))
		b.err = g.err
		b.done <- struct{}{}
	}
	clear(g.batches)
	*g = group{batches: g.batches[:0]}
	s.mu.Lock()
	if len(s.free) < 4 {
		s.free = append(s.free, g)
	}
	s.mu.Unlock()
}

// run is the sync goroutine of SyncAlways.
func (s *syncer) run() {
	var groups []*group
	for {
		s.mu.Lock()
		for len(s.waiting) == 0 && !s.closed {
			s.changed.Wait()
		}
		groups = append(groups[:0], s.waiting...)
		s.waiting = s.waiting[:0]
		s.changed.Broadcast()
		s.mu.Unlock()
		if len(groups) == 0 {
			return
		}
		err := s.db.syncLog()
		for _, g := range groups {
			if g.err == nil {
				g.err = err
			}
			s.finish(g)
		}
	}
}

func (s *syncer) close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
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
	db.metrics.Fsyncs.Inc()
	db.metrics.FsyncLatency.Observe(time.Since(start))
	if err != nil {
		db.metrics.FsyncErrors.Inc()
		db.fail(fmt.Errorf("%w until a restart, because a sync of the log failed: %w", ErrReadOnly, err))
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

// fail refuses all writes from now until a restart.
func (db *DB) fail(err error) {
	if db.failed.CompareAndSwap(nil, &err) {
		db.metrics.ReadOnly.Set(1)
		db.log.Error("writes are refused until a restart", "error", err)
	}
}

func (db *DB) failure() error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// refusal returns why writes are refused at present, or nil.
func (db *DB) refusal() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.failure(); err != nil {
		return err
	}
	if db.diskFull.Load() {
		return fmt.Errorf("%w: less than %d bytes of disk are free", ErrReadOnly, db.options.MinFreeBytes)
	}
	return nil
}

// writeError turns the log's error into the answer of the group.
func (db *DB) writeError(err error) error {
	switch {
	case errors.Is(err, wal.ErrSyncFailed):
		db.fail(fmt.Errorf("%w until a restart, because a sync of the log failed: %w", ErrReadOnly, err))
		return db.failure()
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: the disk is full: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("write log: %w", err)
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

// ReadOnly returns why writes are refused at present, or nil.
func (db *DB) ReadOnly() error { return db.refusal() }
