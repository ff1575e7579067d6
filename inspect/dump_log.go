package inspect

import (
	"errors"
	"fmt"

	"tskv/disk"
	"tskv/kv"
	"tskv/wal"
)

// SegmentView is the header of a segment.
type SegmentView struct {
	Type      string `json:"type"` // segment
	File      string `json:"file"`
	Segment   uint64 `json:"segment"`
	Bytes     int64  `json:"bytes"`
	Header    bool   `json:"header"` // it verifies; else the rest is not known
	FirstSeq  uint64 `json:"first_seq"`
	Prev      uint64 `json:"prev_segment"`
	PrevBytes int64  `json:"prev_length"`
	Recycled  bool   `json:"recycled"`
	Recovered bool   `json:"recovered"`
	DBID      string `json:"db_id"`
	Live      bool   `json:"live"` // a start replays it
}

// String is one line.
func (s *SegmentView) String() string {
	if !s.Header {
		return fmt.Sprintf("segment %s: no header, %d bytes", s.File, s.Bytes)
	}
	flags := ""
	for _, f := range []struct {
		on   bool
		text string
	}{{s.Recycled, ", recycled"}, {s.Recovered, ", recovered"}, {!s.Live, ", no longer needed"}} {
		if f.on {
			flags += f.text
		}
	}
	return fmt.Sprintf("segment %s: number %d from sequence %d on, after %d which ends at %d, db %s%s",
		s.File, s.Segment, s.FirstSeq, s.Prev, s.PrevBytes, s.DBID, flags)
}

// RecordView is a record of the log.
type RecordView struct {
	Type     string `json:"type"` // record
	Offset   int64  `json:"offset"`
	Kind     string `json:"kind"` // group or seal
	FirstSeq uint64 `json:"first_seq"`
	Ops      uint32 `json:"ops"`
	Codec    string `json:"codec"`
	Stored   int    `json:"stored_bytes"`
	Payload  int    `json:"payload_bytes"`
	SyncedTo int64  `json:"synced_to"`
}

// String is one line.
func (r *RecordView) String() string {
	return fmt.Sprintf("  %10d  %-5s  seq %d  %d ops  %s  %d of %d bytes  synced to %d",
		r.Offset, r.Kind, r.FirstSeq, r.Ops, r.Codec, r.Stored, r.Payload, r.SyncedTo)
}

// OpView is an operation of a group.
type OpView struct {
	Type string `json:"type"` // op
	Seq  uint64 `json:"seq"`
	Op   string `json:"op"` // put, delete, delete-range, delete-prefix, meta; or key-lost for a put whose key was in a damaged record
	KeyView
	ID string `json:"id,omitempty"`
	To string `json:"to,omitempty"` // of ranges
	*ValueView
}

// String is one line.
func (o *OpView) String() string {
	s := fmt.Sprintf("              %d %s", o.Seq, o.Op)
	if o.KeyView != (KeyView{}) || o.ID != "" {
		s += " " + o.KeyView.String()
	}
	if o.ID != "" {
		s += " " + o.ID
	}
	if o.To != "" {
		s += " to " + o.To
	}
	if o.ValueView != nil && o.Form != "delete" {
		s += " " + o.ValueView.String()
	}
	return s
}

// LogEndView sums a log up.
type LogEndView struct {
	Type     string `json:"type"` // end
	Segments int    `json:"segments"`
	Records  uint64 `json:"records"`
	Ops      uint64 `json:"operations"`
	LastSeq  uint64 `json:"last_seq"`
	Sealed   bool   `json:"sealed"`
	Torn     int64  `json:"torn_bytes"`
	TornAt   int64  `json:"torn_offset,omitempty"`
	Damages  uint64 `json:"damages"`
}

// String is one line.
func (e *LogEndView) String() string {
	how := "open end"
	switch {
	case e.Damages > 0:
		how = fmt.Sprintf("%d damaged places", e.Damages)
	case e.Sealed:
		how = "closed in order"
	case e.Torn > 0:
		how = fmt.Sprintf("%d bytes of an unfinished write at %d", e.Torn, e.TornAt)
	}
	return fmt.Sprintf("end: %d segments, %d records, %d operations up to sequence %d; %s", e.Segments, e.Records, e.Ops, e.LastSeq, how)
}

