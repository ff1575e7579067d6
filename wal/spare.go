package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"tskv/disk"
)

// A spare is a file of a segment's size that waits for Rotate. To overwrite
// blocks that a file has already makes an fdatasync cheaper by 40 % than to grow
// it, because the file system has no new size and no new blocks to record.
type spare struct {
	name  string
	flags uint32 // for the header of the segment that it becomes
}

// spareName is the format of a spare's name; its end lets recovery see that nobody
// needs the file.
const spareName = disk.SegmentDir + "/spare-%d" + disk.TempSuffix

// zeroBytes is the size of the writes that fill a spare.
const zeroBytes = 1 << 20

// reserveSpare gives a name to a spare that is about to be made, if one more is
// wanted. spareMade must follow.
func (l *Log) reserveSpare() (name string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.failed != nil || l.lean || len(l.spares)+l.making >= l.opt.Spares {
		return "", false
	}
	l.making++
	l.spareSeq++
	return fmt.Sprintf(spareName, l.spareSeq), true
}

// spareMade ends a reservation; nil if nothing came of it.
func (l *Log) spareMade(sp *spare) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.making--
	if sp != nil {
		l.spares = append(l.spares, *sp)
		if sp.flags&flagRecycled != 0 {
			l.stats.Recycled++
		}
	}
}

func (l *Log) takeSpare() (spare, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.spares) == 0 {
		return spare{}, false
	}
	sp := l.spares[0]
	l.spares = l.spares[1:]
	return sp, true
}

func (l *Log) putSpare(sp spare) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spares = append(l.spares, sp)
}

// PrepareSpare fills a file with zeros for a later Rotate if there are fewer
// than Options.Spares, and does nothing otherwise. It writes SegmentBytes bytes,
// so it belongs into the background; one call at a time. Close ends it early
// with ErrClosed.
//
// It ends the shortage that StopSpares or DropSpares began; these end it early
// with ErrNoRoom.
func (l *Log) PrepareSpare() error {
	l.mu.Lock()
	l.lean = false
	l.mu.Unlock()
	name, ok := l.reserveSpare()
	if !ok {
		return nil
	}
	if err := l.fillSpare(name); err != nil {
		l.spareMade(nil)
		return fmt.Errorf("prepare spare: %w", err)
	}
	l.spareMade(&spare{name: name})
	return nil
}

func (l *Log) fillSpare(name string) error {
	file, err := l.fs.Create(name)
	if err != nil {
		return err
	}
	err = errors.Join(l.fillZeros(file), file.Close())
	if err != nil {
		return errors.Join(err, l.fs.Remove(name))
	}
	return nil
}

func (l *Log) fillZeros(file disk.File) error {
	zeros := make([]byte, min(zeroBytes, l.opt.SegmentBytes))
	for off := int64(0); off < l.opt.SegmentBytes; off += int64(len(zeros)) {
		l.mu.Lock()
		closed, lean := l.closed, l.lean
		l.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case lean:
			return ErrNoRoom
		}
		zeros = zeros[:min(int64(len(zeros)), l.opt.SegmentBytes-off)]
		if _, err := file.WriteAt(zeros, off); err != nil {
			return err
		}
		file.WriteBehind(off, int64(len(zeros))) // the log is being synced beside
	}
	return file.Sync()
}

// Release retires the segments below minSegment, which nobody needs to replay
// any more: some become spares, the rest is removed; with Options.Archive all are
// moved to the archive. The segment being written
// is never retired. What could not be retired is tried again by the next call.
// Any goroutine.
func (l *Log) Release(minSegment uint64) error {
	var errs []error
	for _, no := range l.takeRetired(minSegment) {
		if err := l.retire(no); err != nil {
			errs = append(errs, fmt.Errorf("release segment %d: %w", no, err))
			l.mu.Lock()
			l.retired = append(l.retired, no)
			l.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

func (l *Log) takeRetired(minSegment uint64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var take, keep []uint64
	for _, no := range l.retired {
		if no < minSegment {
			take = append(take, no)
		} else {
			keep = append(keep, no)
		}
	}
	l.retired = keep
	return take
}

func (l *Log) retire(no uint64) error {
	if l.opt.Archive {
		return l.archive(no)
	}
	name := disk.SegmentName(no)
	size, err := l.fs.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.recyclable(size) {
		if spareName, ok := l.reserveSpare(); ok {
			if err := l.fs.Rename(name, spareName); err != nil {
				l.spareMade(nil)
				return err
			}
			l.spareMade(&spare{name: spareName, flags: flagRecycled})
			return nil
		}
	}
	return l.fs.Remove(name)
}

// adoptSpare keeps a spare of an earlier process; false if the file is none or
// not of use. Whether its content was ever synced does not matter: what a segment
// holds behind its own header and records never verifies.
func (l *Log) adoptSpare(name string) bool {
	var no int
	if _, err := fmt.Sscanf(name, spareName, &no); err != nil || fmt.Sprintf(spareName, no) != name || len(l.spares) >= l.opt.Spares {
		return false
	}
	size, err := l.fs.Stat(name)
	if err != nil || !l.recyclable(size) {
		return false
	}
	l.spareSeq = max(l.spareSeq, no)
	l.spares = append(l.spares, spare{name: name, flags: flagRecycled})
	return true
}

// recyclable reports whether a file has a good size for a spare. One that is
// short has nothing to offer; one that a huge group blew up would waste space.
func (l *Log) recyclable(size int64) bool {
	return size >= l.opt.SegmentBytes && size <= l.opt.SegmentBytes+l.opt.SegmentBytes/4
}
