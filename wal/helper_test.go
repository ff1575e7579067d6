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

const testDBID = 0x1122334455667788

var testOptions = Options{SegmentBytes: MinSegmentBytes, DBID: testDBID}

// group is what a test appended, or Replay handed out.
type group struct {
	segment, firstSeq uint64
	offset            int64
	ops               uint32
	payload           []byte
}

func (g group) equal(o group) bool {
	return g.segment == o.segment && g.offset == o.offset && g.firstSeq == o.firstSeq &&
		g.ops == o.ops && bytes.Equal(g.payload, o.payload)
}

func (g group) String() string {
	return fmt.Sprintf("segment %d offset %d seq %d ops %d (%d bytes)", g.segment, g.offset, g.firstSeq, g.ops, len(g.payload))
}

// replayAll collects what Replay hands out.
func replayAll(fs disk.FS, minSegment uint64) ([]group, Summary, error) {
	var groups []group
	sum, err := Replay(fs, testOptions, minSegment, func(r *Record) error {
		groups = append(groups, group{r.Segment, r.FirstSeq, r.Offset, r.Ops, bytes.Clone(r.Payload)})
		return nil
	})
	return groups, sum, err
}

func samePrefix(t *testing.T, got, want []group) {
	t.Helper()
	if len(got) > len(want) {
		t.Fatalf("%d groups, of which only %d were appended: %v", len(got), len(want), got[len(want)])
	}
	for i := range got {
		if !got[i].equal(want[i]) {
			t.Fatalf("group %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func sameGroups(t *testing.T, got, want []group) {
	t.Helper()
	samePrefix(t, got, want)
	if len(got) < len(want) {
		t.Fatalf("%d groups, want %d; the first that is missing is %v", len(got), len(want), want[len(got)])
	}
}

// writer appends numbered groups and remembers them.
type writer struct {
	t      *testing.T
	log    *Log
	rng    *rand.Rand
	seq    uint64
	groups []group
}

func newWriter(t *testing.T, fs disk.FS, opt Options, seed uint64) *writer {
	t.Helper()
	log, err := Create(fs, opt, 1, 1, Summary{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Logf("close: %v", err)
		}
	})
	return &writer{t: t, log: log, rng: rand.New(rand.NewPCG(seed, 1)), seq: 1}
}

// next makes the next group, its payload of n bytes.
func (w *writer) next(n int) group {
	g := group{
		segment: w.log.Segment(), offset: w.log.Size(), firstSeq: w.seq,
		ops: 1 + w.rng.Uint32N(5), payload: randomBytes(w.rng, n),
	}
	binary.LittleEndian.PutUint64(g.payload, g.firstSeq)
	return g
}

func (w *writer) append(n int) {
	w.t.Helper()
	g := w.next(max(n, 8))
	if err := w.log.Append(g.firstSeq, g.ops, g.payload); err != nil {
		w.t.Fatal(err)
	}
	w.took(g)
}

func (w *writer) took(g group) {
	w.groups = append(w.groups, g)
	w.seq = g.firstSeq + uint64(g.ops) + w.rng.Uint64N(3)
}

func (w *writer) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func wantCorrupt(t *testing.T, err error, file string, offset int64) {
	t.Helper()
	var c *disk.CorruptError
	if !errors.As(err, &c) {
		t.Fatalf("error %v, want corruption of %s at %d", err, file, offset)
	}
	if c.File != file || c.Offset != offset {
		t.Fatalf("%v, want file=%s offset=%d", err, file, offset)
	}
}

func noHandles(t *testing.T, d *disktest.Disk) {
	t.Helper()
	if n := d.Handles(); n != 0 {
		t.Fatalf("%d files left open", n)
	}
}
