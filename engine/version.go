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
	number       uint64 // from 1; no other memtable of the process has it
	firstSegment uint64 // the log holds this memtable's writes from here on
	// frozenAt is the last sequence of a memtable that takes no more writes, zero
	// while it is the active one.
	frozenAt atomic.Uint64
	keys     uint64       // number of keys when it was frozen
	expires  uint64       // of them, with an expiry
	rules    *ruleTable   // when it was frozen
	ruled    bool         // it holds a change of the rules
	logged   atomic.Int64 // bytes of log records with its writes
	// filledAt is when something was first seen in it, in nanoseconds since 1970;
	// aged asks for the memtable to be frozen.
	filledAt atomic.Int64
	aged     atomic.Bool
	revoked  atomic.Bool // who still reads it shall end
	// files are those of its flush, if they hold all that it does; set under
	// db.versionMu before the version in which it is warm.
	files   []uint64
	trimmed bool // its flush left rows out; the flushing goroutine's
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
	mem     []*memory // newest first; mem[0] is the active one, then the frozen ones, then warm ones
	frozen  int       // memtables that wait for their flush
	all     []*table  // data newest first by sequence, then catalog
	data    []*table  // what readers read of all, as data, catalog and byTime are
	byTime  []*table  // data, newest maximum time first
	catalog []*table  // newest first
	expiry  []*table  // newest first
	tombs   *kv.Tombstones
	maxTime uint64 // of data
}

// newVersion makes a version that holds a reference on everything in it.
func newVersion(mem []*memory, frozen int, tables []*table, tombs *kv.Tombstones) *version {
	v := &version{mem: mem, frozen: frozen, all: slices.Clone(tables), tombs: tombs}
	v.refs.Store(1)
	for _, m := range mem {
		m.Ref()
	}
	slices.SortStableFunc(v.all, func(a, b *table) int {
		return cmp.Or(cmp.Compare(a.catalogRank(), b.catalogRank()), cmp.Compare(b.file.MaxSeq, a.file.MaxSeq))
	})
	shadowed := v.shadowed()
	for _, t := range v.all {
		t.refs.Add(1)
		switch {
		case shadowed[t.file.ID]:
		case t.file.Class == compaction.ClassCatalog:
			v.catalog = append(v.catalog, t)
		case t.file.Class == compaction.ClassExpiry:
			v.expiry = append(v.expiry, t)
		default:
			v.data = append(v.data, t)
			v.maxTime = max(v.maxTime, t.file.MaxTime)
		}
	}
	v.byTime = slices.Clone(v.data)
	slices.SortStableFunc(v.byTime, func(a, b *table) int { return cmp.Compare(b.file.MaxTime, a.file.MaxTime) })
	return v
}

// tables returns all files, those that readers leave to warm memtables included.
func (v *version) tables() []*table { return v.all[:len(v.all):len(v.all)] }

// catalogRank sorts the catalog behind the data.
func (t *table) catalogRank() int {
	if t.file.Class == compaction.ClassCatalog {
		return 1
	}
	return 0
}

// stored returns all files but the catalog, newest first, those that readers leave to
// warm memtables included.
func (v *version) stored() []*table {
	n := len(v.all)
	for n > 0 && v.all[n-1].catalogRank() == 1 {
		n--
	}
	return v.all[:n:n]
}

// files returns the descriptions of all tables.
func (v *version) files() []manifest.File {
	files := make([]manifest.File, 0, len(v.all))
	for _, t := range v.all {
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
	db.retire(old, next)
	db.metrics.FrozenMemtables.Set(int64(next.frozen))
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
