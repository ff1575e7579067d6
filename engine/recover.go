package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/wal"
)

// recover brings the directory to a state in which everything that was
// acknowledged is in synced tables and a fresh log segment is open.
//
// A recovered log tail is never trusted in place: it may exist in the page cache
// only. So what was replayed is flushed and the manifest replaced before the
// first new write, and no recovered segment is appended to.
func (db *DB) recover() error {
	start := time.Now()
	for _, dir := range []string{disk.SegmentDir, disk.TableDir} {
		if err := db.fs.MkdirAll(dir); err != nil {
			return err
		}
	}
	if err := db.loadManifest(); err != nil {
		return err
	}
	if err := db.removeStrays(); err != nil {
		return fmt.Errorf("remove left-over files: %w", err)
	}
	db.findReserve()
	tables, err := db.openTables(db.state.Load().Files)
	if err != nil {
		return explain(err, len(db.state.Load().Files))
	}
	db.recovering = true
	defer func() { db.recovering = false }()
	db.nextFile.Store(max(db.state.Load().NextFile, 1))
	db.keys.Store(db.state.Load().Keys)
	db.expires.Store(db.state.Load().Expires)
	db.visible.Store(db.state.Load().FlushedSeq)
	first := db.newMemory(db.state.Load().FlushedSeq+1, db.state.Load().MinSegment)
	db.swap(newVersion([]*memory{first}, 0, tables, kv.NewTombstones(db.state.Load().Tombstones)))
	first.Unref()

	r := &replayer{db: db, mem: first, rules: loadRules(db.state.Load().Retention)}
	sum, err := wal.Replay(db.fs, db.walOptions(), db.state.Load().MinSegment, r.record)
	if flushErr := r.join(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	if !db.options.bounded {
		r.last = max(r.last, sum.LastSeq) // what was undone at the end counts as flushed too
	}
	rest := &recovered{start: start, sum: sum, segment: max(sum.LastSegment, db.state.Load().MinSegment) + 1, clean: db.state.Load().Clean}
	r.freeze(rest.segment)
	db.rules.Store(r.rules)
	db.expiring.Store(db.expires.Load() > 0)
	db.visible.Store(max(sum.LastSeq, db.visible.Load()))
	db.metrics.Keys.Set(int64(db.keys.Load()))
	if err := db.settle(rest); isFull(err) {
		db.postpone(rest, err)
	} else if err != nil {
		return err
	}
	return nil
}

func (db *DB) walOptions() wal.Options {
	return wal.Options{SegmentBytes: db.options.SegmentBytes, DBID: db.state.Load().DBID, Archive: db.options.ArchiveBytes > 0}
}

// loadManifest reads the manifest, or writes the first one of a new directory.
func (db *DB) loadManifest() error {
	state, err := manifest.Load(db.fs)
	switch {
	case err == nil:
		db.state.Store(state)
		if err := compaction.CheckOrder(state.Files); err != nil {
			return errors.Join(disk.Corrupt(disk.ManifestName, disk.UnknownOffset, "the order of its files is not sound"), err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, dir := range []string{disk.SegmentDir, disk.TableDir} {
		names, err := db.fs.List(dir)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return disk.Corrupt(disk.ManifestName, 0, "the manifest is missing, but %s is not empty", dir)
		}
	}
	if err := db.fs.SyncDir("."); err != nil {
		return err
	}
	state = &manifest.State{Generation: 1, DBID: newDatabaseID(), NextFile: 1, MinSegment: 1}
	db.state.Store(state)
	return manifest.Store(db.fs, state)
}

// removeStrays deletes tables that the manifest does not name, and temporary
// files: left by a crash in the middle of a flush or a compaction.
func (db *DB) removeStrays() error {
	if err := db.removeUnfinished(); err != nil {
		return err
	}
	live := make(map[uint64]bool, len(db.state.Load().Files))
	for _, f := range db.state.Load().Files {
		live[f.ID] = true
	}
	for _, dir := range []string{".", disk.TableDir} {
		names, err := db.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			name = path.Join(dir, name)
			kind, id, ok := disk.ParseName(name)
			if !ok || kind != disk.KindTemp && (kind != disk.KindTable || live[id]) {
				continue
			}
			if err := db.fs.Remove(name); err != nil {
				return err
			}
			db.log.Info("removed a file left by a crash", "file", name)
		}
	}
	return nil
}

// replayer applies log records to memory, and flushes it whenever it is full.
type replayer struct {
	db      *DB
	mem     *memory
	dec     kv.Decoder
	segment uint64
	last    uint64
	flushed chan error // of the flush under way; nil if there is none
	full    bool       // the disk is: what is replayed stays in memory
	rules   *ruleTable
	key     []byte
}

func (r *replayer) record(rec *wal.Record) error {
	if rec.Type != wal.TypeGroup {
		return nil
	}
	if r.db.options.bounded && rec.FirstSeq+uint64(rec.Ops)-1 > r.db.options.replayTo {
		return nil // the sequences from here on hold nothing
	}
	if rec.Segment != r.segment {
		r.segment = rec.Segment
		r.dec.StartSegment()
	}
	err := r.dec.Decode(rec.Payload, rec.Ops, func(op *kv.Op) error {
		if seq := rec.FirstSeq + uint64(op.Index); seq > r.db.visible.Load() {
			r.last = seq
			return r.apply(seq, op)
		}
		return nil
	})
	if err != nil {
		return disk.Corrupt(disk.SegmentName(rec.Segment), rec.Offset, "%v", err)
	}
	if r.mem.Full() {
		return r.flush()
	}
	return nil
}

// flush writes the replayed memtable to tables beside the replay of the next one,
// after the one before has been written. On a full disk it stays in memory and the
// replay goes on: there is no more of it than was in memory before.
func (r *replayer) flush() error {
	if err := r.join(); err != nil {
		return err
	}
	old := r.freeze(0)
	if r.full {
		return nil
	}
	flushed := make(chan error, 1)
	r.flushed = flushed
	go func() { flushed <- r.db.flush(old) }() // recover joins it
	return nil
}

// join waits for the flush under way.
func (r *replayer) join() error {
	if r.flushed == nil {
		return nil
	}
	err := <-r.flushed
	r.flushed = nil
	if isFull(err) {
		r.full = true
		return nil
	}
	return err
}

// apply does in memory what the commit goroutine did for the same operation.
func (r *replayer) apply(seq uint64, op *kv.Op) (err error) {
	switch op.Kind {
	case kv.OpPut:
		key, label := op.Key, uint8(0)
		switch class := key[0] - spaceClass; {
		case key[0] == spaceCatalog:
			r.countKey(&op.Row)
		case key[0] >= spaceClass && class < compaction.ClassData:
			r.key = internalKey(r.key[:0], spaceData, key[1:])
			key, label = r.key, labelOf(class)
		case key[0] != spaceData && key[0] != spaceExpiry:
			return fmt.Errorf("%w: a key of the unknown space %#x", errMeta, key[0])
		}
		series := r.mem.Series(key)
		series.SetLabel(label)
		r.mem.Add(series, seq, &op.Row)
	case kv.OpDeleteRange:
		op.Tombstone.Seq = seq
		if op.Tombstone.Prefix && len(op.Tombstone.Key) == 0 {
			r.db.keys.Store(0)
			r.db.expires.Store(0)
		}
		r.mem.AddTombstone(op.Tombstone)
	case kv.OpMeta:
		r.rules, err = r.rules.applyMeta(op.MetaKind, op.Meta)
	}
	return err
}

func (r *replayer) countKey(row *kv.Row) {
	r.db.expires.Add(uint64(expiryChange(row)))
	switch {
	case row.Form == kv.FormDelete:
		r.db.keys.Add(^uint64(0))
	case isBirth(row):
		r.db.keys.Add(1)
	}
}

// freeze ends the replayed memtable, begins another one, and returns the old one. In
// the middle of a replay the log keeps its first segment (minSegment 0), because
// later records of it are still to come; those flushed are skipped by their
// sequence.
func (r *replayer) freeze(minSegment uint64) *memory {
	db, old := r.db, r.mem
	seq := max(r.last, db.visible.Load())
	old.frozenAt.Store(seq)
	old.keys, old.expires, old.rules = db.keys.Load(), db.expires.Load(), r.rules
	r.mem = db.newMemory(seq+1, max(minSegment, db.state.Load().MinSegment))
	db.versionMu.Lock()
	cur := db.current.Load()
	db.swap(newVersion(append([]*memory{r.mem}, cur.mem...), cur.frozen+1, cur.tables(), cur.tombs))
	db.versionMu.Unlock()
	r.mem.Unref()
	db.visible.Store(seq)
	return old
}
