package backup

import (
	"fmt"
	"math"
	"path"
	"strings"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
	"tskv/wal"
)

// store is a stand-in for the engine: tables, a manifest and a log with an
// archive, made by the real packages.
type store struct {
	t     testing.TB
	d     *disktest.Disk
	log   *wal.Log
	state manifest.State
	seq   uint64
	shots int
}

func newStore(t testing.TB, database uint64) *store {
	t.Helper()
	s := &store{t: t, d: disktest.New(), state: manifest.State{Generation: 1, DBID: database, NextFile: 1, MinSegment: 1}}
	s.ok(s.d.MkdirAll(disk.TableDir))
	var err error
	s.log, err = wal.Create(s.d, s.walOptions(), 1, 1, wal.Summary{})
	s.ok(err)
	s.ok(manifest.Store(s.d, &s.state))
	t.Cleanup(func() { _ = s.log.Close() })
	return s
}

func (s *store) walOptions() wal.Options {
	return wal.Options{SegmentBytes: wal.MinSegmentBytes, DBID: s.state.DBID, Spares: -1, Archive: true}
}

func (s *store) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// write appends groups of two operations to the log.
func (s *store) write(groups int) {
	s.t.Helper()
	for range groups {
		s.ok(s.log.Append(s.seq+1, 2, fmt.Appendf(nil, "group from %d", s.seq+1)))
		s.seq += 2
	}
}

// flush puts a table for what was written into the manifest, and archives the log
// that it makes superfluous.
func (s *store) flush() {
	s.t.Helper()
	s.ok(s.log.Rotate(s.seq + 1))
	id := s.state.NextFile
	w, err := sstable.NewWriter(s.d, sstable.WriterOptions{FileID: id, MinSeq: s.state.FlushedSeq + 1, MaxSeq: s.seq, Window: math.MinInt64})
	s.ok(err)
	var rows kv.Rows
	for i := range uint64(200) {
		rows.Append(kv.Row{ID: kv.ID{Time: s.seq + i}, Num: int64(i)})
	}
	s.ok(w.Add([]byte("\x02key"), &rows))
	p, err := w.Finish()
	s.ok(err)
	s.ok(s.d.SyncDir(disk.TableDir))
	s.state.Files = append(s.state.Files, manifest.File{
		ID: id, Size: p.Size, Window: math.MinInt64, MinSeq: p.MinSeq, MaxSeq: p.MaxSeq, MinKey: p.MinKey, MaxKey: p.MaxKey,
		MinTime: p.MinTime, MaxTime: p.MaxTime, Rows: p.Rows, Series: p.Series, FooterCRC: p.FooterCRC,
	})
	s.state.NextFile++
	s.state.Generation++
	s.state.FlushedSeq, s.state.MinSegment = s.seq, s.log.Segment()
	s.ok(manifest.Store(s.d, &s.state))
	s.ok(s.log.Release(s.state.MinSegment))
}

// merge drops the oldest table, as a compaction might.
func (s *store) merge() {
	s.t.Helper()
	s.ok(s.d.Remove(disk.TableName(s.state.Files[0].ID)))
	s.state.Files = s.state.Files[1:]
	s.state.Generation++
	s.ok(manifest.Store(s.d, &s.state))
}

// source makes a checkpoint.
func (s *store) source() Source {
	s.t.Helper()
	s.shots++
	dir := path.Join(disk.CheckpointDir, fmt.Sprint(s.shots))
	s.ok(s.d.MkdirAll(path.Join(dir, disk.TableDir)))
	for _, f := range s.state.Files {
		s.ok(s.d.Link(disk.TableName(f.ID), path.Join(dir, disk.TableName(f.ID))))
	}
	state := s.state
	state.DBID++
	cp := disk.Sub(s.d, dir)
	s.ok(manifest.Store(cp, &state))
	return Source{Checkpoint: cp, Database: s.state.DBID, Data: s.d}
}

// round writes, flushes, and returns the position.
func (s *store) round() uint64 {
	s.t.Helper()
	s.write(20)
	s.ok(s.log.Rotate(s.seq + 1)) // two segments a round
	s.write(20)
	s.flush()
	return s.seq
}

// clock ticks a second with every look.
func clock() func() time.Time {
	now := time.Date(2025, 11, 20, 12, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

func create(t testing.TB, fsys disk.FS) *Repository {
	t.Helper()
	r, err := Create(fsys, Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *store) add(r *Repository) Added {
	s.t.Helper()
	a, err := r.Add(s.t.Context(), s.source())
	s.ok(err)
	return a
}

// extract restores into an empty disk and checks that each file is the one of the
// store when it was backed up.
func (s *store) extract(r *Repository, id string, to *uint64) (*disktest.Disk, Plan) {
	s.t.Helper()
	p, err := r.Plan(id, to)
	s.ok(err)
	d := disktest.New()
	s.ok(r.Extract(s.t.Context(), p, d))
	d = d.Crash(disktest.CrashOptions{}) // all of it is durable
	state, err := manifest.Load(d)
	s.ok(err)
	if state.FlushedSeq != p.Position || state.DBID != s.state.DBID || len(state.Files) != len(p.Tables) {
		s.t.Errorf("restored: position %d, database %x, %d files; plan %+v", state.FlushedSeq, state.DBID, len(state.Files), p)
	}
	for _, f := range state.Files {
		t, err := sstable.Open(d, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{})
		s.ok(err)
		s.ok(t.Verify())
		s.ok(t.Close())
	}
	if names := strings.Join(d.Files(), " "); strings.Contains(names, disk.TempSuffix) {
		s.t.Errorf("restored: %s", names)
	}
	return d, p
}

// replayed returns the last sequence of a restored log.
func (s *store) replayed(d *disktest.Disk, minSegment uint64) uint64 {
	s.t.Helper()
	opt := s.walOptions()
	sum, err := wal.Replay(d, opt, minSegment, func(*wal.Record) error { return nil })
	s.ok(err)
	return sum.LastSeq
}
