package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

func TestReplayOfNothing(t *testing.T) {
	groups, sum, err := replayAll(disktest.New(), 7)
	if err != nil || len(groups) != 0 || sum.LastSegment != 6 || sum.Segments != 0 {
		t.Fatalf("%v %+v %v", groups, sum, err)
	}
}

func TestRoundTrip(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 1)
	for i, n := range []int{8, 9, 15, 16, 4096, 4097, 20_000, 1 << 20} {
		if i == 4 {
			w.must(w.log.Rotate(w.seq))
		}
		w.append(n)
	}
	text := bytes.Repeat(randomBytes(w.rng, 1000), 5)
	text = append(text, randomBytes(w.rng, 200)...)
	for _, c := range []struct{ payload, stored int }{{4096, 4096}, {5200, 1300}} {
		g := group{w.log.Segment(), w.seq, w.log.Size(), 3, text[:c.payload]}
		w.must(w.log.Append(g.firstSeq, g.ops, g.payload))
		w.took(g)
		if grown := int(w.log.Size() - g.offset); grown > recordHeaderSize+c.stored || grown < c.stored/2 {
			t.Errorf("%d compressible bytes took %d", c.payload, grown)
		}
	}
	zeros := group{w.log.Segment(), w.seq, w.log.Size(), 3, make([]byte, 1<<20)}
	w.must(w.log.Append(zeros.firstSeq, zeros.ops, zeros.payload))
	w.took(zeros)
	groups, sum, err := replayAll(d, 1)
	w.must(err)
	sameGroups(t, groups, w.groups)
	if sum.Sealed || sum.TornBytes != 0 || sum.Segments != 2 || sum.Records != 11 || sum.LastSegment != 2 || sum.LastSeq != zeros.firstSeq+2 {
		t.Errorf("%+v", sum)
	}
	w.must(w.log.Close())
	groups, sum, err = replayAll(d, 1)
	w.must(err)
	sameGroups(t, groups, w.groups)
	if !sum.Sealed || sum.TornBytes != 0 || sum.Records != 11 {
		t.Errorf("%+v", sum)
	}
	noHandles(t, d)
}

func TestReplayFromSegment(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 2)
	for range 4 {
		w.append(50)
		w.must(w.log.Rotate(w.seq))
	}
	for from := range uint64(7) {
		groups, sum, err := replayAll(d, from)
		w.must(err)
		sameGroups(t, groups, w.groups[min(max(from, 1)-1, 4):])
		if want := max(from, 6) - 1; sum.LastSegment != want {
			t.Errorf("from %d: last segment %d, want %d", from, sum.LastSegment, want)
		}
	}
}

