package engine

import (
	"errors"
	"fmt"
	"time"

	"tskv/compaction"
	"tskv/manifest"
	"tskv/sstable"
)

// retryPause is how long background work waits after a failure (a full disk, no
// descriptors) before it tries again.
const retryPause = time.Second

// classOf is the retention class of the series with an internal key and a label.
func classOf(key []byte, label uint8) uint8 {
	switch key[0] {
	case spaceCatalog:
		return compaction.ClassCatalog
	case spaceExpiry:
		return compaction.ClassExpiry
	}
	return compaction.ClassData - label
}

// flushLoop writes frozen memtables to tables, oldest first.
func (db *DB) flushLoop() {
	for {
		m := db.oldestFrozen()
		if m == nil || !db.settled(m) {
			select {
			case <-db.flushNudge:
				continue
			case <-db.stopping:
				return
			}
		}
		err := db.flush(m)
		db.announceFlush(err)
		if err == nil {
			continue
		}
		db.metrics.FlushErrors.Inc()
		if !db.pauseRetry("flush", err) {
			return
		}
	}
}

// oldestFrozen returns the memtable to flush next, or nil.
func (db *DB) oldestFrozen() *memory {
	db.versionMu.Lock()
	defer db.versionMu.Unlock()
	v := db.current.Load()
	if v.frozen == 0 {
		return nil
	}
	return v.mem[v.frozen]
}

// newestFrozen returns the last sequence of the memtable frozen last, 0 if there
// is none. Sequences after it that are not in the active memtable hold nothing,
// and no table will ever say that it has them.
func (db *DB) newestFrozen() uint64 {
	db.versionMu.Lock()
	defer db.versionMu.Unlock()
	v := db.current.Load()
	if v == nil || len(v.mem) < 2 { // nil: closed meanwhile
		return 0
	}
	return v.mem[1].frozenAt.Load()
}

// settled reports whether all writes of a frozen memtable are durable and
// visible; if not, publish will nudge the flush goroutine.
func (db *DB) settled(m *memory) bool {
	db.flushWaits.Store(true)
	if db.visible.Load() < m.frozenAt.Load() {
		return false
	}
	db.flushWaits.Store(false)
	return true
}

// flush writes the oldest frozen memtable to files; it may stay in the version as a
// warm one.
func (db *DB) flush(m *memory) error {
	start := time.Now()
	floor, done := db.flushFloors(m)
	defer done()
	var files []manifest.File
	err := db.withRoom("flush", m.Bytes()/4*5+smallNeed, func() (err error) {
		it := m.Iterator(nil, m.frozenAt.Load())
		class := func(key []byte) uint8 { return classOf(key, it.Label()) }
		files, err = compaction.Build(it, class, compaction.Output{
			FS:     db.tableFS(),
			NextID: db.nextFileID,
			MinSeq: m.FirstSeq(),
			MaxSeq: m.frozenAt.Load(),
			Codec:  sstable.CodecS2,
			Split:  true,
			Floor:  floor,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	tombs := db.worthKeeping(m)
	err = db.installFlush(m, files, func(s *manifest.State) {
		s.FlushedSeq = m.frozenAt.Load()
		s.MinSegment = db.segmentAfter(m)
		s.Keys, s.Expires = m.keys, m.expires
		s.Retention = m.rules.list()
		s.Tombstones = append(s.Tombstones, tombs...)
	})
	if err != nil {
		return fmt.Errorf("install tables: %w", err)
	}
	db.metrics.Flushes.Inc()
	db.metrics.FlushSeconds.Observe(time.Since(start))
	db.noteFlushRate(m, time.Since(start))
	for _, f := range files {
		db.metrics.FlushBytes.Add(uint64(f.Size))
	}
	if db.wal != nil {
		db.releaseLog(db.state.Load().MinSegment)
	}
	if db.recovering && len(files) == 0 {
		return nil // the manifest has moved on from an empty log
	}
	db.log.Info("flushed", "files", len(files), "rows", m.Rows(), "seconds", time.Since(start).Seconds())
	db.nudge(db.compactNudge)
	return nil
}

func (db *DB) nextFileID() uint64 { return db.nextFile.Add(1) - 1 }

// segmentAfter returns the log segment where the memtable after m begins.
func (db *DB) segmentAfter(m *memory) uint64 {
	db.versionMu.Lock()
	defer db.versionMu.Unlock()
	v := db.current.Load()
	for i := 1; i <= v.frozen; i++ {
		if v.mem[i] == m {
			return v.mem[i-1].firstSegment
		}
	}
	panic("BUG: engine: flush of a memtable that is not frozen")
}

// announceFlush tells whoever waits for a flush how the last one went.
func (db *DB) announceFlush(err error) {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	db.flushErr = err
	close(db.flushDone)
	db.flushDone = make(chan struct{})
}

// flushed returns a channel that is closed by the next flush.
func (db *DB) flushed() <-chan struct{} {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	return db.flushDone
}

// lastFlush returns how the last try to flush went.
func (db *DB) lastFlush() error {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	return db.flushErr
}

// Flush writes everything acknowledged so far from memory to tables and waits for
// it, or returns why that failed at the first try. A nearly full disk does not
// refuse it, because it frees log segments.
func (db *DB) Flush() error {
	frozen := make(chan error, 1)
	var b Batch
	b.Update(func(t *Tx) error {
		t.c.freezeNow = append(t.c.freezeNow, frozen)
		return nil
	})
	if db.closed.Load() {
		return ErrClosed
	}
	err := db.failure()
	if err == nil {
		err = db.submit(&b)
	}
	if err != nil {
		return err
	}
	select {
	case err = <-frozen:
	case <-db.stopping:
		return ErrClosed
	}
	seq := db.newestFrozen()
	for err == nil {
		done := db.flushed()
		if db.state.Load().FlushedSeq >= seq {
			return nil
		}
		select {
		case <-done:
			err = db.lastFlush()
		case <-db.stopping:
			return ErrClosed
		}
	}
	return err
}

// flushAll freezes and flushes what is in memory, at Close: the goroutines that
// would do it have ended.
func (db *DB) flushAll() error {
	if err := db.committer.freezeIfFilled(); err != nil {
		return err
	}
	for {
		m := db.oldestFrozen()
		if m == nil {
			return nil
		}
		if db.visible.Load() < m.frozenAt.Load() {
			return errors.New("flush: writes that were never made durable")
		}
		if err := db.flush(m); err != nil {
			return err
		}
	}
}
