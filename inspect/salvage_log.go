package inspect

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"tskv/disk"
	"tskv/kv"
	"tskv/wal"
)

// logRange is what the log holds.
type logRange struct {
	first   uint64 // sequence of the first record; 0 without one
	damaged bool
}

// choose decides, where no manifest says so, up to which sequence the tables hold
// everything. A table whose sequences are all in a sound log is left out: it may
// be one of several files of a flush that a crash has cut short, and the log has
// all of them.
func (s *salvager) choose() error {
	if s.listed {
		return nil
	}
	sum, err := Log(s.from, LogOptions{Beyond: true}, func(*Segment) error { return nil }, func(*LogRecord) error { return nil })
	if err != nil {
		return err
	}
	s.log = logRange{first: sum.FirstSeq, damaged: sum.Damages > 0}
	var kept []*part
	flushed := s.state.FlushedSeq
	for _, p := range s.parts {
		inLog := s.log.first > 0 && !s.log.damaged && p.file.MinSeq >= s.log.first && p.file.MinSeq > s.state.FlushedSeq
		if inLog {
			s.forget(disk.TableName(p.file.ID))
			continue
		}
		kept = append(kept, p)
		flushed = max(flushed, p.file.MaxSeq)
	}
	s.parts, s.state.FlushedSeq = kept, flushed
	return nil
}

// forget takes back what was said of a table that is not needed.
func (s *salvager) forget(name string) {
	s.report.Losses = slices.DeleteFunc(s.report.Losses, func(l Loss) bool { return l.File == name })
	s.regions = slices.DeleteFunc(s.regions, func(r region) bool { return r.file == name })
}

// logWriter writes operations into a new log.
type logWriter struct {
	log   *wal.Log
	enc   kv.Encoder
	refs  map[string]*kv.KeyRef
	bytes int // of the keys in refs
	first uint64
	next  uint64 // sequence after the last operation of the record under construction
	size  int    // of its payload
	ops   uint64
}

const (
	logWriterKeys  = 16 << 20 // bytes of keys that are numbered
	logWriterBytes = 4 << 20  // payload after which a record ends
)

// writeLog brings over all operations that are in no table. The log is read
// beyond damage: what follows a lost group are true effects, only what they refer
// to may be missing.
func (s *salvager) writeLog() (err error) {
	if err := s.to.MkdirAll(disk.SegmentDir); err != nil {
		return err
	}
	opt := wal.Options{DBID: s.state.DBID, Spares: -1}
	log, err := wal.Create(s.to, opt, 1, s.state.FlushedSeq+1, wal.Summary{})
	if err != nil {
		return err
	}
	w := &logWriter{log: log}
	w.startSegment()
	defer func() { err = errors.Join(err, log.Close()) }()
	r := logReader{s: s, w: w}
	sum, err := Log(s.from, LogOptions{Beyond: true, Live: s.listed, Damaged: r.damaged}, r.segment, r.record)
	if err = errors.Join(err, r.err); err != nil {
		return err
	}
	r.endDamage(math.MaxUint64)
	if sum.Torn > 0 {
		s.lose(Loss{
			File: sum.TornFile, Offset: sum.TornOffset, Length: sum.Torn,
			What: "an unfinished write at the end of the log, which was never reported as durable",
		})
	}
	s.report.LogOps = w.ops
	s.state.MinSegment, s.state.Clean = 1, false
	s.state.Generation++
	return nil
}

func (w *logWriter) startSegment() {
	w.enc.StartSegment()
	w.refs, w.bytes = make(map[string]*kv.KeyRef), 0
}

// add appends one operation with its own sequence.
func (w *logWriter) add(seq uint64, op *kv.Op) error {
	if w.first > 0 && (w.size >= logWriterBytes || seq-w.next > math.MaxUint32/2) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.first == 0 {
		if w.log.Full() {
			if err := w.log.Rotate(seq); err != nil {
				return err
			}
			w.startSegment()
		}
		w.enc.Begin(nil)
		w.first, w.next = seq, seq
	}
	if seq > w.next {
		w.enc.Gap(uint32(seq - w.next))
	}
	switch op.Kind {
	case kv.OpPut:
		w.enc.Put(w.ref(op.Key), op.Key, &op.Row)
	case kv.OpDeleteRange:
		w.enc.DeleteRange(&op.Tombstone)
	case kv.OpMeta:
		w.enc.Meta(op.MetaKind, op.Meta)
	}
	w.next = seq + 1
	w.ops++
	w.size = len(w.enc.Bytes())
	return nil
}

