package engine

import (
	"time"

	"tskv/compaction"
)

// Stats are numbers about the store at one moment.
type Stats struct {
	Keys            uint64
	Expires         uint64 // of them, with an expiry
	Rules           int    // of retention
	VisibleSeq      uint64 // sequence of the last visible write
	FlushedSeq      uint64 // tables hold everything up to here
	MemtableBytes   int64  // memtables that are not in tables yet
	MemtableRows    int64
	FrozenMemtables int // of them wait for their flush
	WarmMemtables   int // flushed, but kept for reading
	WarmBytes       int64
	Files           int
	FileBytes       int64
	FileRows        uint64 // rows of data in files; replaced and deleted ones are included until a merge drops them
	HotFiles        int    // most files in one window that are still to be merged
	DamagedFiles    int    // of them compaction could not read and leaves alone
	Tombstones      int
	FirstSegment    uint64 // log segments first..last would be replayed
	LastSegment     uint64
	Sync            SyncMode
	SyncInterval    time.Duration
	ReadOnly        error // why writes are refused, or nil
	ReserveBytes    int64 // disk kept for the day when it is full
	ReserveWanted   int64 // how much that should be
}

// Stats returns the present numbers.
func (db *DB) Stats() Stats {
	s := Stats{
		Keys: db.keys.Load(), Expires: db.expires.Load(), Rules: len(db.rules.Load().list()), VisibleSeq: db.visible.Load(),
		Sync: db.options.Sync, SyncInterval: db.options.SyncInterval, ReadOnly: db.ReadOnly(),
		ReserveBytes: db.short.held.Load(), ReserveWanted: db.short.wanted.Load(),
	}
	v := db.acquire()
	if v == nil {
		return s
	}
	defer v.release()
	for _, m := range v.warm() {
		s.WarmBytes += m.Bytes()
	}
	s.WarmMemtables = len(v.warm())
	for _, m := range v.mem[:1+v.frozen] {
		s.MemtableBytes += m.Bytes()
		s.MemtableRows += m.Rows()
	}
	s.FrozenMemtables = v.frozen
	for _, t := range v.tables() {
		s.Files++
		s.FileBytes += t.file.Size
		if t.file.Class <= compaction.ClassData {
			s.FileRows += t.file.Rows
		}
	}
	state := db.state.Load()
	s.FlushedSeq, s.FirstSegment, s.Tombstones = state.FlushedSeq, state.MinSegment, len(state.Tombstones)
	s.LastSegment = state.MinSegment
	if db.short.unfinished.Load() == nil {
		s.LastSegment = db.wal.Segment()
	}
	s.DamagedFiles, s.HotFiles = db.damaged.count(), int(db.hotFiles.Load())
	return s
}

// measure sets the gauges that no event sets.
func (db *DB) measure() {
	s := db.Stats()
	db.metrics.MemtableBytes.Set(s.MemtableBytes)
	db.metrics.WarmBytes.Set(s.WarmBytes)
	db.metrics.HotFiles.Set(int64(s.HotFiles))
	db.metrics.Tombstones.Set(int64(s.Tombstones))
	db.metrics.WALSegments.Set(int64(s.LastSegment - s.FirstSegment + 1))
	cache := db.cache.Stats()
	db.metrics.CacheHits.Add(cache.Hits - db.cacheSeen.Hits)
	db.metrics.CacheMisses.Add(cache.Misses - db.cacheSeen.Misses)
	db.metrics.CacheBytes.Set(cache.Bytes)
	db.metrics.MappedBytes.Set(db.maps.Used())
	db.cacheSeen = cache
}