// DumpLogOptions say what DumpLog shows.
type DumpLogOptions struct {
	File   string // the only segment to read; else the log of the store in the file system
	Ops    bool   // every operation
	Beyond bool   // go on behind damage
}

// DumpLog emits the log as far as it verifies. It reports whether it met damage.
func DumpLog(fsys disk.FS, opt DumpLogOptions, emit Emit) (damaged bool, err error) {
	d := logDump{emit: emit, ops: opt.Ops}
	sum, err := Log(fsys, LogOptions{File: opt.File, Beyond: opt.Beyond, Damaged: d.damaged}, d.segment, d.record)
	err = errors.Join(err, d.err)
	tornAt := int64(0)
	if sum.Torn > 0 {
		tornAt = sum.TornOffset
	}
	if err == nil {
		err = emit(&LogEndView{
			Type: "end", Segments: sum.Segments, Records: sum.Records, Ops: sum.Ops, LastSeq: sum.LastSeq,
			Sealed: sum.Sealed, Torn: sum.Torn, TornAt: tornAt, Damages: sum.Damages + d.malformed,
		})
	}
	return sum.Damages+d.malformed > 0, err
}

type logDump struct {
	emit      Emit
	ops       bool
	file      string
	dec       kv.Decoder
	malformed uint64 // records that verify but do not decode
	err       error
}

func (d *logDump) segment(s *Segment) error {
	d.file = s.File
	d.dec.StartSegment()
	return d.emit(&SegmentView{
		Type: "segment", File: s.File, Segment: s.Segment, Bytes: s.Size, Header: s.Header, FirstSeq: s.FirstSeq,
		Prev: s.PrevSegment, PrevBytes: s.PrevLength, Recycled: s.Recycled, Recovered: s.Recovered,
		DBID: fmt.Sprintf("%016x", s.DBID), Live: s.Live,
	})
}

func (d *logDump) damaged(damage Damage) {
	if damage.File == d.file {
		d.dec.LoseKeys()
	}
	d.err = errors.Join(d.err, d.emit(viewDamage(damage)))
}

func (d *logDump) record(r *LogRecord) error {
	view := &RecordView{
		Type: "record", Offset: r.Offset, Kind: "group", FirstSeq: r.FirstSeq, Ops: r.Ops,
		Codec: r.Codec, Stored: r.Stored, Payload: len(r.Payload), SyncedTo: r.SyncedTo,
	}
	if r.Type == wal.TypeSeal {
		view.Kind = "seal"
	}
	if err := d.emit(view); err != nil || r.Type != wal.TypeGroup {
		return err
	}
	var failed error
	err := d.dec.Decode(r.Payload, r.Ops, func(op *kv.Op) error {
		if d.ops {
			failed = d.emit(viewOp(r.FirstSeq+uint64(op.Index), op))
		}
		return failed
	})
	switch {
	case failed != nil || err == nil:
		return failed
	case errors.Is(err, kv.ErrBatchVersion):
		return fmt.Errorf("%w: file=%s offset=%d: %w", ErrVersion, d.file, r.Offset, err)
	}
	d.malformed++
	d.dec.LoseKeys()
	return d.emit(viewDamage(Damage{d.file, r.Offset, int64(r.Stored), err.Error()}))
}

func viewOp(seq uint64, op *kv.Op) *OpView {
	v := &OpView{Type: "op", Seq: seq, Op: "put", KeyView: viewKey(op.Key)}
	switch op.Kind {
	case kv.OpMeta:
		v.Op, v.KeyView = fmt.Sprintf("meta %d", op.MetaKind), KeyView{}
		v.ValueView = &ValueView{Form: "raw", Value: text(op.Meta[:min(len(op.Meta), maxQuoted)]), Bytes: len(op.Meta)}
		return v
	case kv.OpDeleteRange:
		v.Op = "delete-range"
		if op.Tombstone.Prefix {
			v.Op = "delete-prefix"
		}
		v.KeyView, v.ID, v.To = viewKey(op.Tombstone.Key), op.Tombstone.From.String(), op.Tombstone.To.String()
		return v
	case kv.OpUnknownKey:
		v.Op = "key-lost"
	}
	value := viewValue(&op.Row)
	v.ID, v.ValueView = op.Row.ID.String(), &value
	if op.Kind == kv.OpPut && op.Row.Form == kv.FormDelete {
		v.Op = "delete"
	}
	return v
}
