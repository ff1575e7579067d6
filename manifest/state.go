// Package manifest keeps the durable list of which files are live, and the few
// numbers that recovery starts from. The whole list is one small file that is
// replaced by an atomic rename: that rename is the moment at which a flush or a
// compaction has happened.
//
// It refuses to know what is in the files; it lists numbers, bounds and
// checksums. It has no state and no lock: whoever calls Store (the engine,
// under its install mutex) sees to it that calls do not overlap.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"tskv/kv"
)

// State is one version of the database as files hold it.
type State struct {
	Generation uint64 // the caller raises it with every Store
	DBID       uint64 // seeds the checksums of the log
	Unit       uint8  // of record times; 0 = milliseconds
	NextFile   uint64 // every file ID is below
	FlushedSeq uint64 // files and tombstones hold every operation up to here
	MinSegment uint64 // the first log segment that recovery replays
	Keys       uint64 // living keys as of FlushedSeq
	Expires    uint64 // those of them that have a time to live
	Clean      bool   // written by a clean shutdown
	Files      []File
	Tombstones []kv.Tombstone
	Retention  []Rule
}

// File describes one live table file.
type File struct {
	ID             uint64
	Size           int64  // bytes
	Class          uint8  // retention class
	Window         int64  // start time; math.MinInt64 = mixed
	MinSeq, MaxSeq uint64 // of the operations that it holds
	MinKey, MaxKey []byte // inclusive
	// MinTime and MaxTime are the inclusive bounds of its rows' times.
	MinTime, MaxTime uint64
	// Rows counts all rows, Deletes those of them that are point deletes.
	Rows, Deletes, Series uint64
	Tier                  uint8 // how many merges it has been through, at most 255
	FooterCRC             uint32
}

// Rule is one line of the retention table. A zero bound means no bound.
type Rule struct {
	Pattern []byte // a key, or the start of keys if Prefix
	Prefix  bool
	AgeMS   uint64 // milliseconds
	Bytes   uint64
	Records uint64
}

// check says what is wrong with f; next is the state's NextFile.
func (f *File) check(next uint64) error {
	switch {
	case f.ID == 0 || f.ID >= next:
		return fmt.Errorf("file id %d outside 1..%d", f.ID, next-1)
	case f.Size <= 0:
		return fmt.Errorf("file %d has size %d", f.ID, f.Size)
	case f.MinSeq > f.MaxSeq:
		return fmt.Errorf("file %d has sequences %d..%d", f.ID, f.MinSeq, f.MaxSeq)
	case len(f.MinKey) == 0 || len(f.MinKey) > kv.MaxKey || len(f.MaxKey) > kv.MaxKey:
		return fmt.Errorf("file %d has keys of %d and %d bytes", f.ID, len(f.MinKey), len(f.MaxKey))
	case bytes.Compare(f.MinKey, f.MaxKey) > 0:
		return fmt.Errorf("file %d has its keys in the wrong order", f.ID)
	case f.MinTime > f.MaxTime:
		return fmt.Errorf("file %d has times %d..%d", f.ID, f.MinTime, f.MaxTime)
	case f.Series == 0 || f.Series > f.Rows || f.Deletes > f.Rows:
		return fmt.Errorf("file %d has %d rows, %d deletes, %d series", f.ID, f.Rows, f.Deletes, f.Series)
	}
	return nil
}

func checkTombstone(t *kv.Tombstone) error {
	switch {
	case len(t.Key) > kv.MaxKey || len(t.Key) == 0 && !t.Prefix:
		return fmt.Errorf("tombstone %d has a key of %d bytes", t.Seq, len(t.Key))
	case t.To.Less(t.From):
		return fmt.Errorf("tombstone %d ends before its start", t.Seq)
	}
	return nil
}

func checkRule(r *Rule) error {
	if len(r.Pattern) > kv.MaxKey {
		return fmt.Errorf("retention pattern of %d bytes", len(r.Pattern))
	}
	return nil
}

// check says what is wrong with s as a whole or with one of its parts.
func (s *State) check() error {
	if s.NextFile == 0 {
		return errors.New("next file is 0")
	}
	for i := range s.Files {
		if err := s.Files[i].check(s.NextFile); err != nil {
			return err
		}
	}
	for i := range s.Tombstones {
		if err := checkTombstone(&s.Tombstones[i]); err != nil {
			return err
		}
	}
	for i := range s.Retention {
		if err := checkRule(&s.Retention[i]); err != nil {
			return err
		}
	}
	return s.checkUnique()
}

func (s *State) checkUnique() error {
	ids := make([]uint64, len(s.Files))
	for i := range s.Files {
		ids[i] = s.Files[i].ID
	}
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			return fmt.Errorf("file %d is listed twice", ids[i])
		}
	}
	return nil
}
