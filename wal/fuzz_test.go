package wal

import (
	"bytes"
	"errors"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// FuzzReplay gives Replay two hostile segments. With repair the checksums are
// made good first, so that the checks behind them are reached.
func FuzzReplay(f *testing.F) {
	for _, no := range []string{"1", "2", "3", "4"} {
		t := &testing.T{}
		f.Add(readDump(t, "testdata/v1-segment-"+no+".hex"), []byte{}, false)
	}
	head := func(no uint64, prev link, flags uint32) []byte {
		return (&segmentHeader{segment: no, firstSeq: 1, dbID: testDBID, prev: prev, flags: flags}).encode()
	}
	record := makeRecord(segmentHeaderSize, recordHeader{firstSeq: 1, ops: 2, kind: TypeGroup}, []byte("payload"))
	f.Add(append(head(1, link{}, 0), record...), head(2, link{1, 104, 0}, flagRecovered), true)
	f.Add(append(head(1, link{}, flagRecycled), record...), append(head(2, link{1, 64, 0}, 0), record...), true)
	f.Fuzz(func(t *testing.T, first, second []byte, repair bool) {
		d := disktest.New()
		for i, b := range [][]byte{first, second} {
			if len(b) == 0 {
				continue
			}
			no := uint64(i + 1)
			if repair {
				b = repaired(no, b)
			}
			d.WriteFile(disk.SegmentName(no), b)
		}
		last := uint64(0)
		_, sum, err := func() ([]group, Summary, error) {
			sum, err := Replay(d, testOptions, 1, func(r *Record) error {
				if r.FirstSeq <= last || r.Ops == 0 || len(r.Payload) == 0 {
					t.Errorf("impossible record %+v", r)
				}
				last = r.FirstSeq + uint64(r.Ops) - 1
				return nil
			})
			return nil, sum, err
		}()
		noHandles(t, d)
		if err != nil {
			if !errors.Is(err, disk.ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if sum.LastSeq != last || sum.LastSeq == maxSeq {
			t.Fatalf("%+v after sequence %d", sum, last)
		}
		log, err := Create(d, testOptions, sum.LastSegment+1, last+1, sum)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Replay(d, testOptions, 1, func(*Record) error { return nil })
		if err != nil || again.Records != sum.Records || again.LastSeq != sum.LastSeq {
			t.Fatalf("replayed again: %+v, before %+v: %v", again, sum, err)
		}
	})
}

const maxSeq = 1<<64 - 1

// repaired makes the checksums of a segment good, as far as its lengths lead.
func repaired(no uint64, b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < segmentHeaderSize {
		return b
	}
	putCRC(b[60:], disk.CRC(0, b[:60]))
	seed := segmentSeed(no, testDBID)
	for off := int64(segmentHeaderSize); off+recordHeaderSize <= int64(len(b)); {
		var h recordHeader
		h.decode(b[off:])
		if !h.fits(off, int64(len(b))) {
			break
		}
		end := off + recordHeaderSize + int64(h.length)
		putCRC(b[off:], recordCRC(seed, off, b[off:end]))
		off = align(end)
	}
	return b
}
