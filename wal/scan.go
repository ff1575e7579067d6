package wal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/disk"
)

// SegmentInfo is what a segment's header says, for people and tools.
type SegmentInfo struct {
	Segment     uint64
	FirstSeq    uint64 // no record has a lower sequence
	PrevSegment uint64 // 0 for none
	PrevLength  int64  // where the records of that segment end, bytes
	PrevCRC     uint32 // of its last record
	Recycled    bool   // the tail may hold records of a retired segment
	Recovered   bool   // the first segment after a replay
	DBID        uint64
}

// RecordInfo is a record as it is stored. The record may be a seal.
type RecordInfo struct {
	Record
	Stored   int    // bytes of the payload in the file
	Codec    string // none or s2
	SyncedTo int64  // durable before the record was written
	CRC      uint32
}

// ReadSegmentInfo reads the header of a segment file of any name. Errors:
// ErrVersion, a *disk.CorruptError if there is no header, or the disk's.
func ReadSegmentInfo(fsys disk.FS, name string) (SegmentInfo, error) {
	s := segmentFile{name: name}
	var w window
	if err := w.open(fsys, name); err != nil {
		return SegmentInfo{}, fmt.Errorf("read segment header: %w", err)
	}
	b, err := w.at(0, int(min(segmentHeaderSize, w.size)))
	if err == nil && len(b) == segmentHeaderSize {
		s.no = binary.LittleEndian.Uint64(b[8:])
		s.header, s.ok, err = decodeSegmentHeader(b, name, s.no, binary.LittleEndian.Uint64(b[48:]))
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		return SegmentInfo{}, err
	}
	if !s.ok {
		return SegmentInfo{}, disk.Corrupt(name, 0, "no segment header")
	}
	h := &s.header
	return SegmentInfo{
		Segment: h.segment, FirstSeq: h.firstSeq,
		PrevSegment: h.prev.segment, PrevLength: h.prev.length, PrevCRC: h.prev.lastCRC,
		Recycled: h.flags&flagRecycled != 0, Recovered: h.flags&flagRecovered != 0, DBID: h.dbID,
	}, nil
}

// ScanOptions say how one segment is scanned.
type ScanOptions struct {
	Segment, DBID uint64 // seeds of all checksums
	FirstSeq      uint64 // records below it do not belong here
	LastSeq       uint64 // of the segments before: records must be above
	// End is where the records end according to the segment's successor, 0 if
	// it has none. Then the end is found by the rule of Replay.
	End      int64
	Recycled bool // what the header says
	// Damage is called for each range of bytes in which records are missing;
	// the next record that verifies stands at to, or the scan ends there.
	Damage func(from, to int64, reason string) error
	// Beyond goes on behind damage. Without it the scan ends there.
	Beyond bool
}

// ScanEnd is how a scan ended.
type ScanEnd struct {
	Offset  int64  // behind the last record
	LastSeq uint64 // of the records, or that of the options
	LastCRC uint32 // of the last record; 0 without one
	Sealed  bool
	Torn    int64 // bytes of an unfinished write at Offset, as in Summary
}

// ScanSegment calls fn with the records of one segment file of any name, seals
// included, as far as they verify. Unlike Replay it takes no damage for the
// end of everything: it is for tools, recovery must not use it. Errors:
// ErrVersion, those of the functions, and the disk's. Memory as for Replay.
func ScanSegment(fsys disk.FS, name string, opt ScanOptions, fn func(*RecordInfo) error) (end ScanEnd, err error) {
	s := scanner{name: name, opt: opt, fn: fn, seed: segmentSeed(opt.Segment, opt.DBID)}
	s.end = ScanEnd{Offset: segmentHeaderSize, LastSeq: opt.LastSeq}
	if err := s.w.open(fsys, name); err != nil {
		return s.end, fmt.Errorf("scan segment: %w", err)
	}
	defer func() { err = errors.Join(err, s.w.file.Close()) }()
	if opt.End > 0 {
		s.w.size = min(s.w.size, opt.End) // what follows is what a failed write left
	}
	s.tail = tailScan{w: &s.w, seed: s.seed}
	return s.end, s.run()
}

type scanner struct {
	name string
	opt  ScanOptions
	fn   func(*RecordInfo) error
	seed uint32
	w    window
	tail tailScan
	raw  []byte
	rec  RecordInfo
	end  ScanEnd
}