func TestAppendIsOneWrite(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 3)
	for _, n := range []int{8, 5000, 1 << 20} {
		before, ops := d.Calls(disktest.OpWrite), d.Ops()
		w.append(n)
		if got := d.Calls(disktest.OpWrite) - before; got != 1 || d.Ops()-ops != 1 {
			t.Errorf("append of %d bytes: %d writes in %d calls", n, got, d.Ops()-ops)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	fs, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log, err := Create(fs, Options{DBID: 1}, 1, 1, Summary{})
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(1)
	for _, payload := range [][]byte{make([]byte, 100), make([]byte, 100_000)} {
		bare := testing.AllocsPerRun(100, func() {
			if _, err := log.cur.file.WriteAt(payload, log.cur.end); err != nil {
				t.Fatal(err)
			}
		})
		n := testing.AllocsPerRun(100, func() {
			if err := log.Append(seq, 1, payload); err != nil {
				t.Fatal(err)
			}
			seq++
		})
		if n > bare {
			t.Errorf("%d bytes: %v allocations, the write alone has %v", len(payload), n, bare)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSyncedToFollowsSync(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 4)
	w.append(100) // after the durable header
	w.append(100) // still only the header
	w.must(w.log.Sync())
	end := w.log.Size()
	w.append(100)
	w.must(w.log.Rotate(w.seq))
	w.append(100)
	for i, want := range []int64{segmentHeaderSize, segmentHeaderSize, end, 0} {
		g := w.groups[i]
		b, err := d.ReadFile(disk.SegmentName(g.segment))
		w.must(err)
		var h recordHeader
		h.decode(b[g.offset:])
		if h.syncedTo != want {
			t.Errorf("%v: synced to %d, want %d", g, h.syncedTo, want)
		}
	}
}

func TestSyncWithoutNewsMakesNoCall(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 5)
	w.append(10)
	w.must(w.log.Sync())
	before := d.Ops()
	w.must(w.log.Sync())
	if d.Ops() != before {
		t.Error("a sync of what is durable called the disk")
	}
}

// A sync that hangs must not hold up Append: the commit goroutine encodes and
// writes the next group meanwhile.
func TestAppendDuringSync(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 6)
	w.append(10)
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	d.Before(func(op disktest.Op, _ string) {
		if op == disktest.OpSync {
			close(entered)
			<-leave
		}
	})
	go func() { done <- w.log.Sync() }()
	select {
	case <-entered:
	case err := <-done:
		t.Fatalf("sync ended without a call: %v", err)
	}
	mid := w.log.Size()
	w.append(10)
	_ = w.log.Stats()
	w.must(w.log.Release(1))
	d.Before(nil)
	close(leave)
	w.must(<-done)
	w.append(10)
	b, err := d.ReadFile(disk.SegmentName(1))
	w.must(err)
	if got := int64(binary.LittleEndian.Uint64(b[w.groups[2].offset+24:])); got != mid {
		t.Errorf("synced to %d, want %d: the record written during the sync is not covered", got, mid)
	}
}

func TestSparesAndRecycling(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 7)
	for range 3 {
		w.must(w.log.PrepareSpare()) // the third has nothing to do
	}
	if got := spareNames(d); len(got) != 2 {
		t.Fatalf("spares %v", got)
	}
	lastRecycled := false
	for round := range 12 {
		for !w.log.Full() {
			w.append(200)
		}
		creates := d.Calls(disktest.OpCreate)
		w.must(w.log.Rotate(w.seq))
		if d.Calls(disktest.OpCreate) != creates {
			t.Fatalf("round %d: a new file although there was a spare", round)
		}
		b, err := d.ReadFile(disk.SegmentName(w.log.Segment()))
		w.must(err)
		lastRecycled = binary.LittleEndian.Uint32(b[44:])&flagRecycled != 0
		w.append(100)
		w.must(w.log.Release(w.log.Segment()))
		w.must(w.log.PrepareSpare())
		if n := len(spareNames(d)); n != 2 {
			t.Fatalf("round %d: %d spares", round, n)
		}
		groups, sum, err := replayAll(d, w.log.Segment())
		w.must(err)
		sameGroups(t, groups, w.groups[len(w.groups)-1:])
		if sum.TornBytes != 0 {
			t.Fatalf("round %d: stale bytes taken for a torn tail: %+v", round, sum)
		}
	}
	if st := w.log.Stats(); st.Recycled == 0 || st.Rotations != 12 || !lastRecycled {
		t.Errorf("%+v", st)
	}
	w.must(w.log.Close())
	adopted := spareNames(d)
	d.WriteFile(disk.SegmentDir+"/spare-99"+disk.TempSuffix, make([]byte, 100))
	d.WriteFile(disk.SegmentDir+"/spare-x"+disk.TempSuffix, make([]byte, testOptions.SegmentBytes))
	next, err := Create(d, testOptions, 99, w.seq, Summary{})
	w.must(err)
	if got := spareNames(d); !slices.Equal(got, adopted) {
		t.Errorf("spares after a restart: %v, want those of before, without the short one and the stranger: %v", got, adopted)
	}
	creates := d.Calls(disktest.OpCreate)
	w.must(next.PrepareSpare())
	w.must(next.Rotate(w.seq + 1))
	if d.Calls(disktest.OpCreate) != creates {
		t.Error("a new file although there were spares of before")
	}
	w.must(next.Close())
}

func spareNames(d *disktest.Disk) (names []string) {
	for _, name := range d.Files() {
		if strings.HasPrefix(path.Base(name), "spare-") {
			names = append(names, name)
		}
	}
	return names
}

func TestHugeSegmentIsNotRecycled(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 8)
	w.append(3 * MinSegmentBytes)
	w.must(w.log.Rotate(w.seq))
	w.must(w.log.Release(2))
	if got := d.Files(); len(got) != 1 || w.log.Stats().Recycled != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestReleaseKeepsTheSegmentInUse(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 9)
	w.append(10)
	w.must(w.log.Release(math.MaxUint64))
	w.append(10)
	groups, _, err := replayAll(d, 1)
	w.must(err)
	sameGroups(t, groups, w.groups)
}

