package inspect

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"tskv/disk"
	"tskv/manifest"
	"tskv/wal"
)

// Segment is one segment of the log, as far as its header could be read.
type Segment struct {
	wal.SegmentInfo
	File   string
	Size   int64 // bytes of the file
	Header bool  // the header verifies
	Live   bool  // recovery will replay it
	more   bool  // a later one has a header, so this one had
}

// LogRecord is a record of the log; its payload is valid during the call.
type LogRecord = wal.RecordInfo

// Damage is a place where something is missing.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"` // bytes; -1 if not known
	What   string `json:"what"`
}

// LogOptions say what Log reads.
type LogOptions struct {
	// Beyond goes on behind damage. Records there are true, but what is missing
	// before them stays missing: see kv.Decoder.LoseKeys.
	Beyond bool
	// Live leaves out segments that recovery would not read.
	Live bool
	// File is the only segment to read, by its name in the file system.
	File string
	// Damaged is called, if not nil, at each place of damage, before the records
	// behind it.
	Damaged func(Damage)
}

// LogSummary is what Log has read.
type LogSummary struct {
	Segments     int
	Records, Ops uint64 // seals not counted
	FirstSeq     uint64 // of the first record; 0 without one
	LastSeq      uint64
	Sealed       bool
	Torn         int64  // bytes of an unfinished write at the end
	TornFile     string // where that is
	TornOffset   int64
	Damage       []Damage // the first 1,000
	Damages      uint64   // all of them
}

const maxDamage = 1000

// logWalk is one walk over the log.
type logWalk struct {
	fs      disk.FS
	opt     LogOptions
	dbID    uint64
	known   bool // dbID is that of the manifest or of a header
	sum     LogSummary
	record  func(*LogRecord) error
	stopped bool
}

// Log reads the log of a store, or one segment file: it calls segment for each
// segment and record for each record that verifies, in order. Without Beyond it
// ends at the first damage. Errors: ErrVersion, those of the functions, or what
// the disk says.
func Log(fsys disk.FS, opt LogOptions, segment func(*Segment) error, record func(*LogRecord) error) (LogSummary, error) {
	w := &logWalk{fs: fsys, opt: opt, record: record}
	segments, err := w.find()
	if err != nil {
		return w.sum, err
	}
	for i := 0; i < len(segments) && !w.stopped; i++ {
		s := &segments[i]
		if err := segment(s); err != nil {
			return w.sum, err
		}
		var next *Segment
		if i+1 < len(segments) && segments[i+1].Header {
			next = &segments[i+1]
		}
		if err := w.segment(s, next); err != nil {
			return w.sum, err
		}
	}
	return w.sum, nil
}

// find lists the segments and reads their headers.
func (w *logWalk) find() ([]Segment, error) {
	if w.opt.File != "" {
		s, err := w.header(w.opt.File)
		s.Live = true
		return []Segment{s}, err
	}
	from := uint64(0)
	if state, err := manifest.Load(w.fs); err == nil {
		from, w.dbID, w.known = state.MinSegment, state.DBID, true
	}
	f, err := list(w.fs, func(string, disk.NameKind) {})
	if err != nil {
		return nil, err
	}
	var out []Segment
	for _, no := range slices.Sorted(maps.Keys(f.segments)) {
		if w.opt.Live && no < from {
			continue
		}
		s, err := w.header(disk.SegmentName(no))
		if err != nil {
			return nil, err
		}
		s.Segment, s.Live = no, no >= from
		out = append(out, s)
	}
	for i := len(out) - 2; i >= 0; i-- {
		out[i].more = out[i+1].Header || out[i+1].more
	}
	if len(out) > 0 && from > 0 && out[0].Live && out[0].PrevSegment >= from {
		w.damage(Damage{disk.SegmentName(out[0].PrevSegment), 0, -1, "the segment is missing, " + out[0].File + " follows it"})
	}
	return out, nil
}

func (w *logWalk) header(name string) (Segment, error) {
	s := Segment{File: name}
	var err error
	if s.Size, err = w.fs.Stat(name); err != nil {
		return s, fmt.Errorf("read segment: %w", err)
	}
	s.SegmentInfo, err = wal.ReadSegmentInfo(w.fs, name)
	switch {
	case errors.Is(err, wal.ErrVersion):
		return s, fmt.Errorf("%w: %w", ErrVersion, err)
	case errors.Is(err, disk.ErrCorrupt):
		return s, nil
	case err != nil:
		return s, err
	}
	if !w.known {
		w.dbID, w.known = s.DBID, true
	}
	s.Header = s.DBID == w.dbID
	return s, nil
}

func (w *logWalk) damage(d Damage) {
	if w.sum.Damages++; len(w.sum.Damage) < maxDamage {
		w.sum.Damage = append(w.sum.Damage, d)
	}
	if w.opt.Damaged != nil {
		w.opt.Damaged(d)
	}
	w.stopped = !w.opt.Beyond
}

// segment reads one segment; next is the following one, if it has a header.
func (w *logWalk) segment(s, next *Segment) error {
	w.sum.Segments++
	opt := wal.ScanOptions{
		Segment: s.Segment, DBID: w.dbID, LastSeq: w.sum.LastSeq, Beyond: w.opt.Beyond, Recycled: s.Recycled,
		Damage: func(from, to int64, reason string) error {
			w.damage(Damage{s.File, from, to - from, reason})
			return nil
		},
	}
	switch {
	case s.Header:
		opt.FirstSeq = s.FirstSeq
	case !w.known:
		w.damage(Damage{s.File, 0, min(s.Size, 64), "no segment header, so no record can be verified"})
		return nil
	}
	records := w.sum.Records
	if next != nil {
		switch {
		case next.PrevSegment == s.Segment:
			opt.End = next.PrevLength
		case next.PrevSegment > s.Segment:
			w.damage(Damage{disk.SegmentName(next.PrevSegment), 0, -1, "the segment is missing, " + next.File + " follows it"})
		}
	}
	end, err := wal.ScanSegment(w.fs, s.File, opt, func(r *LogRecord) error {
		if w.sum.FirstSeq == 0 {
			w.sum.FirstSeq = r.FirstSeq
		}
		if r.Type == wal.TypeGroup {
			w.sum.Records++
			w.sum.Ops += uint64(r.Ops)
		}
		return w.record(r)
	})
	w.sum.LastSeq, w.sum.Sealed = end.LastSeq, end.Sealed
	w.sum.Torn, w.sum.TornFile, w.sum.TornOffset = end.Torn, s.File, end.Offset
	switch {
	case isVersion(err):
		return fmt.Errorf("%w: %w", ErrVersion, err)
	case err == nil && !s.Header && (w.sum.Records > records || next != nil || s.more):
		w.damage(Damage{s.File, 0, min(s.Size, 64), "no segment header"})
	}
	return err
}
