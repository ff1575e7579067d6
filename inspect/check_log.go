package inspect

import (
	"errors"

	"tskv/disk"
	"tskv/kv"
	"tskv/wal"
)

// log replays the log without applying it: the rules are those of recovery.
func (c *checker) log() {
	if c.state == nil {
		c.unlistedLog()
		return
	}
	var dec kv.Decoder
	var segment uint64
	sum, err := wal.Replay(c.fs, wal.Options{DBID: c.state.DBID}, c.state.MinSegment, func(rec *wal.Record) error {
		if rec.Segment != segment {
			segment = rec.Segment
			dec.StartSegment()
		}
		if err := dec.Decode(rec.Payload, rec.Ops, func(*kv.Op) error { return nil }); err != nil {
			if errors.Is(err, kv.ErrBatchVersion) {
				return err
			}
			return disk.Corrupt(disk.SegmentName(rec.Segment), rec.Offset, "%v", err)
		}
		return nil
	})
	r := &c.report
	r.Segments, r.Records, r.Ops, r.LastSeq = sum.Segments, sum.Records, sum.Ops, sum.LastSeq
	r.Sealed, r.Torn = sum.Sealed, sum.TornBytes
	if err != nil {
		c.failure(disk.SegmentDir, err)
		return
	}
	if sum.TornBytes > 0 {
		c.add(SeverityWarning, disk.SegmentName(sum.TornSegment), sum.TornOffset,
			"the log ends in %d bytes of an unfinished write, which is normal after a power cut; the next start drops them", sum.TornBytes)
	}
	if sum.Segments == 0 && c.state.FlushedSeq > 0 {
		c.add(SeverityWarning, disk.SegmentDir, -1,
			"there is no log from segment %d on: normal only after a crash in the middle of a start", c.state.MinSegment)
	}
}

// unlistedLog reads the segments as they are, for want of a manifest that says
// where the log begins.
func (c *checker) unlistedLog() {
	sum, err := Log(c.fs, LogOptions{}, func(s *Segment) error { return nil }, func(r *LogRecord) error { return nil })
	c.report.Segments, c.report.Records, c.report.Ops, c.report.LastSeq = sum.Segments, sum.Records, sum.Ops, sum.LastSeq
	for _, d := range sum.Damage {
		c.add(SeverityError, d.File, d.Offset, "%s", d.What)
	}
	if err != nil {
		c.failure(disk.SegmentDir, err)
	}
}
