package engine

import (
	"math"
	"sync/atomic"

	"tskv/kv"
)

// Record is one record as a reader gets it.
type Record struct {
	ID    kv.ID
	Value []byte
	Tags  kv.TagSet
}

// Snapshot is the state of the store at one sequence: later writes, flushes and
// compactions do not change what it reads. It may be used by many goroutines and
// must be released, because it keeps memtables and files alive. While old snapshots
// keep too many memtables the oldest are revoked: their methods return
// ErrSnapshotTooOld.
type Snapshot struct {
	view
	released atomic.Bool
}

// Snapshot takes a snapshot of everything visible now.
func (db *DB) Snapshot() (*Snapshot, error) {
	v := db.acquire()
	if v == nil {
		return nil, ErrClosed
	}
	return &Snapshot{view: db.viewOf(v)}, nil
}

// Release lets go of the snapshot. It may be called more than once.
func (s *Snapshot) Release() {
	if s.released.CompareAndSwap(false, true) {
		s.v.release()
	}
}

// Clone returns another snapshot of the same state, to be released by itself. s
// must not have been released.
func (s *Snapshot) Clone() *Snapshot {
	s.v.refs.Add(1)
	return &Snapshot{view: s.view}
}

// Sequence returns the sequence of the last write that the snapshot sees.
func (s *Snapshot) Sequence() uint64 { return s.seq }

// Get returns the record of a key with the highest ID at or before at (kv.MaxID:
// the newest). The value is appended to dst; false if there is none.
func (db *DB) Get(key []byte, at kv.ID, dst []byte) (Record, bool, error) {
	v := db.acquire()
	if v == nil {
		return Record{}, false, ErrClosed
	}
	defer v.release()
	w := db.viewOf(v)
	return w.get(key, at, dst)
}

// Get is DB.Get at the snapshot.
func (s *Snapshot) Get(key []byte, at kv.ID, dst []byte) (Record, bool, error) {
	if err := s.stale(); err != nil {
		return Record{}, false, err
	}
	return s.get(key, at, dst)
}

func (w view) get(key []byte, at kv.ID, dst []byte) (Record, bool, error) {
	if err := checkKey(key); err != nil {
		return Record{}, false, err
	}
	var space [128]byte
	row, ok, err := w.newestVisible(internalKey(space[:0], spaceData, key), at)
	if err != nil || !ok {
		return Record{}, false, err
	}
	rec := Record{ID: row.ID, Value: row.AppendValue(dst)}
	if row.Tags != nil {
		rec.Tags = append(kv.TagSet(nil), row.Tags...)
	}
	return rec, true, nil
}

// Last returns the ID of a key's newest record.
func (s *Snapshot) Last(key []byte) (kv.ID, bool, error) {
	if err := checkKey(key); err != nil {
		return kv.ID{}, false, err
	}
	row, ok, err := s.newestVisible(internalKey(nil, spaceData, key), kv.MaxID)
	return row.ID, ok, err
}

// Key looks a key up in the catalog; false if it does not exist.
func (s *Snapshot) Key(key []byte) (KeyInfo, bool, error) {
	if err := checkKey(key); err != nil {
		return KeyInfo{}, false, err
	}
	entry, ok, err := s.liveEntry(internalKey(nil, spaceCatalog, key))
	return entry.info(key), ok, err
}

// ScanOptions choose the records of a scan. The zero value of Limit means no
// limit; To must be set (kv.MaxID for the end).
type ScanOptions struct {
	From, To kv.ID
	Reverse  bool
	KeysOnly bool      // the caller needs IDs only
	Tags     kv.TagSet // records must have all of these
	Offset   uint64    // skip so many matching records
	Limit    uint64

	// Stop is asked now and then by long work that yields nothing; an error ends
	// the work and is returned. It runs on the caller's goroutine. nil: never.
	Stop func() error
}

// Scan walks the records of one key. It belongs to one goroutine and must be
// closed before its snapshot is released.
type Scan struct {
	w       view
	src     kv.Source
	tags    kv.TagSet
	offset  uint64
	limit   uint64 // what is left; 0 with limited set is the end
	limited bool
	picked  kv.Rows
	part    kv.Rows
}

