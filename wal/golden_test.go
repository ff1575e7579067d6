package wal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenLog is a small log with everything that the format has. The segments
// whose bytes are pinned hold no compressed record: what s2 makes of a payload
// may change, what it reads may not.
func goldenLog(t *testing.T, fs disk.FS) []group {
	w := newWriter(t, fs, testOptions, 61)
	put := func(ops uint32, payload string) {
		g := group{w.log.Segment(), w.seq, w.log.Size(), ops, []byte(payload)}
		w.must(w.log.Append(g.firstSeq, ops, g.payload))
		w.groups = append(w.groups, g)
		w.seq += uint64(ops)
	}
	put(1, "a")
	put(3, "eight by")
	w.must(w.log.Sync())
	put(1, "after a sync")
	w.seq = 1000
	w.must(w.log.Rotate(w.seq))
	put(2, "in the next segment")
	w.must(w.log.Rotate(w.seq))
	put(5, compressible())
	w.must(w.log.Rotate(w.seq))
	w.must(w.log.Close())
	return w.groups
}

// compressible is text that s2 makes smaller, but not by more than maxExpansion.
func compressible() string {
	var b strings.Builder
	for i := range 500 {
		_, _ = fmt.Fprintf(&b, "line %d of a text ", i/5) // a Builder never fails
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	d := disktest.New()
	want := goldenLog(t, d)
	old := disktest.New()
	for no := uint64(1); no <= 4; no++ {
		file := filepath.Join("testdata", fmt.Sprintf("v1-segment-%d.hex", no))
		now, err := d.ReadFile(disk.SegmentName(no))
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, []byte(hex.Dump(now)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden := readDump(t, file)
		old.WriteFile(disk.SegmentName(no), golden)
		if no != 3 && no != 4 && !bytes.Equal(now, golden) {
			t.Errorf("segment %d is no longer as in %s:\n%s", no, file, hex.Dump(now))
		}
	}
	groups, sum, err := replayAll(old, 1)
	if err != nil {
		t.Fatal(err)
	}
	sameGroups(t, groups, want)
	if !sum.Sealed || sum.Segments != 4 || sum.Ops != 12 || sum.LastSeq != 1006 || sum.Bytes == 0 {
		t.Errorf("%+v", sum)
	}
}

// readDump reads back what hex.Dump wrote.
func readDump(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "|")
		for _, pair := range strings.Fields(line)[1:] {
			c, err := hex.DecodeString(pair)
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, c...)
		}
	}
	return b
}
