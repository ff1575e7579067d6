package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"tskv/disk"

	"github.com/klauspost/compress/s2"
)

// Record is one replayed group. Payload is valid during the callback only.
type Record struct {
	Segment  uint64
	Offset   int64 // of the record in its segment, bytes
	FirstSeq uint64
	Ops      uint32
	Type     RecordType
	Payload  []byte // decompressed
}

// Summary says what Replay found.
type Summary struct {
	Segments     int    // segments of the log, those that Create will drop not counted
	Records, Ops uint64 // seals not counted
	LastSeq      uint64 // highest sequence; 0 without a record
	// LastSegment is the highest number that is taken, or minSegment-1 if there
	// is no segment: LastSegment+1 is the number for Create.
	LastSegment uint64
	Bytes       int64 // read and verified, headers included
	// TornBytes were found behind the end of the log at TornOffset of
	// TornSegment and are not part of it: the trace of an unfinished write. Zeros
	// and the stale content of a recycled file are no such trace.
	TornBytes   int64
	TornSegment uint64
	TornOffset  int64
	Sealed      bool // the log was closed in order

	link    link     // the end of the log, for the header of the next segment
	dropped []uint64 // segments without a header, for Create to remove
}

// Replay reads the segments from minSegment on, in order, and calls fn for each
// group. It ends at a torn tail and says so in the Summary; everything else
// that is missing or wrong is a *disk.CorruptError. ErrVersion means that an
// intact part was written by a newer version. An error of fn ends the replay and
// is returned as it is. Memory: one read buffer of 1 MiB or of the largest
// record, and one for the largest decompressed record.
func Replay(fsys disk.FS, opt Options, minSegment uint64, fn func(*Record) error) (Summary, error) {
	if err := opt.Validate(); err != nil {
		return Summary{}, err
	}
	r := &replay{fs: fsys, dbID: opt.DBID, fn: fn}
	if minSegment > 0 {
		r.sum.LastSegment = minSegment - 1
	}
	chain, dropped, err := listChain(fsys, opt.DBID, minSegment)
	if err != nil {
		return r.sum, fmt.Errorf("replay log: %w", err)
	}
	for i := range chain {
		var next *segmentHeader
		if i+1 < len(chain) && chain[i+1].ok {
			next = &chain[i+1].header
		}
		if err := r.segment(&chain[i], next); err != nil {
			return r.sum, err
		}
	}
	for i := range dropped {
		if err := r.drop(&dropped[i]); err != nil {
			return r.sum, fmt.Errorf("replay log: %w", err)
		}
	}
	return r.sum, nil
}

type replay struct {
	fs   disk.FS
	dbID uint64
	fn   func(*Record) error
	sum  Summary
	w    window
	raw  []byte // of s2
	rec  Record
	gap  error // set: the log ended early, and a group behind it proves loss
}

// errNoRecord says that no record verifies at an offset.
var errNoRecord = errors.New("no record")

// segment replays one segment; next is the header of the following one, if it has one.
func (r *replay) segment(s *segmentFile, next *segmentHeader) (err error) {
	if err := r.w.open(r.fs, s.name); err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	defer func() { err = errors.Join(err, r.w.file.Close()) }()
	r.sum.Segments++
	r.sum.LastSegment, r.sum.Sealed = s.no, false
	if !s.ok {
		return r.lostHeader(s)
	}
	end := link{segment: s.no, length: segmentHeaderSize}
	seed := segmentSeed(s.no, r.dbID)
	for !r.sum.Sealed && (next == nil || end.length < next.prev.length) {
		size, crc, err := r.record(s, seed, end.length)
		if errors.Is(err, errNoRecord) {
			break
		}
		if err != nil {
			return err
		}
		end.length, end.lastCRC = end.length+size, crc
	}
	r.sum.link = end
	r.sum.Bytes += end.length
	if next == nil {
		if r.sum.Sealed {
			return nil
		}
		return r.tail(s, seed, end.length)
	}
	if end.length == next.prev.length && end.lastCRC == next.prev.lastCRC {
		return nil
	}
	return r.brokenLink(s, seed, end, next)
}

// brokenLink handles a segment that does not end where its successor says. That
// is corruption, unless the successor was begun after a replay: then the bytes
// may have been in the page cache only, which is harmless while no record follows.
func (r *replay) brokenLink(s *segmentFile, seed uint32, end link, next *segmentHeader) error {
	gap := disk.Corrupt(s.name, end.length, "the segment ends with checksum %08x, its successor says at %d with %08x",
		end.lastCRC, next.prev.length, next.prev.lastCRC)
	if next.flags&flagRecovered == 0 || end.length >= next.prev.length {
		return fmt.Errorf("replay log: %w", gap)
	}
	r.setGap(gap)
	return r.tail(s, seed, end.length)
}

// setGap notes that the log has lost an end that no group may follow.
func (r *replay) setGap(gap error) {
	if r.gap == nil {
		r.gap = gap
	}
}

// record replays the record at off and returns its aligned size. errNoRecord
// says that none verifies there.
func (r *replay) record(s *segmentFile, seed uint32, off int64) (size int64, crc uint32, err error) {
	if r.w.size-off < recordHeaderSize {
		return 0, 0, errNoRecord
	}
	b, err := r.w.at(off, recordHeaderSize)
	if err != nil {
		return 0, 0, fmt.Errorf("replay log: %w", err)
	}
	var h recordHeader
	h.decode(b)
	if !h.fits(off, r.w.size) {
		return 0, 0, errNoRecord
	}
	b, err = r.w.at(off, recordHeaderSize+int(h.length))
	if err != nil {
		return 0, 0, fmt.Errorf("replay log: %w", err)
	}
	if recordCRC(seed, off, b) != h.crc {
		return 0, 0, errNoRecord
	}
	if err := r.deliver(s, off, &h, b[recordHeaderSize:]); err != nil {
		return 0, 0, err
	}
	return align(recordHeaderSize + int64(h.length)), h.crc, nil
}