func (s *scanner) run() error {
	for !s.end.Sealed {
		size, reason, err := s.record(s.end.Offset)
		if err != nil {
			return fmt.Errorf("scan segment: %w", err)
		}
		if reason == "" && size > 0 {
			s.end.Offset += size
			continue
		}
		if reason == "" {
			if reason, err = s.missing(); err != nil {
				return fmt.Errorf("scan segment: %w", err)
			}
		}
		if reason == "" {
			return nil
		}
		if more, err := s.damage(size, reason); err != nil || !more {
			return err
		}
	}
	return nil
}

// record delivers the record at off and returns its size: 0 if none verifies
// there, with a reason if one verifies that cannot be.
func (s *scanner) record(off int64) (size int64, reason string, err error) {
	if s.w.size-off < recordHeaderSize {
		return 0, "", nil
	}
	b, err := s.w.at(off, recordHeaderSize)
	if err != nil {
		return 0, "", err
	}
	var h recordHeader
	h.decode(b)
	if !h.fits(off, s.w.size) {
		return 0, "", nil
	}
	if b, err = s.w.at(off, recordHeaderSize+int(h.length)); err != nil {
		return 0, "", err
	}
	if recordCRC(s.seed, off, b) != h.crc {
		return 0, "", nil
	}
	size = align(recordHeaderSize + int64(h.length))
	if !h.known() {
		return size, "", fmt.Errorf("%w: file=%s offset=%d type=%d codec=%d flags=%#x",
			ErrVersion, s.name, off, h.kind, h.codec, h.flags)
	}
	payload := b[recordHeaderSize:]
	if reason := h.impossible(off, payload, s.end.LastSeq, s.opt.FirstSeq); reason != "" {
		return size, reason, nil
	}
	stored := len(payload)
	if payload, reason = unpack(&s.raw, &h, payload); reason != "" {
		return size, reason, nil
	}
	s.rec = RecordInfo{
		Record: Record{Segment: s.opt.Segment, Offset: off, FirstSeq: h.firstSeq, Ops: h.ops, Type: h.kind, Payload: payload},
		Stored: stored, Codec: "none", SyncedTo: h.syncedTo, CRC: h.crc,
	}
	if h.codec == codecS2 {
		s.rec.Codec = "s2"
	}
	s.end.Sealed, s.end.LastCRC = h.kind == TypeSeal, h.crc
	if h.kind == TypeGroup {
		s.end.LastSeq = h.firstSeq + uint64(h.ops) - 1
	}
	return size, "", s.fn(&s.rec)
}

// missing decides what it means that no record verifies at the end so far: ""
// if the records end there.
func (s *scanner) missing() (reason string, err error) {
	if s.opt.End > 0 {
		if s.end.Offset >= s.opt.End {
			return "", nil
		}
		return fmt.Sprintf("no record here, the next segment says that they end at %d", s.opt.End), nil
	}
	t := &s.tail
	t.bad, t.lastSeq, t.any, t.plausible = s.end.Offset, s.end.LastSeq, false, 0
	witness, err := t.run()
	if err != nil {
		return "", err
	}
	if witness >= 0 {
		return fmt.Sprintf("no record here, but that of offset %d was written when this was durable", witness), nil
	}
	s.end.Torn = t.nonZero - s.end.Offset
	if s.opt.Recycled {
		s.end.Torn = t.plausible
	}
	return "", nil
}

// damage finds where the records go on and reports what is between. size is
// that of a record that verifies but cannot be; false ends the scan.
func (s *scanner) damage(size int64, reason string) (more bool, err error) {
	from, to := s.end.Offset, s.w.size
	if s.opt.Beyond && size > 0 {
		to, more = from+size, true
	} else if s.opt.Beyond {
		t := &s.tail
		t.bad, t.lastSeq, t.any = from, s.end.LastSeq, true
		next, err := t.run()
		if err != nil {
			return false, fmt.Errorf("scan segment: %w", err)
		}
		if next >= 0 {
			to, more = next, true
		}
	}
	if !more && s.opt.End > 0 {
		to = s.opt.End
	}
	if s.opt.Damage != nil {
		if err := s.opt.Damage(from, to, reason); err != nil {
			return false, err
		}
	}
	s.end.Offset = to
	return more, nil
}
