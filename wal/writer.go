package wal

import (
	"fmt"
	"math"
	"sync"

	"tskv/disk"

	"github.com/klauspost/compress/s2"
)

const (
	// compressAbove is the payload size in bytes above which s2 is tried; it must
	// save at least a fifth, else reading it back costs more than it spares, and
	// stay within maxExpansion.
	compressAbove = 4 << 10
	// keepBuffer is the largest append buffer that is kept for the next record.
	keepBuffer = 4 << 20
)

// Stats counts what a Log did since Create.
type Stats struct {
	Appends   uint64 // records appended, seals included
	Bytes     uint64 // bytes of those records, headers and padding included
	Syncs     uint64 // fdatasync calls on segments that succeeded
	Rotations uint64 // segments begun by Rotate
	Recycled  uint64 // retired segments that became spares
}

// Log is an open write-ahead log. See the package comment for who may call what.
type Log struct {
	fs  disk.FS
	opt Options

	// syncing is held across fdatasync, by Sync, Rotate and Close, because an
	// error of the kernel's write-back is told to one caller only: two at once
	// on one file, and the other would acknowledge what is lost. Append never
	// takes it. Order: syncing, then mu.
	syncing sync.Mutex

	// mu is never held across a call to the disk.
	mu       sync.Mutex
	cur      *segment
	failed   error // ErrSyncFailed with its cause; final
	closed   bool
	halfway  *segment // made by a Rotate that then failed; has a name already
	retired  []uint64 // older segments that still have their names, ascending
	spares   []spare
	making   int // spares on their way
	spareSeq int
	lean     bool // room is short: no spares
	stats    Stats

	buf []byte // of Append
}

// segment is the one being written. Fields below end are guarded by Log.mu, and
// written by the commit goroutine only, except synced.
type segment struct {
	no      uint64
	file    disk.File
	seed    uint32
	flags   uint32
	end     int64 // where the next record goes
	synced  int64 // durable up to here; 0 = not even the header
	lastCRC uint32
	lastSeq uint64 // highest sequence of the log
	ended   bool   // a failed write left bytes behind end
}

// Append writes one group as one record with exactly one write(2): ops
// operations whose sequences start at firstSeq, which is above all appended
// before. The payload has 1..MaxPayload bytes and is not kept.
//
// On an error nothing is in the log and Append may be tried again, with the same
// sequences too; if it says ErrSegmentEnded, after a Rotate. (After a crash a
// group that got an error may be found whole or not at all.) The caller is the
// commit goroutine.
func (l *Log) Append(firstSeq uint64, ops uint32, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("append record of %d bytes: %w", len(payload), ErrTooLarge)
	}
	if len(payload) == 0 || ops == 0 || firstSeq > math.MaxUint64-uint64(ops) {
		panic(fmt.Sprintf("BUG: wal: append of %d bytes, sequence %d, %d operations", len(payload), firstSeq, ops))
	}
	l.mu.Lock()
	s, err := l.writable()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.write(s, recordHeader{firstSeq: firstSeq, ops: ops, kind: TypeGroup}, payload)
}

// writable returns the segment that can take a record; mu is held.
func (l *Log) writable() (*segment, error) {
	switch {
	case l.failed != nil:
		return nil, l.failed
	case l.closed:
		return nil, ErrClosed
	case l.cur.ended || l.halfway != nil:
		return nil, ErrSegmentEnded
	}
	return l.cur, nil
}

// write appends a record to s.
func (l *Log) write(s *segment, h recordHeader, payload []byte) error {
	l.mu.Lock()
	off, lastSeq := s.end, s.lastSeq
	h.syncedTo = s.synced
	l.mu.Unlock()
	if h.firstSeq <= lastSeq {
		panic(fmt.Sprintf("BUG: wal: append of sequence %d after %d", h.firstSeq, lastSeq))
	}
	record, crc := l.encode(s.seed, off, &h, payload)
	_, err := s.file.WriteAt(record, off)
	n := int64(len(record))
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	if err != nil {
		l.cutBack(s, off)
		return fmt.Errorf("append record: %w", err)
	}
	l.mu.Lock()
	s.end = off + n
	s.lastCRC = crc
	if h.ops > 0 {
		s.lastSeq = h.firstSeq + uint64(h.ops) - 1
	}
	l.stats.Appends++
	l.stats.Bytes += uint64(n)
	l.mu.Unlock()
	return nil
}

// encode lays a record out in the reused buffer.
func (l *Log) encode(seed uint32, off int64, h *recordHeader, payload []byte) (record []byte, crc uint32) {
	most := len(payload)
	compress := most > compressAbove
	if compress {
		most = s2.MaxEncodedLen(most)
	}
	if need := recordHeaderSize + most + recordAlign; cap(l.buf) < need {
		l.buf = make([]byte, need, need+need/4)
	}
	b := l.buf[:cap(l.buf)]
	stored := 0
	if compress {
		packed := s2.Encode(b[recordHeaderSize:], payload)
		if len(packed) <= len(payload)-len(payload)/5 && len(payload) <= len(packed)*maxExpansion {
			stored, h.codec = len(packed), codecS2
		}
	}
	if h.codec == codecNone {
		stored = copy(b[recordHeaderSize:], payload)
	}
	h.length = uint32(stored)
	h.encode(b)
	end := recordHeaderSize + stored
	crc = recordCRC(seed, off, b[:end])
	putCRC(b, crc)
	padded := int(align(int64(end)))
	clear(b[end:padded])
	return b[:padded], crc
}

// cutBack takes away what a failed write may have left behind end. Where even
// that fails the segment has ended: its successor's header will say where.
func (l *Log) cutBack(s *segment, end int64) {
	if s.file.Truncate(end) == nil {
		return
	}
	l.mu.Lock()
	s.ended = true
	l.mu.Unlock()
}

// Segment returns the number of the segment being written.
func (l *Log) Segment() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur.no
}

// Size returns the bytes in the segment being written, its header included.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur.end
}

// Full reports whether the next record should wait for a Rotate: the segment
// reached SegmentBytes, or it must be left because of an earlier failure.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur.end >= l.opt.SegmentBytes || l.cur.ended || l.halfway != nil
}

// Stats returns the counts so far. Any goroutine.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Sync makes durable all that was appended before the call. It may run beside
// Append and Rotate. The first failure is final: the error wraps ErrSyncFailed
// and the cause, and nothing may be acknowledged any more until a restart.
func (l *Log) Sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return l.syncCurrent()
}

// syncCurrent syncs the segment being written; syncing is held. Rotate leaves a
// segment only when it is durable, so there are no older ones to care for.
func (l *Log) syncCurrent() error {
	l.mu.Lock()
	s, end, err := l.cur, l.cur.end, l.failed
	dirty := s.synced < end
	l.mu.Unlock()
	if err != nil || !dirty {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	s.synced = end
	l.stats.Syncs++
	l.mu.Unlock()
	return nil
}

// fail records the first failed sync and returns the final error.
func (l *Log) fail(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = fmt.Errorf("%w: %w", ErrSyncFailed, cause)
	}
	return l.failed
}