// deliver checks what a record with a good checksum says and hands it to fn.
func (r *replay) deliver(s *segmentFile, off int64, h *recordHeader, payload []byte) error {
	if !h.known() {
		return fmt.Errorf("replay log: %w: file=%s offset=%d type=%d codec=%d flags=%#x",
			ErrVersion, s.name, off, h.kind, h.codec, h.flags)
	}
	if reason := r.check(s, off, h, payload); reason != "" {
		return fmt.Errorf("replay log: %w", disk.Corrupt(s.name, off, "%s", reason))
	}
	if h.kind == TypeSeal {
		r.sum.Sealed = true
		return nil
	}
	if r.gap != nil {
		return fmt.Errorf("replay log: %w", r.gap)
	}
	payload, reason := unpack(&r.raw, h, payload)
	if reason != "" {
		return fmt.Errorf("replay log: %w", disk.Corrupt(s.name, off, "%s", reason))
	}
	r.rec = Record{Segment: s.no, Offset: off, FirstSeq: h.firstSeq, Ops: h.ops, Type: h.kind, Payload: payload}
	r.sum.Records++
	r.sum.Ops += uint64(h.ops)
	r.sum.LastSeq = h.firstSeq + uint64(h.ops) - 1
	return r.fn(&r.rec)
}

// unpack returns the payload as it was appended, in raw's memory if it was
// compressed, or the reason why it cannot be had.
func unpack(raw *[]byte, h *recordHeader, payload []byte) (unpacked []byte, reason string) {
	if h.codec != codecS2 {
		return payload, ""
	}
	n, err := s2.DecodedLen(payload)
	if err != nil || n == 0 || n > min(MaxPayload, maxExpansion*len(payload)) {
		return nil, fmt.Sprintf("impossible decompressed size %d", n)
	}
	if *raw, err = s2.Decode((*raw)[:cap(*raw)], payload); err != nil {
		return nil, fmt.Sprintf("decompress: %v", err)
	}
	return *raw, ""
}

// check returns what is impossible in a record, "" if nothing is.
func (r *replay) check(s *segmentFile, off int64, h *recordHeader, payload []byte) string {
	return h.impossible(off, payload, r.sum.LastSeq, s.header.firstSeq)
}

// impossible returns what cannot be in a record that follows sequence last in a
// segment that begins with sequence first, "" if all can be.
func (h *recordHeader) impossible(off int64, payload []byte, last, first uint64) string {
	seal := h.kind == TypeSeal
	switch {
	case h.firstSeq <= last || h.firstSeq < first || h.firstSeq > math.MaxUint64-uint64(h.ops):
		return fmt.Sprintf("sequence %d follows %d", h.firstSeq, last)
	case h.syncedTo < 0 || h.syncedTo > off:
		return fmt.Sprintf("a record claims that %d bytes were synced before it", h.syncedTo)
	case seal != (h.ops == 0):
		return fmt.Sprintf("a record of type %d has %d operations", h.kind, h.ops)
	case seal && (len(payload) != sealPayloadSize || binary.LittleEndian.Uint64(payload) != h.firstSeq-1):
		return "a seal does not fit the log"
	}
	return ""
}

// tail decides what the end of a log at off is: corruption, or the summary's
// torn tail.
func (r *replay) tail(s *segmentFile, seed uint32, off int64) error {
	t := tailScan{w: &r.w, seed: seed, bad: off, lastSeq: r.sum.LastSeq}
	witness, err := t.run()
	if err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	if witness >= 0 {
		return fmt.Errorf("replay log: %w", disk.Corrupt(s.name, off,
			"no record here, but that of offset %d was written when this was durable", witness))
	}
	torn := t.nonZero - off
	if s.header.flags&flagRecycled != 0 {
		torn = t.plausible
	}
	if torn > 0 {
		r.sum.TornBytes, r.sum.TornSegment, r.sum.TornOffset = torn, s.no, off
	}
	return nil
}

// lostHeader handles a segment without a header whose successor was begun after
// a replay. Both may have been in the page cache only.
func (r *replay) lostHeader(s *segmentFile) error {
	r.setGap(disk.Corrupt(s.name, 0, "the segment header is damaged and a group follows"))
	if err := r.neverSynced(s); err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	return nil
}

// drop checks a segment at the end that has no header.
func (r *replay) drop(s *segmentFile) (err error) {
	if err := r.w.open(r.fs, s.name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.w.file.Close()) }()
	if err := r.neverSynced(s); err != nil {
		return err
	}
	r.sum.LastSegment = s.no
	r.sum.dropped = append(r.sum.dropped, s.no)
	return nil
}

// neverSynced returns corruption if the open segment s, which has no header,
// holds a record that was written when the header was durable.
func (r *replay) neverSynced(s *segmentFile) error {
	t := tailScan{w: &r.w, seed: segmentSeed(s.no, r.dbID), lastSeq: r.sum.LastSeq}
	witness, err := t.run()
	if err == nil && witness >= 0 {
		err = disk.Corrupt(s.name, 0, "no segment header, but the record at %d was written when it was durable", witness)
	}
	return err
}
