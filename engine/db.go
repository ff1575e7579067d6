package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tskv/compaction"
	"tskv/disk"
	"tskv/manifest"
	"tskv/memtable"
	"tskv/metrics"
	"tskv/sstable"
	"tskv/wal"
)

// DB is an open store.
//
// Locks, in order: checkpointMu, archiveMu, compactMu, installMu, versionMu. versionMu is never held across
// I/O; installMu is held across the replacement of the manifest.
type DB struct {
	options Options
	dir     string // absolute; empty with Options.FS
	fs      disk.FS
	lock    io.Closer
	log     *slog.Logger
	metrics *metrics.Engine

	queue     *queue
	committer *committer
	syncer    *syncer
	wal       *wal.Log
	pool      *memtable.Pool
	recent    *recent
	cache     *sstable.Cache
	maps      *sstable.MapBudget
	cacheSeen sstable.CacheStats // what measure has counted

	current   atomic.Pointer[version]
	versionMu sync.Mutex
	retired   []*memory // left the current version, oldest first; under versionMu
	installMu sync.Mutex
	state     atomic.Pointer[manifest.State] // what the manifest file says; replaced under installMu
	nextFile  atomic.Uint64

	nextMemory atomic.Uint64

	visible atomic.Uint64             // sequence of the last visible write
	keys    atomic.Uint64             // number of keys, the last group included
	rules   atomic.Pointer[ruleTable] // the visible ones
	expires atomic.Uint64             // number of keys with an expiry, the last group included
	// expiring is set for good before the first key with an expiry is visible:
	// from then on every read looks keys up in the catalog.
	expiring  atomic.Bool
	failed    atomic.Pointer[error]
	diskFull  atomic.Bool
	diskBlind atomic.Bool // free space could not be read
	short     shortage
	closed    atomic.Bool
	// recovering is true inside Open, before any other goroutine is there.
	recovering bool
	pending    *recovered // what Open left to do, on a full disk
	startMu    sync.Mutex // of ended, and of starting what writes
	ended      bool

	syncMu       sync.Mutex // one sync of the log at a time
	flushWaits   atomic.Bool
	flushMu      sync.Mutex
	flushDone    chan struct{} // closed and replaced after each try to flush; under flushMu
	flushErr     error         // how that went; under flushMu
	flushNudge   chan struct{}
	compactNudge chan struct{}
	spareNudge   chan struct{}
	spareReady   atomic.Bool // the first zero-filled log segment is there
	compactMu    sync.Mutex  // one compaction at a time
	tableSyncs   tableSyncs
	checkpointMu sync.Mutex // one checkpoint at a time
	verifyMu     sync.Mutex // one verification at a time
	archiveMu    sync.Mutex // one release of log segments at a time
	doomed       doomed
	orphans      []uint64 // files of a compaction that could not be installed; under compactMu
	purging      purging  // under compactMu
	urgent       bool     // a small merge goes before the one under way; under compactMu
	damaged      damagedFiles
	hotFiles     atomic.Int64    // compaction.HotFiles of the files
	idleAt       atomic.Uint64   // generation of the manifest for which compaction has found nothing to do
	flushRate    atomic.Uint64   // bytes of log records per second of recent flushes; 0: none yet
	deletions    deletions       // under compactMu
	untold       atomic.Uint64   // see leaveUntold
	spentTombs   map[uint64]bool // sequences of tombstones that hide nothing; under installMu, replaced as a whole
	reclaiming   reclaiming

	stopping   chan struct{} // closed when background work should end
	giveUp     chan struct{} // closed when a stalled commit should end
	commitDone sync.WaitGroup
	syncDone   sync.WaitGroup
	workDone   sync.WaitGroup
}

