package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
)

// SalvageOptions say how Salvage works.
type SalvageOptions struct {
	// Replay opens the new store with the engine and closes it, which brings its
	// log into tables. It is needed.
	Replay func(fsys disk.FS) error
	// KeepOlder leaves older versions of lost records in the store, though the
	// lost ones may have replaced or deleted them.
	KeepOlder bool
	Progress  Progress // may be nil
}

// SalvageReport says what a salvage has kept and what not.
type SalvageReport struct {
	Complete bool   `json:"complete"` // nothing is lost
	Manifest string `json:"manifest"` // which one was used; empty: none, the files spoke for themselves
	Copied   int    `json:"tables_copied"`
	Written  int    `json:"tables_rewritten"`
	LogOps   uint64 `json:"log_operations"` // brought over from the log
	Rows     uint64 `json:"rows"`           // of the new store's tables, replaced and deleted ones included
	Keys     uint64 `json:"keys"`
	Reborn   uint64 `json:"keys_reborn"`  // keys with records whose catalog entry was lost: they got a new one
	Older    uint64 `json:"older_hidden"` // older versions of lost records that were left out
	Losses   []Loss `json:"losses"`
	Omitted  uint64 `json:"omitted"` // losses beyond the first 10,000
}

// salvager is one run of Salvage.
type salvager struct {
	from, to disk.FS
	opt      SalvageOptions
	report   SalvageReport
	files    *files
	state    manifest.State // what is to be the new manifest
	listed   bool           // state is the current manifest: its files are the live ones
	parts    []*part
	regions  []region
	nextID   uint64
	log      logRange
}

// Salvage makes a new store in the empty directory to, of everything in from
// that verifies. It never changes from. When it returns without an error, to
// passes Check.
//
// It never invents an order: of two versions of a record the one is kept that was
// written later by the sequences of their files. Where a lost block may have held
// a later one, older versions are left out too, unless KeepOlder is set. What is
// lost is in the report. Memory: for each damaged table the keys that sstable.Salvage
// keeps; else a few MiB.
//
// Errors: ErrInUse, ErrNoStore, ErrVersion, or what a disk says; to is then not
// to be used.
func Salvage(from, to disk.FS, opt SalvageOptions) (*SalvageReport, error) {
	s := &salvager{from: from, to: to, opt: opt}
	s.report.Losses = []Loss{}
	var notes findings
	unlock, err := notes.lock(from)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.files, err = list(from, func(string, disk.NameKind) {}); err != nil {
		return nil, err
	}
	if s.files.empty() {
		return nil, ErrNoStore
	}
	s.from = newCounting(from, 2*s.files.bytes, opt.Progress)
	for _, step := range []func() error{s.plan, s.scan, s.choose, s.write, s.writeLog, s.settle} {
		if err := step(); err != nil {
			if isVersion(err) && !errors.Is(err, ErrVersion) {
				err = fmt.Errorf("%w: %w", ErrVersion, err)
			}
			return nil, fmt.Errorf("salvage: %w", err)
		}
	}
	s.report.Complete = true
	for i := range s.report.Losses {
		s.report.Complete = s.report.Complete && s.report.Losses[i].Rows == 0
	}
	s.report.Complete = s.report.Complete && s.report.Omitted == 0
	return &s.report, nil
}

// lose notes a loss.
func (s *salvager) lose(l Loss) {
	if l.Rows != 0 && l.Older == "" {
		l.Older = olderShown
	}
	if len(s.report.Losses) >= maxFindings {
		s.report.Omitted++
		return
	}
	s.report.Losses = append(s.report.Losses, l)
}

