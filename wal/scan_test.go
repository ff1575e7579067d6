package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
)

// scanLog is a segment of 40 groups of different lengths, synced up to the last
// one, and where they stand.
func scanLog(t *testing.T) (content []byte, offsets []int64, payloads [][]byte) {
	t.Helper()
	b := (&segmentHeader{segment: 1, firstSeq: 1, dbID: testDBID}).encode()
	for i := range 40 {
		p := bytes.Repeat([]byte{byte('a' + i%26)}, 1+i*i%900)
		at := int64(len(b))
		r := makeRecord(at, recordHeader{firstSeq: uint64(i)*10 + 1, ops: 10, kind: TypeGroup, syncedTo: at}, p)
		b = append(b, r...)
		b = append(b, make([]byte, align(int64(len(b)))-int64(len(b)))...)
		offsets, payloads = append(offsets, at), append(payloads, p)
	}
	return b, offsets, payloads
}

// scanned is what a scan has found: the payload by first sequence, and the gaps.
type scanned struct {
	groups map[uint64]string
	gaps   [][2]int64
	end    ScanEnd
}

func scan(t *testing.T, what string, content []byte, opt ScanOptions) scanned {
	t.Helper()
	d := disktest.New()
	d.WriteFile("x.wal", content)
	got := scanned{groups: map[uint64]string{}}
	last := uint64(0)
	opt.Segment, opt.DBID = 1, testDBID
	opt.Damage = func(from, to int64, reason string) error {
		if from >= to || reason == "" {
			t.Fatalf("%s: damage from %d to %d %q", what, from, to, reason)
		}
		got.gaps = append(got.gaps, [2]int64{from, to})
		return nil
	}
	var err error
	got.end, err = ScanSegment(d, "x.wal", opt, func(r *RecordInfo) error {
		if r.FirstSeq <= last {
			t.Fatalf("%s: sequence %d after %d", what, r.FirstSeq, last)
		}
		last = r.FirstSeq + uint64(r.Ops) - 1
		got.groups[r.FirstSeq] = string(r.Payload)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	noHandles(t, d)
	return got
}

// TestScanBeyondDamage flips bytes of a segment: without Beyond the scan ends at
// the first damaged record, with it all others are found; each missing record lies
// in a gap that was reported, but at the end, where nothing proves that it was there.
func TestScanBeyondDamage(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	content, offsets, payloads := scanLog(t)
	whole := scan(t, "whole", content, ScanOptions{Beyond: true})
	if len(whole.groups) != len(offsets) || len(whole.gaps) != 0 || whole.end.Torn != 0 || whole.end.Offset != int64(len(content)) {
		t.Fatalf("%d groups, %+v", len(whole.groups), whole.end)
	}
	for range 500 {
		b := bytes.Clone(content)
		bad := map[int]bool{}
		what := ""
		for range 1 + rng.IntN(3) {
			i := rng.IntN(len(offsets))
			at := offsets[i] + rng.Int64N(recordHeaderSize+int64(len(payloads[i])))
			b[at] ^= 1 << rng.IntN(8)
			bad[i] = !bytes.Equal(b[offsets[i]:offsets[i]+recordHeaderSize+int64(len(payloads[i]))], content[offsets[i]:offsets[i]+recordHeaderSize+int64(len(payloads[i]))])
			what += fmt.Sprintf(" %d", at)
		}
		for _, end := range []int64{0, int64(len(content))} {
			got := scan(t, what, b, ScanOptions{Beyond: true, End: end})
			first := len(offsets)
			for i, off := range offsets {
				payload, ok := got.groups[uint64(i)*10+1]
				switch {
				case ok && payload != string(payloads[i]):
					t.Fatalf("%s: group %d is wrong", what, i)
				case ok == bad[i]:
					t.Fatalf("%s: group %d is there: %v", what, i, ok)
				case ok:
					continue
				}
				first = min(first, i)
				reported := end == 0 && off >= got.end.Offset // a torn tail
				for _, g := range got.gaps {
					reported = reported || g[0] <= off && off < g[1]
				}
				if !reported {
					t.Fatalf("%s: group %d is missing, gaps %v, end %+v", what, i, got.gaps, got.end)
				}
			}
			short := scan(t, what, b, ScanOptions{End: end})
			if len(short.groups) != first || len(short.gaps) > 1 {
				t.Fatalf("%s: %d groups before the first damage, want %d", what, len(short.groups), first)
			}
		}
	}
}

// FuzzScan scans hostile segments beyond damage: it ends, and what it gives ascends.
func FuzzScan(f *testing.F) {
	content, _, _ := scanLog(&testing.T{})
	f.Add(content[:400], uint16(0), false)
	f.Add(content[:200], uint16(100), true)
	f.Fuzz(func(t *testing.T, b []byte, end uint16, repair bool) {
		if repair {
			b = repaired(1, b)
		}
		d := disktest.New()
		d.WriteFile(disk.SegmentName(1), b)
		if _, err := ReadSegmentInfo(d, disk.SegmentName(1)); err != nil && !errors.Is(err, disk.ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		last := uint64(0)
		_, err := ScanSegment(d, disk.SegmentName(1), ScanOptions{Segment: 1, DBID: testDBID, End: int64(end), Beyond: true}, func(r *RecordInfo) error {
			if r.FirstSeq <= last {
				t.Errorf("sequence %d after %d", r.FirstSeq, last)
			}
			if r.Type == TypeGroup {
				last = r.FirstSeq + uint64(r.Ops) - 1
			}
			return nil
		})
		if err != nil && !errors.Is(err, disk.ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		noHandles(t, d)
	})
}
