package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// sweep is goal G5: a log of 64 KiB, damaged in every way, against what the
// format says must come out.
type sweep struct {
	t      *testing.T
	disk   *disktest.Disk
	groups []group
	files  map[uint64][]byte // intact
	last   uint64
}

// newSweep builds a log of four segments. The last one was recycled, holds
// records that were synced and some that were not, and behind them stale bytes.
func newSweep(t *testing.T, seed uint64) *sweep {
	t.Logf("seed %d", seed)
	d := disktest.New()
	w := newWriter(t, d, Options{SegmentBytes: 16 << 10, DBID: testDBID, Spares: 1}, seed)
	fill := func(until int64) {
		for w.log.Size() < until {
			w.append(8 + w.rng.IntN(1000))
			if w.rng.IntN(4) == 0 {
				w.must(w.log.Sync())
			}
		}
	}
	for range 2 {
		fill(16 << 10)
		w.must(w.log.Rotate(w.seq))
	}
	w.must(w.log.Release(2))
	fill(12 << 10)
	w.must(w.log.Rotate(w.seq)) // into the recycled file
	fill(10 << 10)
	w.must(w.log.Sync())
	w.append(500)
	w.append(900)
	w.append(700)
	s := &sweep{t: t, disk: d, files: map[uint64][]byte{}, last: w.log.Segment()}
	for _, g := range w.groups {
		if g.segment >= 2 {
			s.groups = append(s.groups, g)
		}
	}
	for no := uint64(2); no <= s.last; no++ {
		b, err := d.ReadFile(disk.SegmentName(no))
		w.must(err)
		s.files[no] = b
	}
	if binary.LittleEndian.Uint32(s.files[s.last][44:])&flagRecycled == 0 {
		t.Fatal("the last segment is not a recycled one")
	}
	return s
}

// want is the oracle: what must come out when segment no reads as b. The groups
// that are intact in place count, moved ones do not.
func (s *sweep) want(no uint64, b []byte) (groups int, corrupt bool, offset int64) {
	intact := s.files[no]
	same := func(from, to int64) bool {
		return int64(len(b)) >= to && bytes.Equal(b[from:to], intact[from:to])
	}
	bad := int64(-1)
	if !same(0, segmentHeaderSize) {
		bad = 0
	}
	for i, g := range s.groups {
		if g.segment < no {
			groups = i + 1
		}
		if g.segment != no {
			continue
		}
		ok := same(g.offset, g.offset+recordHeaderSize+int64(len(g.payload)))
		if bad < 0 && ok {
			groups = i + 1
		}
		if bad < 0 && !ok {
			bad = g.offset
		}
		if bad >= 0 && ok && int64(binary.LittleEndian.Uint64(intact[g.offset+24:])) > bad {
			return groups, true, bad
		}
	}
	if no != s.last {
		if bad >= 0 {
			return groups, true, bad
		}
		groups = len(s.groups)
	}
	return groups, false, 0
}

// check replays the log with segment no reading as b. Callers restore.
func (s *sweep) check(no uint64, b []byte, what func() string) {
	s.t.Helper()
	groups, corrupt, offset := s.want(no, b)
	s.disk.WriteFile(disk.SegmentName(no), b)
	got, _, err := replayAll(s.disk, 2)
	for i := range got {
		if i >= len(s.groups) || !got[i].equal(s.groups[i]) {
			s.t.Fatalf("%s: wrong group %d: %v", what(), i, got[i])
		}
	}
	if corrupt {
		var c *disk.CorruptError
		if !errors.As(err, &c) || c.File != disk.SegmentName(no) || c.Offset != offset {
			s.t.Fatalf("%s: %v, want corruption of segment %d at %d", what(), err, no, offset)
		}
		return
	}
	if err != nil || len(got) != groups {
		s.t.Fatalf("%s: %d groups, want %d: %v", what(), len(got), groups, err)
	}
}

func (s *sweep) each(fn func(no uint64, intact []byte)) {
	for no := uint64(2); no <= s.last; no++ {
		fn(no, s.files[no])
		s.disk.WriteFile(disk.SegmentName(no), s.files[no])
	}
	s.check(s.last, s.files[s.last], func() string { return "restored" })
}

func stride() int {
	if testing.Short() {
		return 13
	}
	return 1
}

func TestSweepTruncations(t *testing.T) {
	s := newSweep(t, 31)
	s.each(func(no uint64, intact []byte) {
		for n := 0; n < len(intact); n += stride() {
			s.check(no, intact[:n], func() string { return fmt.Sprintf("segment %d cut to %d", no, n) })
		}
	})
}

func TestSweepFlips(t *testing.T) {
	s := newSweep(t, 32)
	rng := rand.New(rand.NewPCG(32, 0))
	s.each(func(no uint64, intact []byte) {
		b := bytes.Clone(intact)
		for i := 0; i < len(b); i += stride() {
			b[i] ^= 1 << rng.IntN(8)
			s.check(no, b, func() string { return fmt.Sprintf("segment %d byte %d: %02x", no, i, b[i]) })
			b[i] = intact[i]
		}
	})
}

func TestSweepSectors(t *testing.T) {
	const sector = 512
	s := newSweep(t, 33)
	rng := rand.New(rand.NewPCG(33, 0))
	s.each(func(no uint64, intact []byte) {
		sectors := len(intact) / sector
		for i := range sectors {
			b := bytes.Clone(intact)
			clear(b[i*sector : (i+1)*sector])
			s.check(no, b, func() string { return fmt.Sprintf("segment %d sector %d zeroed", no, i) })
			for _, j := range []int{(i + 1) % sectors, rng.IntN(sectors)} {
				b := bytes.Clone(intact)
				copy(b[i*sector:], intact[j*sector:(j+1)*sector])
				copy(b[j*sector:(j+1)*sector], intact[i*sector:])
				s.check(no, b, func() string { return fmt.Sprintf("segment %d sectors %d and %d swapped", no, i, j) })
			}
			for other, content := range s.files {
				b := bytes.Clone(intact)
				if (i+1)*sector <= len(content) {
					copy(b[i*sector:(i+1)*sector], content[i*sector:])
				}
				s.check(no, b, func() string { return fmt.Sprintf("segment %d sector %d from segment %d", no, i, other) })
			}
		}
	})
}

// TestSweepSplices puts whole records of other places and segments where a
// record begins: none of them may be taken for one.
func TestSweepSplices(t *testing.T) {
	s := newSweep(t, 34)
	s.each(func(no uint64, intact []byte) {
		for _, at := range s.groups {
			if at.segment != no {
				continue
			}
			for _, g := range s.groups {
				record := s.files[g.segment][g.offset:][:recordHeaderSize+len(g.payload)]
				b := bytes.Clone(intact)
				copy(b[at.offset:], record)
				s.check(no, b, func() string { return fmt.Sprintf("%v put to %v", g, at) })
			}
		}
	})
}
