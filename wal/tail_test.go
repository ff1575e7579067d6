package wal

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
)

// makeRecord lays out a record for an offset of segment 1.
func makeRecord(off int64, h recordHeader, payload []byte) []byte {
	var l Log
	b, _ := l.encode(segmentSeed(1, testDBID), off, &h, payload)
	return bytes.Clone(b)
}

// byteTail is what lies behind a log, and what Replay makes of it.
type byteTail struct {
	name    string
	tail    func(end int64) []byte
	records int
	torn    int64
	corrupt bool
}

func nextGroup(off, syncedTo int64, seq uint64) []byte {
	return makeRecord(off, recordHeader{firstSeq: seq, ops: 1, kind: TypeGroup, syncedTo: syncedTo}, []byte("the next group"))
}

func byteTails() []byteTail {
	next := nextGroup
	cut := func(b []byte, n int) []byte { return b[:n] }
	flip := func(b []byte, i int) []byte { b[i] ^= 1; return b }
	return []byteTail{
		{"nothing", func(int64) []byte { return nil }, 3, 0, false},
		{"zeros", func(int64) []byte { return make([]byte, 3000) }, 3, 0, false},
		{"a few zeros", func(int64) []byte { return make([]byte, 5) }, 3, 0, false},
		{"one byte", func(int64) []byte { return []byte{7} }, 3, 1, false},
		{"one byte in zeros", func(int64) []byte { return append(make([]byte, 100), 1, 0, 0) }, 3, 101, false},
		{"half a header", func(end int64) []byte { return cut(next(end, 0, 900), 16) }, 3, 10, false},
		{"header only", func(end int64) []byte { return cut(next(end, 0, 900), 32) }, 3, 21, false},
		{"half a payload", func(end int64) []byte { return cut(next(end, 0, 900), 40) }, 3, 40, false},
		{"no pad", func(end int64) []byte { return cut(next(end, 0, 900), 46) }, 4, 0, false},
		{"whole", func(end int64) []byte { return next(end, 0, 900) }, 4, 0, false},
		{"wrong payload", func(end int64) []byte { return flip(next(end, 0, 900), 33) }, 3, 46, false},
		{"wrong pad", func(end int64) []byte { return flip(next(end, 0, 900), 47) }, 4, 0, false},
		{"record of another place", func(end int64) []byte { return next(end+8, 0, 900) }, 3, 46, false},
		{"huge length", func(end int64) []byte {
			b := next(end, 0, 900)
			binary.LittleEndian.PutUint32(b[4:], 0xFFFFFFFF)
			return b
		}, 3, 46, false},
		{"hole, then a record without a claim", func(end int64) []byte {
			return append(make([]byte, 48), next(end+48, end, 900)...)
		}, 3, 94, false},
		{"hole, then a record that knows better", func(end int64) []byte {
			return append(make([]byte, 48), next(end+48, end+48, 900)...)
		}, 3, 0, true},
		{"the same far behind", func(end int64) []byte {
			return append(make([]byte, 3<<20), next(end+3<<20, end+3<<20, 900)...)
		}, 3, 0, true},
		{"the same across a read", func(end int64) []byte {
			n := windowBytes - 16
			return append(make([]byte, n), next(end+int64(n), end+int64(n), 900)...)
		}, 3, 0, true},
		{"a witness cut short", func(end int64) []byte {
			return append(make([]byte, 48), cut(next(end+48, end+48, 900), 40)...)
		}, 3, 88, false},
		{"an older sequence is no witness", func(end int64) []byte {
			return append(make([]byte, 48), next(end+48, end+48, 1)...)
		}, 3, 94, false},
		{"a good record of the past", func(end int64) []byte { return next(end, 0, 1) }, 3, 0, true},
		{"a claim about the future", func(end int64) []byte { return next(end, end+8, 900) }, 3, 0, true},
		{"overflowing sequence", func(end int64) []byte { return next(end, 0, 1<<64-1) }, 3, 0, true},
		{"no operations", func(end int64) []byte {
			return makeRecord(end, recordHeader{firstSeq: 900, kind: TypeGroup}, []byte("x"))
		}, 3, 0, true},
		{"a wrong seal", func(end int64) []byte {
			return makeRecord(end, recordHeader{firstSeq: 900, kind: TypeSeal}, []byte("12345678"))
		}, 3, 0, true},
	}
}

// TestByteTails puts bytes behind a log of three groups, the last of which was
// not synced, and looks at what Replay makes of them.
func TestByteTails(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 20)
	w.append(100)
	w.append(200)
	w.must(w.log.Sync())
	w.append(300)
	name, end := disk.SegmentName(1), w.log.Size()
	base, err := d.ReadFile(name)
	w.must(err)
	for _, c := range byteTails() {
		t.Run(c.name, func(t *testing.T) {
			d := disktest.New()
			d.WriteFile(name, append(bytes.Clone(base), c.tail(end)...))
			groups, sum, err := replayAll(d, 1)
			samePrefix(t, groups[:min(3, len(groups))], w.groups)
			if c.corrupt {
				wantCorrupt(t, err, name, end)
				return
			}
			if err != nil || len(groups) != c.records || sum.TornBytes != c.torn {
				t.Fatalf("%d records, %d torn bytes, want %d and %d: %v", len(groups), sum.TornBytes, c.records, c.torn, err)
			}
			if c.torn > 0 && (sum.TornSegment != 1 || sum.TornOffset != end) {
				t.Errorf("%+v", sum)
			}
			noHandles(t, d)
		})
	}
}

