package engine

import (
	"cmp"
	"slices"
	"sync/atomic"

	"tskv/compaction"
	"tskv/kv"
	"tskv/manifest"
	"tskv/memtable"
	"tskv/sstable"
)

// memSeries is a series' handle in a memtable.
type memSeries = *memtable.Series

// memory is one memtable of a version.
type memory struct {
	*memtable.Table
	firstSegment uint64 // the log holds this memtable's writes from here on
	// frozenAt is the last sequence of a memtable that takes no more writes, zero
	// while it is the active one.
	frozenAt atomic.Uint64
	keys     uint64       // number of keys when it was frozen
	logged   atomic.Int64 // bytes of log records with its writes
}

// table is one live SSTable. The versions that list it share it.
type table struct {
	*sstable.Reader
	file manifest.File
	refs atomic.Int64
	db   *DB
}

func (t *table) unref() {
	if t.refs.Add(-1) == 0 {
		if err := t.Close(); err != nil {
			t.db.log.Warn("close table", "file", t.file.ID, "error", err)
		}
	}
}

// version is an immutable list of memtables and files: all that a reader sees.
// It lives until the last reader releases it.
type version struct {
	refs    atomic.Int64
	mem     []*memory // newest first; mem[0] is the active one
	data    []*table  // newest first by sequence
	byTime  []*table  // data, newest maximum time first
	catalog []*table  // newest first
	tombs   *kv.Tombstones
	maxTime uint64 // of data
}

// newVersion makes a version that holds a reference on everything in it.
func newVersion(mem []*memory, tables []*table, tombs *kv.Tombstones) *version {
	v := &version{mem: mem, tombs: tombs}
	v.refs.Store(1)
	for _, m := range mem {
		m.Ref()
	}
	for _, t := range tables {
		t.refs.Add(1)
		if t.file.Class == compaction.ClassCatalog {
			v.catalog = append(v.catalog, t)
			continue
		}
		v.data = append(v.data, t)
		v.maxTime = max(v.maxTime, t.file.MaxTime)
	}
	newest := func(a, b *table) int { return cmp.Compare(b.file.MaxSeq, a.file.MaxSeq) }
	slices.SortStableFunc(v.data, newest)
	slices.SortStableFunc(v.catalog, newest)
	v.byTime = slices.Clone(v.data)
	slices.SortStableFunc(v.byTime, func(a, b *table) int { return cmp.Compare(b.file.MaxTime, a.file.MaxTime) })
	return v
}

func (v *version) tables() []*table { return slices.Concat(v.data, v.catalog) }

// files returns the descriptions of all tables.
func (v *version) files() []manifest.File {
	files := make([]manifest.File, 0, len(v.data)+len(v.catalog))
	for _, t := range v.tables() {
		files = append(files, t.file)
	}
	return files
}

// release gives the reference back; the last one lets go of everything.
func (v *version) release() {
	if v.refs.Add(-1) != 0 {
		return
	}
	for _, m := range v.mem {
		m.Unref()
	}
	for _, t := range v.tables() {
		t.unref()
	}
}

// acquire returns the current version with a reference. Lock-free: a version
// whose count has fallen to zero was replaced meanwhile, so look again.
func (db *DB) acquire() *version {
	for {
		v := db.current.Load()
		if v == nil {
			return nil
		}
		n := v.refs.Load()
		if n > 0 && v.refs.CompareAndSwap(n, n+1) {
			return v
		}
	}
}

// swap makes next the current version. db.versionMu is held.
func (db *DB) swap(next *version) {
	old := db.current.Swap(next)
	if old != nil {
		old.release()
	}
	db.metrics.FrozenMemtables.Set(int64(len(next.mem) - 1))
	tables := next.tables()
	db.metrics.Files.Set(int64(len(tables)))
	var bytes int64
	for _, t := range tables {
		bytes += t.file.Size
	}
	db.metrics.FileBytes.Set(bytes)
}

// horizon returns the sequence up to which a reader of v sees: the visible one,
// but never beyond v's active memtable if that has been frozen since v was
// taken. v must have been acquired before the call.
func (db *DB) horizon(v *version) uint64 {
	seq := db.visible.Load()
	if frozen := v.mem[0].frozenAt.Load(); frozen != 0 {
		seq = min(seq, frozen)
	}
	return seq
}
