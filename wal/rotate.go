package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tskv/disk"
)

// Create begins a new log after Replay, whose Summary it gets (the zero Summary
// for a new database). It never appends to a recovered segment: segment is a
// number above all that Replay saw, firstSeq a sequence above all that it read.
// When it returns, the segment's name and header are durable.
//
// Create also clears away what an earlier process left: segments whose header
// never became durable, and unfinished spares; finished ones are used. It is not safe to append before what was
// replayed is durable elsewhere; see the format's remark on recovered segments.
func Create(fsys disk.FS, opt Options, segment, firstSeq uint64, prev Summary) (*Log, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if segment == 0 || segment <= prev.link.segment || firstSeq == 0 || firstSeq <= prev.LastSeq {
		panic(fmt.Sprintf("BUG: wal: create of segment %d, sequence %d after %d, %d",
			segment, firstSeq, prev.link.segment, prev.LastSeq))
	}
	l := &Log{fs: fsys, opt: opt.withDefaults()}
	if err := l.clearLeftovers(segment, prev.dropped); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	if opt.Archive && prev.link.segment == 0 {
		var err error
		if prev.link, err = l.lineage(); err != nil {
			return nil, fmt.Errorf("create log: %w", err)
		}
	}
	file, err := fsys.Create(disk.SegmentName(segment))
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	l.cur = l.newSegment(segment, file, flagRecovered)
	l.cur.lastSeq = firstSeq - 1
	if err := l.begin(l.cur, firstSeq, prev.link); err != nil {
		return nil, fmt.Errorf("create log: %w", errors.Join(err, file.Close(), fsys.Remove(disk.SegmentName(segment))))
	}
	l.cur.synced = segmentHeaderSize
	return l, nil
}

// begin makes the first segment's header and name durable.
func (l *Log) begin(s *segment, firstSeq uint64, prev link) error {
	if err := l.writeHeader(s, firstSeq, prev); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return l.fs.SyncDir(disk.SegmentDir)
}

// clearLeftovers removes dropped segments, keeps good spares, removes the others,
// and remembers the older segments for Release. The names are made durable as Replay saw them, without the
// dropped ones, before there is a new one that refers to them.
func (l *Log) clearLeftovers(segment uint64, dropped []uint64) error {
	if err := l.fs.MkdirAll(disk.SegmentDir); err != nil {
		return err
	}
	if err := l.fs.SyncDir("."); err != nil {
		return err
	}
	for _, no := range dropped {
		if err := l.fs.Remove(disk.SegmentName(no)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := l.fs.SyncDir(disk.SegmentDir); err != nil {
		return err
	}
	names, err := l.fs.List(disk.SegmentDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(disk.SegmentDir, name)
		kind, no, _ := disk.ParseName(name)
		switch {
		case kind == disk.KindTemp && l.adoptSpare(name):
		case kind == disk.KindTemp:
			if err := l.fs.Remove(name); err != nil {
				return err
			}
		case kind == disk.KindSegment && no < segment:
			l.retired = append(l.retired, no)
		}
	}
	return nil
}

func (l *Log) newSegment(no uint64, file disk.File, flags uint32) *segment {
	return &segment{
		no: no, file: file, flags: flags,
		seed: segmentSeed(no, l.opt.DBID), end: segmentHeaderSize,
	}
}

func (l *Log) writeHeader(s *segment, firstSeq uint64, prev link) error {
	h := segmentHeader{segment: s.no, firstSeq: firstSeq, prev: prev, flags: s.flags, dbID: l.opt.DBID}
	_, err := s.file.WriteAt(h.encode(), 0)
	return err
}

// Rotate goes on to the next segment; firstSeq is the lowest sequence that it
// can hold. It uses a spare if there is one, else an empty file. It syncs the
// segment that it leaves, because only a durable segment may have a successor:
// call Sync shortly before to keep that short. When it returns, the new name is
// durable.
//
// A failed sync is final (ErrSyncFailed). After another error Rotate may be
// tried again; until it succeeds Append may answer ErrSegmentEnded. The caller
// is the commit goroutine.
func (l *Log) Rotate(firstSeq uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	old, next, err, closed := l.cur, l.halfway, l.failed, l.closed
	l.mu.Unlock()
	switch {
	case err != nil:
		return err
	case closed:
		return ErrClosed
	case firstSeq <= old.lastSeq:
		panic(fmt.Sprintf("BUG: wal: rotate to sequence %d after %d", firstSeq, old.lastSeq))
	}
	if err := l.syncCurrent(); err != nil {
		return err
	}
	if next == nil {
		if next, err = l.nextFile(old.no + 1); err != nil {
			return fmt.Errorf("rotate log: %w", err)
		}
		l.mu.Lock()
		l.halfway = next
		l.mu.Unlock()
	}
	// From here the name may survive a crash, and with it a header that says
	// where old ends. So old takes no record any more, whatever happens.
	prev := link{segment: old.no, length: old.end, lastCRC: old.lastCRC}
	if err := l.writeHeader(next, firstSeq, prev); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := l.fs.SyncDir(disk.SegmentDir); err != nil {
		return l.fail(err)
	}
	next.lastSeq = firstSeq - 1
	l.mu.Lock()
	l.cur, l.halfway = next, nil
	l.retired = append(l.retired, old.no)
	l.stats.Rotations++
	l.mu.Unlock()
	_ = old.file.Close() // everything in it is durable already
	return nil
}

// nextFile gives a spare, or an empty file, the name of a segment.
func (l *Log) nextFile(no uint64) (*segment, error) {
	name := disk.SegmentName(no)
	for {
		sp, ok := l.takeSpare()
		if !ok {
			file, err := l.fs.Create(name)
			if err != nil {
				return nil, err
			}
			return l.newSegment(no, file, 0), nil
		}
		file, err := l.fs.OpenWrite(sp.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // someone tidied up: it is no spare any more
		}
		if err != nil {
			l.putSpare(sp)
			return nil, err
		}
		if err := l.fs.Rename(sp.name, name); err != nil {
			l.putSpare(sp)
			return nil, errors.Join(err, file.Close())
		}
		return l.newSegment(no, file, sp.flags), nil
	}
}

// Close seals and syncs the log and closes it. Nothing is lost if it fails: the
// next Replay then finds a log without a seal. Every call after the first
// returns ErrClosed. The commit goroutine has ended.
func (l *Log) Close() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	closed, s := l.closed, l.cur
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := l.seal()
	l.mu.Lock()
	l.closed = true
	files := []*segment{s, l.halfway}
	l.mu.Unlock()
	for _, s := range files {
		if s != nil {
			err = errors.Join(err, s.file.Close())
		}
	}
	return err
}

// seal ends the log. What precedes the seal is durable when it is written, and
// it says so: of a sealed log every lost byte is known to be lost.
func (l *Log) seal() error {
	if err := l.syncCurrent(); err != nil {
		return err
	}
	l.mu.Lock()
	s, err := l.writable()
	l.mu.Unlock()
	if errors.Is(err, ErrSegmentEnded) {
		return nil // all is durable, only the seal has no place
	}
	if err != nil {
		return err
	}
	payload := binary.LittleEndian.AppendUint64(nil, s.lastSeq)
	if err := l.write(s, recordHeader{firstSeq: s.lastSeq + 1, kind: TypeSeal}, payload); err != nil {
		return fmt.Errorf("seal log: %w", err)
	}
	return l.syncCurrent()
}