func TestDecompressionBounds(t *testing.T) {
	seal := func(body []byte) []byte {
		h := recordHeader{length: uint32(len(body)), firstSeq: 1, ops: 1, kind: TypeGroup, codec: codecS2}
		b := append(make([]byte, recordHeaderSize), body...)
		h.encode(b)
		putCRC(b, recordCRC(segmentSeed(1, testDBID), segmentHeaderSize, b))
		return append((&segmentHeader{segment: 1, firstSeq: 1, dbID: testDBID}).encode(), b...)
	}
	const size = "impossible decompressed size"
	for name, c := range map[string]struct {
		body   []byte
		reason string
	}{
		"over the limit":  {append(binary.AppendUvarint(nil, MaxPayload+1), 0), size},
		"expands too far": {append(binary.AppendUvarint(nil, 3*maxExpansion+1), 0), size},
		"empty":           {[]byte{0}, size},
		"no length":       {[]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, size},
		"garbage":         {[]byte{100, 0xFF, 0xFF, 0xFF}, "decompress"},
	} {
		d := disktest.New()
		d.WriteFile(disk.SegmentName(1), seal(c.body))
		_, _, err := replayAll(d, 1)
		wantCorrupt(t, err, disk.SegmentName(1), segmentHeaderSize)
		if !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// chainDamage is something done to the log of TestChain.
type chainDamage struct {
	name   string
	damage func(d *disktest.Disk, w *writer)
	want   int // groups, -1 for corruption
	file   uint64
	offset int64
}

func chainDamages() []chainDamage {
	name := disk.SegmentName
	return []chainDamage{
		{"intact", func(*disktest.Disk, *writer) {}, 12, 0, 0},
		{"middle missing", func(d *disktest.Disk, w *writer) { w.must(d.Remove(name(2))) }, -1, 2, 0},
		{"two missing", func(d *disktest.Disk, w *writer) { w.must(d.Remove(name(2))); w.must(d.Remove(name(3))) }, -1, 3, 0},
		{"first missing", func(d *disktest.Disk, w *writer) { w.must(d.Remove(name(1))) }, -1, 1, 0},
		{"last missing", func(d *disktest.Disk, w *writer) { w.must(d.Remove(name(4))) }, 9, 0, 0},
		{"middle cut", func(d *disktest.Disk, w *writer) {
			d.Corrupt(name(2), func(b []byte) []byte { return b[:w.groups[5].offset] })
		}, -1, 2, 64 + 2*136},
		{"middle longer", func(d *disktest.Disk, w *writer) {
			d.Corrupt(name(2), func(b []byte) []byte { return append(b, 1, 2, 3) })
		}, 12, 0, 0},
		{"middle without header", func(d *disktest.Disk, w *writer) {
			d.Corrupt(name(2), func(b []byte) []byte { clear(b[:64]); return b })
		}, -1, 2, 0},
		{"last without header, nothing claimed", func(d *disktest.Disk, w *writer) {
			d.Corrupt(name(4), func(b []byte) []byte { clear(b[:64]); return b })
		}, 9, 0, 0},
		{"last empty", func(d *disktest.Disk, w *writer) { d.WriteFile(name(4), nil) }, 9, 0, 0},
		{"last without header, synced", func(d *disktest.Disk, w *writer) {
			w.must(w.log.Sync())
			w.append(100)
			d.Corrupt(name(4), func(b []byte) []byte { clear(b[:64]); return b })
		}, -1, 4, 0},
		{"segment swapped in", func(d *disktest.Disk, w *writer) {
			b, err := d.ReadFile(name(3))
			w.must(err)
			d.WriteFile(name(2), b)
		}, -1, 2, 0},
		{"another last group in the middle", func(d *disktest.Disk, w *writer) {
			d.Corrupt(name(2), func(b []byte) []byte {
				g := w.groups[5]
				w.groups[5].payload[0] ^= 1
				h := recordHeader{firstSeq: g.firstSeq, ops: g.ops, kind: TypeGroup}
				r, _ := w.log.encode(segmentSeed(2, testDBID), g.offset, &h, w.groups[5].payload)
				copy(b[g.offset:], r)
				return b
			})
		}, -1, 2, 64 + 3*136},
		{"impossible size", func(d *disktest.Disk, w *writer) {
			f, err := d.OpenWrite(name(4))
			w.must(err)
			w.must(f.Truncate(maxFileBytes + 1))
			w.must(f.Close())
		}, -1, 4, 0},
		{"other files", func(d *disktest.Disk, w *writer) {
			d.WriteFile("wal/readme", []byte("x"))
			d.WriteFile("wal/spare-1.tmp", []byte("x"))
		}, 12, 0, 0},
	}
}

// TestChain damages a log of four segments, each with three groups.
func TestChain(t *testing.T) {
	build := func(t *testing.T) (*disktest.Disk, *writer) {
		d := disktest.New()
		w := newWriter(t, d, testOptions, 21)
		for i := range 4 {
			if i > 0 {
				w.must(w.log.Rotate(w.seq))
			}
			for range 3 {
				w.append(100)
			}
		}
		return d, w
	}
	for _, c := range chainDamages() {
		t.Run(c.name, func(t *testing.T) {
			d, w := build(t)
			c.damage(d, w)
			groups, _, err := replayAll(d, 1)
			samePrefix(t, groups, w.groups)
			if c.want < 0 {
				wantCorrupt(t, err, disk.SegmentName(c.file), c.offset)
			} else if err != nil || len(groups) != c.want {
				t.Fatalf("%d groups, want %d: %v", len(groups), c.want, err)
			}
		})
	}
}

// A log goes on after a replay whose last group was in the page cache only, and
// then power goes. Without a group in the new segment that is a torn tail; with
// one it is a hole.
func TestLossBeforeRecoveredSegment(t *testing.T) {
	for _, follow := range []bool{false, true} {
		for _, header := range []bool{false, true} {
			d := disktest.New()
			w := newWriter(t, d, testOptions, 23)
			w.append(100)
			w.append(100)
			_, sum, err := replayAll(d, 1)
			w.must(err)
			log, err := Create(d, testOptions, 2, w.seq, sum)
			w.must(err)
			if follow {
				w.must(log.Append(w.seq, 1, []byte("x")))
			}
			lost, left := w.groups[1].offset, 1
			d.Corrupt(disk.SegmentName(1), func(b []byte) []byte {
				if header {
					lost, left = 0, 0
					clear(b)
				}
				return b[:max(lost, segmentHeaderSize)]
			})
			groups, sum, err := replayAll(d, 1)
			if follow {
				wantCorrupt(t, err, disk.SegmentName(1), lost)
			} else if err != nil || sum.LastSegment != 2 {
				t.Fatalf("%+v %v", sum, err)
			}
			sameGroups(t, groups, w.groups[:left])
			w.must(log.Close())
		}
	}
}

func TestPrefixSums(t *testing.T) {
	const seed = 22
	rng := rand.New(rand.NewPCG(seed, 0))
	data := randomBytes(rng, 100_000)
	d := disktest.New()
	d.WriteFile("wal/x", data)
	var w window
	if err := w.open(d, "wal/x"); err != nil {
		t.Fatal(err)
	}
	start := int64(1000)
	p, err := newPrefixSums(&w, start)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		a := start + rng.Int64N(int64(len(data))-start)
		b := a + rng.Int64N(int64(len(data))-a+1)
		from := rng.Uint32()
		got, err := p.crc(from, a, b)
		if want := disk.CRC(from, data[a:b]); err != nil || got != want {
			t.Fatalf("seed %d: [%d,%d): %08x, want %08x: %v", seed, a, b, got, want, err)
		}
	}
	if got, want := newPowerTable().shift(0xDEADBEEF, MaxPayload+28), disk.CRC(0xDEADBEEF, make([]byte, MaxPayload+28))^disk.CRC(0, make([]byte, MaxPayload+28)); got != want {
		t.Errorf("longest shift %08x, want %08x", got, want)
	}
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// A client can store bytes that look like headers of long records everywhere.
// The scan behind a torn tail must neither take for ever nor believe them, and
// must find a long witness among them.
func TestHostileTailIsLinear(t *testing.T) {
	const bytesTotal = 1 << 20
	head := (&segmentHeader{segment: 1, firstSeq: 1, dbID: testDBID}).encode()
	fake := recordHeader{crc: 1, length: bytesTotal / 2, firstSeq: 50, ops: 1, kind: TypeGroup, syncedTo: 72}
	tail := make([]byte, bytesTotal)
	for off := 0; off+recordHeaderSize <= len(tail); off += recordHeaderSize {
		fake.encode(tail[off:])
		putCRC(tail[off:], 1)
	}
	d := disktest.New()
	d.WriteFile(disk.SegmentName(1), append(bytes.Clone(head), tail...))
	began := time.Now()
	if _, sum, err := replayAll(d, 1); err != nil || sum.TornBytes == 0 {
		t.Fatalf("%+v %v", sum, err)
	}
	// 16 k candidates of 512 KiB: a checksum of each would be 8 GiB.
	t.Logf("scanned %d bytes in %v", bytesTotal, time.Since(began))

	off := int64(segmentHeaderSize + 4096)
	witness := makeRecord(off, recordHeader{firstSeq: 60, ops: 1, kind: TypeGroup, syncedTo: off},
		randomBytes(rand.New(rand.NewPCG(1, 1)), bytesTotal/2))
	copy(tail[4096:], witness)
	d.WriteFile(disk.SegmentName(1), append(bytes.Clone(head), tail...))
	_, _, err := replayAll(d, 1)
	wantCorrupt(t, err, disk.SegmentName(1), segmentHeaderSize)
}