// Scan opens a range of a key's records, at most one row per ID, deleted and
// replaced ones left out.
func (s *Snapshot) Scan(key []byte, o ScanOptions) (*Scan, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	sc := &Scan{w: s.view, tags: o.Tags, offset: o.Offset, limit: o.Limit, limited: o.Limit > 0}
	internal := internalKey(nil, spaceData, key)
	floor, shown, err := s.visibleFrom(internal, false)
	if err != nil {
		return nil, err
	}
	o.From = maxID(o.From, floor)
	if !shown || o.To.Less(o.From) {
		sc.src = kv.Merge(nil, false)
		return sc, nil
	}
	rg := kv.Range{From: o.From, To: o.To, Reverse: o.Reverse, KeysOnly: o.KeysOnly}
	if o.Offset > 0 && o.Tags == nil {
		_, rest, more, err := s.skip(internal, rg, o.Offset, o.Stop)
		if err != nil {
			return nil, err
		}
		if !more {
			sc.src = kv.Merge(nil, false)
			return sc, nil
		}
		rg, sc.offset = rest, 0
	}
	sc.src = s.source(internal, rg, walkOptions{tags: o.Tags, stop: o.Stop})
	return sc, nil
}

// Next returns the next batch of rows, or nil at the end. The batch stays valid
// until the following Next or Close.
func (sc *Scan) Next() (*kv.Rows, error) {
	if err := sc.w.stale(); err != nil {
		return nil, err
	}
	for !sc.limited || sc.limit > 0 {
		rows, err := sc.src.Next()
		if rows == nil || err != nil {
			return nil, err
		}
		if sc.tags != nil {
			rows = sc.filter(rows)
		}
		if rows = sc.window(rows); rows != nil {
			return rows, nil
		}
	}
	return nil, nil
}

func (sc *Scan) filter(rows *kv.Rows) *kv.Rows {
	sc.picked.Reset()
	for i := range rows.Tags {
		if rows.Tags[i].HasAll(sc.tags) {
			sc.picked.AppendRows(rows, i, i+1)
		}
	}
	return &sc.picked
}

// window applies offset and limit; nil if nothing of the batch is left.
func (sc *Scan) window(rows *kv.Rows) *kv.Rows {
	n := uint64(rows.Len())
	skip := min(sc.offset, n)
	sc.offset -= skip
	take := n - skip
	if sc.limited {
		take = min(take, sc.limit)
		sc.limit -= take
	}
	switch take {
	case 0:
		return nil
	case n:
		return rows
	}
	sc.part = rows.Slice(int(skip), int(skip+take))
	return &sc.part
}

// Close releases what the scan holds. It may be called more than once.
func (sc *Scan) Close() { sc.src.Close() }

// Count returns how many records a scan with the same options would yield.
func (s *Snapshot) Count(key []byte, o ScanOptions) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	internal := internalKey(nil, spaceData, key)
	floor, shown, err := s.visibleFrom(internal, false)
	if err != nil {
		return 0, err
	}
	o.From = maxID(o.From, floor)
	if !shown || o.To.Less(o.From) {
		return 0, nil
	}
	o.KeysOnly = true
	if o.Tags != nil {
		return s.countByScan(key, o)
	}
	most := uint64(math.MaxUint64)
	if o.Limit > 0 && o.Limit <= most-o.Offset {
		most = o.Limit + o.Offset
	}
	rg := kv.Range{From: o.From, To: o.To}
	n, _, _, err := s.skip(internal, rg, most, o.Stop)
	return n - min(n, o.Offset), err
}

func (s *Snapshot) countByScan(key []byte, o ScanOptions) (uint64, error) {
	sc, err := s.Scan(key, o)
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	var n uint64
	for {
		rows, err := sc.Next()
		if rows == nil || err != nil {
			return n, err
		}
		n += uint64(rows.Len())
	}
}