// Open opens the store in dir, and makes it if there is none. It replays the log
// and returns when everything acknowledged before is on disk in tables.
//
// Errors: disk.ErrLocked if another process has the directory,
// *disk.CorruptError naming file and offset, manifest.ErrVersion for a directory
// written by a newer version.
func Open(dir string, opt Options) (*DB, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	root := ""
	if opt.FS == nil {
		fs, err := disk.NewOS(dir)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
		if root, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
		opt.FS = fs
	}
	db := &DB{
		options: opt, dir: root, fs: opt.FS, log: opt.Logger, metrics: opt.Metrics,
		pool:         memtable.NewPool(opt.MemtableBytes),
		recent:       newRecent(),
		cache:        sstable.NewCache(split(opt.Memory).cache),
		maps:         sstable.NewMapBudget(split(opt.Memory).maps),
		flushDone:    make(chan struct{}),
		flushNudge:   make(chan struct{}, 1),
		compactNudge: make(chan struct{}, 1),
		spareNudge:   make(chan struct{}, 1),
		stopping:     make(chan struct{}),
		giveUp:       make(chan struct{}),
	}
	lock, err := db.fs.Lock(disk.LockName)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	db.lock = lock
	if err := db.recover(); err != nil {
		db.abandon()
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	db.start()
	return db, nil
}

// abandon lets go of everything after a failed Open.
func (db *DB) abandon() {
	if v := db.current.Swap(nil); v != nil {
		v.release()
	}
	if db.wal != nil {
		_ = db.wal.Close()
	}
	_ = db.lock.Close()
}

func (db *DB) start() {
	db.queue = newQueue(split(db.options.Memory).queue, db.metrics)
	db.syncer = newSyncer(db)
	db.checkDisk()
	if db.pending != nil {
		db.workDone.Go(db.finishRecovery)
	} else {
		db.startWriting()
	}
	db.workDone.Go(db.watch)
}

// startWriting starts all that needs a log.
func (db *DB) startWriting() {
	v := db.acquire()
	share := split(db.options.Memory)
	db.committer = &committer{db: db, v: v, mem: v.mem[0], hot: newHotKeys(share.hotKeys), nextSeq: db.visible.Load() + 1, rules: db.rules.Load()}
	db.committer.enc.StartSegment()
	db.hotFiles.Store(int64(compaction.HotFiles(v.files(), compaction.PickOptions{MaxFileBytes: split(db.options.Memory).file})))
	db.commitDone.Go(func() { db.commitLoop() })
	switch db.options.Sync {
	case SyncAlways:
		db.syncDone.Go(db.syncer.run)
	case SyncInterval:
		db.syncDone.Go(db.syncTimer)
	}
	db.workDone.Go(db.flushLoop)
	db.workDone.Go(db.compactLoop)
	db.workDone.Go(db.spareLoop)
	db.workDone.Go(db.expireLoop)
	db.workDone.Go(db.trimLoop)
}

// Close ends all work: what is in the queue is still committed and answered,
// the memtable is flushed, so that the next Open has nothing to replay. Later
// calls return ErrClosed, as does every other method.
func (db *DB) Close() error {
	if !db.closed.CompareAndSwap(false, true) {
		return ErrClosed
	}
	db.checkpointMu.Lock() // a caller's Checkpoint has ended, and none begins
	defer db.checkpointMu.Unlock()
	db.stop(closeStall)
	db.verifyMu.Lock() // the same of Verify
	defer db.verifyMu.Unlock()
	db.compactMu.Lock() // a caller's Compact has ended, and none begins
	defer db.compactMu.Unlock()
	var errs []error
	if db.failure() == nil {
		errs = append(errs, db.flushAll())
	}
	if db.wal != nil {
		errs = append(errs, db.wal.Close())
	}
	if db.failure() == nil && errors.Join(errs...) == nil {
		db.markClean()
	}
	if db.committer != nil {
		db.committer.v.release()
	}
	db.current.Swap(nil).release()
	return errors.Join(append(errs, db.lock.Close())...)
}

// stop ends all goroutines; a commit that is stopped by a full pipeline of
// flushes is given up after patience.
func (db *DB) stop(patience time.Duration) {
	db.startMu.Lock()
	db.ended = true
	db.startMu.Unlock()
	db.queue.close()
	stall := time.AfterFunc(patience, func() { close(db.giveUp) })
	db.commitDone.Wait()
	stall.Stop()
	db.syncer.close()
	close(db.stopping)
	db.syncDone.Wait()
	db.workDone.Wait()
}

// closeStall is how long Close waits for a commit that is stopped by a full
// pipeline of flushes.
const closeStall = 3 * time.Second

func (db *DB) newMemory(firstSeq, segment uint64) *memory {
	return &memory{
		number:       db.nextMemory.Add(1),
		Table:        memtable.New(memtable.Options{Bytes: db.options.MemtableBytes, Pool: db.pool}, firstSeq),
		firstSegment: segment,
	}
}

func (db *DB) nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (db *DB) countKeys(g *group) {
	if g.cleared {
		db.keys.Store(uint64(g.keys))
		db.expires.Store(uint64(g.expires))
	} else {
		db.keys.Add(uint64(g.keys))
		db.expires.Add(uint64(g.expires))
	}
	db.metrics.ExpiredKeys.Add(g.expired)
	db.metrics.Keys.Set(int64(db.keys.Load()))
}

// Keys returns the number of keys.
func (db *DB) Keys() uint64 { return db.keys.Load() }

// readError logs and counts a damaged file met by a reader.
func (db *DB) readError(err error) error {
	if err != nil && errors.Is(err, disk.ErrCorrupt) {
		db.metrics.CorruptReads.Inc()
		db.log.Error("damaged data", "error", err)
	}
	return err
}

// spareLoop prepares what the next rotation of the log needs, so that the commit
// goroutine does not wait for it: a zero-filled segment, and little left to sync
// in the segment that is left.
func (db *DB) spareLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	first := true
	var told error
	for {
		err := db.keepReserve()
		if err != nil && told == nil {
			db.log.Warn("keep reserve", "error", err)
		}
		told = err
		if db.ailment() != nil || !db.roomForSpare() {
			// A spare would fill the last of the disk.
		} else if err := db.wal.PrepareSpare(); errors.Is(err, wal.ErrNoRoom) {
			// Writers have used it up meanwhile.
		} else if err != nil {
			db.log.Warn("prepare log segment", "error", err)
		} else if first {
			db.spareReady.Store(true)
			first = false
		}
		select {
		case <-tick.C:
		case <-db.spareNudge:
			_ = db.syncLog() // remembered as the failure that refuses writes
		case <-db.stopping:
			return
		}
	}
}

// residencyPeriod is how long a page of a map counts as resident after it was
// read: the kernel may have dropped it since. If the budget of mapped pages is
// used up, all are forgotten at the next second, so that the maps hold what was
// read in the last one.
const residencyPeriod = time.Minute

// watch refuses writes while the disk is nearly full, sets gauges, and forgets
// which parts of the maps are resident.
func (db *DB) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	forget := time.NewTicker(residencyPeriod)
	defer forget.Stop()
	for {
		db.probe()
		db.checkDisk()
		db.checkAge()
		db.relieve()
		db.measure()
		select {
		case <-tick.C:
			if db.maps.WasExhausted() {
				db.forgetResidency()
			}
		case <-forget.C:
			db.forgetResidency()
		case <-db.stopping:
			return
		}
	}
}

func (db *DB) forgetResidency() {
	v := db.acquire()
	defer v.release()
	for _, t := range v.tables() {
		t.ForgetResidency()
	}
}