// plan finds the manifest to start from, and with it the tables that count. Only
// the current one names them for certain; by the one before, or by none, all
// tables in the directory count.
func (s *salvager) plan() error {
	state, err := manifest.Load(s.from)
	if err == nil {
		s.state, s.listed, s.report.Manifest = *state, true, disk.ManifestName
		for i := range state.Files {
			f := &state.Files[i]
			s.parts = append(s.parts, &part{file: *f, known: f})
		}
		s.nextID = state.NextFile
		return nil
	}
	if err := s.damagedManifest(disk.ManifestName, err); err != nil {
		return err
	}
	var prev *manifest.State
	if s.files.prev {
		if prev, err = manifest.LoadFile(s.from, disk.PrevManifestName); err != nil {
			if err := s.damagedManifest(disk.PrevManifestName, err); err != nil {
				return err
			}
		}
	}
	known := make(map[uint64]*manifest.File)
	if prev != nil {
		s.state, s.report.Manifest = *prev, disk.PrevManifestName
		for i := range prev.Files {
			known[prev.Files[i].ID] = &prev.Files[i]
		}
		s.lose(Loss{
			File: disk.ManifestName, Offset: -1, Length: -1, Rows: -1, MinSeq: prev.FlushedSeq + 1, MaxSeq: math.MaxUint64,
			What: "the manifest before the last one is used: later range deletes and retention rules are lost unless the log has them",
		})
	} else {
		s.state = manifest.State{DBID: s.headerDBID()}
		s.lose(Loss{
			File: disk.ManifestName, Offset: -1, Length: -1, Rows: -1,
			What: "there is no manifest: range deletes and retention rules are lost unless the log has them, so deleted records may be back",
		})
	}
	s.nextID = s.state.NextFile
	for id := range s.files.tables {
		s.parts = append(s.parts, &part{file: manifest.File{ID: id}, known: known[id]})
		s.nextID = max(s.nextID, id+1)
	}
	s.nextID = max(s.nextID, 1)
	return nil
}

// damagedManifest notes why a manifest cannot be used; only damage is a reason.
func (s *salvager) damagedManifest(name string, err error) error {
	var corrupt *disk.CorruptError
	switch {
	case errors.As(err, &corrupt):
		s.lose(Loss{File: cmp.Or(corrupt.File, name), Offset: max(corrupt.Offset, -1), Length: -1, What: corrupt.Reason})
	case errors.Is(err, fs.ErrNotExist):
		s.lose(Loss{File: name, Offset: -1, Length: -1, What: "it is missing"})
	default:
		return err
	}
	return nil
}

// headerDBID takes the database's number from the log.
func (s *salvager) headerDBID() (id uint64) {
	_, _ = Log(s.from, LogOptions{}, func(seg *Segment) error { // an error comes up again when the log is read
		if seg.Header {
			id = seg.DBID
		}
		return nil
	}, func(*LogRecord) error { return nil })
	return id
}

// settle brings the log into tables by a replay, then makes sure that each key
// with records is in the catalog and the number of keys is right, and checks the
// result.
func (s *salvager) settle() error {
	var err error
	if err = countKeys(s.to, &s.state); err != nil {
		return fmt.Errorf("count keys: %w", err)
	}
	if err := manifest.Store(s.to, &s.state); err != nil {
		return err
	}
	if err := s.opt.Replay(s.to); err != nil {
		return fmt.Errorf("replay the salvaged log: %w", err)
	}
	state, err := manifest.Load(s.to)
	if err != nil {
		return err
	}
	if err := s.repairCatalog(state); err != nil {
		return fmt.Errorf("repair catalog: %w", err)
	}
	checked, err := Check(s.to, CheckOptions{})
	if err != nil {
		return fmt.Errorf("check the new store: %w", err)
	}
	if !checked.Sound {
		return fmt.Errorf("check the new store: %s", checked.Findings[0])
	}
	s.report.Keys, s.report.Rows = checked.Keys, checked.Rows
	return nil
}

// countKeys sets the numbers of keys in a manifest to those of its tables.
func countKeys(fsys disk.FS, state *manifest.State) error {
	state.Keys, state.Expires = 0, 0
	w := catalogWalk{living: countInto(state), missing: func([]byte, uint8) error { return nil }}
	return w.run(fsys, state, false)
}

// countInto counts living keys in a manifest.
func countInto(state *manifest.State) func(key []byte, expires bool) error {
	return func(_ []byte, expires bool) error {
		state.Keys++
		if expires {
			state.Expires++
		}
		return nil
	}
}

// tombstones returns those that still hide something.
func liveTombstones(files []manifest.File, list []kv.Tombstone) []kv.Tombstone {
	return compaction.LiveTombstones(files, list)
}
