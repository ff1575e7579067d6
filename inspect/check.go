package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"tskv/compaction"
	"tskv/disk"
	"tskv/manifest"
)

// CheckOptions say how Check works. The zero value is a good one.
type CheckOptions struct {
	Threads  int      // tables that are read at once; default GOMAXPROCS
	NoMmap   bool     // read with pread only
	Progress Progress // may be nil
}

// Report is what Check has found.
type Report struct {
	Sound    bool      `json:"sound"` // no error was found
	Errors   uint64    `json:"errors"`
	Warnings uint64    `json:"warnings"`
	Notes    uint64    `json:"notes"`
	Findings []Finding `json:"findings"`      // errors first
	Omitted  uint64    `json:"omitted"`       // findings beyond the first 10,000 of a severity
	Manifest bool      `json:"manifest_read"` // without it the files were checked one by one
	Tables   int       `json:"tables"`        // live ones
	Bytes    int64     `json:"table_bytes"`
	Rows     uint64    `json:"rows"`    // of live tables, replaced and deleted ones included
	Keys     uint64    `json:"keys"`    // living ones in the tables
	Expires  uint64    `json:"expires"` // of them, with an expiry
	Segments int       `json:"log_segments"`
	Records  uint64    `json:"log_records"`
	Ops      uint64    `json:"log_operations"`
	LastSeq  uint64    `json:"last_sequence"` // of tables and log
	Sealed   bool      `json:"log_sealed"`    // the log was closed in order
	Torn     int64     `json:"torn_bytes"`
}

// checker is one run of Check.
type checker struct {
	findings
	fs     disk.FS // counts for the progress
	plain  disk.FS
	opt    CheckOptions
	files  *files
	state  *manifest.State // nil if it could not be read
	report Report
	rows   atomic.Uint64
	bad    atomic.Bool // a table is damaged or missing
}

// Check reads every file of the store in fsys by its documented format and
// reports everything that is not as it should be. It changes nothing; it keeps
// a server out by the store's lock where that can be had. Memory: a few MiB per
// thread, and the top index of each table.
//
// Errors: ErrInUse, ErrNoStore, ErrVersion (with the report of what could be
// read), or what the disk says.
func Check(fsys disk.FS, opt CheckOptions) (*Report, error) {
	c := &checker{plain: fsys, opt: opt}
	c.opt.Threads = cmp.Or(c.opt.Threads, runtime.GOMAXPROCS(0))
	unlock, err := c.lock(fsys)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c.files, err = list(fsys, c.stray); err != nil {
		return nil, err
	}
	if c.files.empty() {
		return nil, ErrNoStore
	}
	c.fs = newCounting(fsys, c.files.bytes, opt.Progress)
	c.loadManifests()
	c.run()
	c.finish()
	if c.version != nil {
		return &c.report, fmt.Errorf("check: %w: %w", ErrVersion, c.version)
	}
	return &c.report, nil
}

// lock keeps others out for as long as the files are read. That a read-only
// directory, or a copy, cannot be locked is worth a note and no more.
func (f *findings) lock(fsys disk.FS) (unlock func(), err error) {
	lock, err := fsys.Lock(disk.LockName)
	switch {
	case errors.Is(err, disk.ErrLocked):
		return nil, fmt.Errorf("%w: stop the server first: %w", ErrInUse, err)
	case errors.Is(err, fs.ErrNotExist):
		f.add(SeverityNote, disk.LockName, -1, "there is no lock file, so nothing keeps a server from starting meanwhile")
		lock = io.NopCloser(nil)
	case err != nil:
		f.add(SeverityNote, disk.LockName, -1, "going on without the lock: %v", err)
		lock = io.NopCloser(nil)
	}
	return func() { _ = lock.Close() }, nil // nothing was written
}

// stray notes a file that is not part of the store.
func (c *checker) stray(name string, kind disk.NameKind) {
	if kind == disk.KindTemp {
		c.add(SeverityNote, name, -1, "unfinished work, left by a crash; the next start removes it")
		return
	}
	c.add(SeverityNote, name, -1, "not part of the store; it was not read")
}

func (c *checker) loadManifests() {
	state, err := manifest.Load(c.plain)
	if errors.Is(err, fs.ErrNotExist) {
		err = disk.Corrupt(disk.ManifestName, -1, "it is missing")
	}
	if err != nil {
		c.failure(disk.ManifestName, err)
	} else {
		c.state, c.report.Manifest = state, true
	}
	if !c.files.prev {
		return
	}
	if _, err := manifest.LoadFile(c.plain, disk.PrevManifestName); err != nil {
		c.failure(disk.PrevManifestName, err)
	}
}

// run checks all parts, the tables and the log beside each other.
func (c *checker) run() {
	jobs := []func(){c.log}
	if c.state == nil {
		for id := range c.files.tables {
			jobs = append(jobs, func() { c.unlisted(id) })
		}
	} else {
		if err := compaction.CheckOrder(c.state.Files); err != nil {
			c.failure(disk.ManifestName, err)
		}
		for i := range c.state.Files {
			jobs = append(jobs, func() { c.table(&c.state.Files[i]) })
		}
		c.leftovers()
	}
	c.parallel(jobs)
	if c.state == nil {
		return
	}
	if c.bad.Load() {
		c.add(SeverityNote, disk.ManifestName, -1, "keys were not counted, because tables are damaged")
		return
	}
	if err := c.catalog(); err != nil {
		c.failure(disk.TableDir, err)
	}
}

func (c *checker) parallel(jobs []func()) {
	queue := make(chan func())
	var workers sync.WaitGroup
	for range min(c.opt.Threads, len(jobs)) {
		workers.Go(func() {
			for job := range queue {
				job()
			}
		})
	}
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	workers.Wait()
}

// leftovers notes tables and segments that the manifest does not need.
func (c *checker) leftovers() {
	live := make(map[uint64]bool, len(c.state.Files))
	for i := range c.state.Files {
		live[c.state.Files[i].ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(c.files.tables)) {
		if !live[id] {
			c.add(SeverityNote, disk.TableName(id), -1, "the manifest does not name it; the next start removes it")
		}
	}
	for _, no := range slices.Sorted(maps.Keys(c.files.segments)) {
		if no < c.state.MinSegment {
			c.add(SeverityNote, disk.SegmentName(no), -1, "everything in it is in tables; it will be removed or used again")
		}
	}
}

// finish puts the report together.
func (c *checker) finish() {
	r := &c.report
	if c.state != nil {
		r.Tables = len(c.state.Files)
		for i := range c.state.Files {
			r.Bytes += c.state.Files[i].Size
		}
		r.LastSeq = max(r.LastSeq, c.state.FlushedSeq)
	}
	r.Rows = c.rows.Load()
	r.Findings, r.Omitted = c.sorted(), c.dropped
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	r.Errors, r.Warnings, r.Notes = c.counts[SeverityError], c.counts[SeverityWarning], c.counts[SeverityNote]
	r.Sound = r.Errors == 0
}