func TestReopenChains(t *testing.T) {
	d := disktest.New()
	var all []group
	sum, seq := Summary{}, uint64(1)
	for life := range 4 {
		log, err := Create(d, testOptions, sum.LastSegment+1, seq, sum)
		if err != nil {
			t.Fatal(err)
		}
		w := &writer{t: t, log: log, seq: seq, rng: rand.New(rand.NewPCG(uint64(life), 2))}
		for range 30 {
			w.append(300)
			if log.Full() {
				w.must(log.Rotate(w.seq))
			}
		}
		all = append(all, w.groups...)
		if life%2 == 0 {
			w.must(log.Close())
		}
		seq = w.seq
		groups, s, err := replayAll(d, 1)
		w.must(err)
		sameGroups(t, groups, all)
		if s.Sealed != (life%2 == 0) {
			t.Errorf("life %d: %+v", life, s)
		}
		sum = s
	}
}

func TestClosed(t *testing.T) {
	w := newWriter(t, disktest.New(), testOptions, 10)
	w.must(w.log.Close())
	for name, err := range map[string]error{
		"append": w.log.Append(5, 1, []byte("x")), "sync": w.log.Sync(),
		"rotate": w.log.Rotate(5), "close": w.log.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	w.must(w.log.PrepareSpare())
}

func TestHostileArguments(t *testing.T) {
	w := newWriter(t, disktest.New(), testOptions, 11)
	if err := w.log.Append(1, 1, make([]byte, MaxPayload+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("oversized payload: %v", err)
	}
	w.append(10)
	for name, fn := range map[string]func(){
		"empty payload":      func() { _ = w.log.Append(100, 1, nil) },
		"no operations":      func() { _ = w.log.Append(100, 0, []byte("x")) },
		"sequence again":     func() { _ = w.log.Append(1, 1, []byte("x")) },
		"sequence overflow":  func() { _ = w.log.Append(math.MaxUint64, 2, []byte("x")) },
		"rotate to the past": func() { _ = w.log.Rotate(1) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "BUG: wal: ") {
					t.Errorf("%s: recovered %q", name, text)
				}
			}()
			fn()
		}()
	}
	for _, opt := range []Options{{SegmentBytes: -1}, {SegmentBytes: 1}, {SegmentBytes: MaxSegmentBytes + 1}, {Spares: MaxSpares + 1}} {
		if opt.Validate() == nil {
			t.Errorf("%+v is valid", opt)
		}
	}
}

func TestAnotherDatabase(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 12)
	w.append(10)
	opt := testOptions
	opt.DBID++
	_, err := Replay(d, opt, 1, func(*Record) error { return nil })
	wantCorrupt(t, err, disk.SegmentName(1), 48)
}

func TestErrorOfCallback(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 13)
	w.append(10)
	mine := errors.New("mine")
	if _, err := Replay(d, testOptions, 1, func(*Record) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
}

func TestNewerVersion(t *testing.T) {
	w := newWriter(t, disktest.New(), testOptions, 14)
	header := (&segmentHeader{segment: 1, firstSeq: 1, dbID: testDBID}).encode()
	header[7] = '2'
	binary.LittleEndian.PutUint32(header[60:], disk.CRC(0, header[:60]))
	record := func(change func(b []byte)) []byte {
		h := recordHeader{firstSeq: 1, ops: 1, kind: TypeGroup, syncedTo: segmentHeaderSize}
		b, _ := w.log.encode(segmentSeed(1, testDBID), segmentHeaderSize, &h, []byte("12345678"))
		b = bytes.Clone(b)
		change(b)
		putCRC(b, recordCRC(segmentSeed(1, testDBID), segmentHeaderSize, b))
		return append((&segmentHeader{segment: 1, firstSeq: 1, dbID: testDBID}).encode(), b...)
	}
	for name, file := range map[string][]byte{
		"segment": header,
		"type":    record(func(b []byte) { b[20] = 9 }),
		"codec":   record(func(b []byte) { b[21] = 9 }),
		"flags":   record(func(b []byte) { b[22] = 1 }),
	} {
		d := disktest.New()
		d.WriteFile(disk.SegmentName(1), file)
		if _, _, err := replayAll(d, 1); !errors.Is(err, ErrVersion) || errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("newer %s: %v", name, err)
		}
	}
}