func (w *logWriter) ref(key []byte) *kv.KeyRef {
	ref := w.refs[string(key)]
	if ref == nil && w.bytes < logWriterKeys {
		ref = &kv.KeyRef{}
		w.refs[string(key)] = ref
		w.bytes += len(key) + 64
	}
	return ref
}

func (w *logWriter) flush() error {
	if w.first == 0 {
		return nil
	}
	err := w.log.Append(w.first, w.enc.Ops(), w.enc.Bytes())
	w.first, w.size = 0, 0
	return err
}

// logReader hands the operations of the old log to the new one.
type logReader struct {
	s      *salvager
	w      *logWriter
	dec    kv.Decoder
	file   string
	last   uint64 // sequence of the last operation that was read
	damage []Loss // of which it is not known yet where the log goes on
	err    error
}

func (r *logReader) segment(seg *Segment) error {
	r.file = seg.File
	r.dec.StartSegment()
	return nil
}

// damaged notes a place; which sequences are missing tells the next record.
func (r *logReader) damaged(d Damage) {
	if d.File == r.file {
		r.dec.LoseKeys()
	}
	r.damage = append(r.damage, Loss{
		File: d.File, Offset: d.Offset, Length: d.Length, What: d.What, Rows: -1, MinSeq: max(r.last, r.s.state.FlushedSeq) + 1,
	})
}

// endDamage reports the places before a record.
func (r *logReader) endDamage(next uint64) {
	for _, l := range r.damage {
		if l.MaxSeq = next - 1; next == math.MaxUint64 {
			l.MaxSeq = next
		}
		if l.MaxSeq < l.MinSeq { // all of it is in tables, or there was nothing
			l.Rows, l.MinSeq, l.MaxSeq = 0, 0, 0
		}
		r.s.lose(l)
	}
	r.damage = r.damage[:0]
}

func (r *logReader) record(rec *LogRecord) error {
	if rec.Type != wal.TypeGroup {
		return nil
	}
	r.endDamage(rec.FirstSeq)
	lost := Loss{
		File: r.file, Offset: rec.Offset, Length: int64(rec.Stored), MinSeq: rec.FirstSeq, MaxSeq: rec.FirstSeq + uint64(rec.Ops) - 1,
		What: "operations of a sound group on keys that were first written in a damaged one",
	}
	var from, to kv.ID
	var failed error
	err := r.dec.Decode(rec.Payload, rec.Ops, func(op *kv.Op) error {
		seq := rec.FirstSeq + uint64(op.Index)
		switch {
		case seq <= r.s.state.FlushedSeq:
			r.flushed(seq, op)
		case op.Kind == kv.OpUnknownKey:
			if lost.Rows == 0 {
				from, to = op.Row.ID, op.Row.ID
			}
			lost.Rows++
			from, to = minID(from, op.Row.ID), maxID(to, op.Row.ID)
		default:
			failed = r.w.add(seq, op)
		}
		return failed
	})
	r.last = lost.MaxSeq
	if failed == nil {
		failed = r.w.flush()
	}
	switch {
	case failed != nil:
		return failed
	case errors.Is(err, kv.ErrBatchVersion):
		return fmt.Errorf("%w: file=%s offset=%d: %w", ErrVersion, r.file, rec.Offset, err)
	case err != nil:
		r.dec.LoseKeys()
		lost.What, lost.Rows = err.Error(), -1
	}
	if lost.Rows > 0 {
		lost.From, lost.To = from.String(), to.String()
	}
	if lost.Rows != 0 {
		r.s.lose(lost)
	}
	return nil
}

// flushed is called with operations that are in tables. Without the manifest
// their range deletes may be in the log only; they hide nothing but what is older.
func (r *logReader) flushed(seq uint64, op *kv.Op) {
	if r.s.listed || op.Kind != kv.OpDeleteRange {
		return
	}
	t := op.Tombstone
	t.Key, t.Seq = append([]byte(nil), t.Key...), seq
	r.s.state.Tombstones = append(r.s.state.Tombstones, t)
}
