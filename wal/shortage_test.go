package wal

import (
	"errors"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// TestDropSpares: spares and retired segments go while room is short, and are
// kept again afterwards; the log goes on all the time.
func TestDropSpares(t *testing.T) {
	fs := disktest.New()
	opt := Options{SegmentBytes: 2 * zeroBytes, DBID: 7}
	l, err := Create(fs, opt, 1, 1, Summary{})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.PrepareSpare())
	must(l.PrepareSpare())
	if n, err := l.DropSpares(); n != 2 || err != nil {
		t.Fatalf("%d spares dropped, %v", n, err)
	}
	seq := uint64(0)
	next := func() {
		t.Helper()
		seq++
		must(l.Append(seq, 1, make([]byte, 2*zeroBytes)))
		must(l.Rotate(seq + 1))
		must(l.Release(l.Segment()))
	}
	next()
	if got := spares(t, fs); got != 0 {
		t.Errorf("%d spares while room is short", got)
	}
	must(l.PrepareSpare())
	next()
	if got := spares(t, fs); got == 0 {
		t.Error("no spares after the shortage")
	}
	if _, err := l.DropSpares(); err != nil {
		t.Fatal(err)
	}
	fs.Before(func(op disktest.Op, name string) {
		if op == disktest.OpWrite && strings.HasPrefix(name, "wal/spare") {
			l.StopSpares()
		}
	})
	if err := l.PrepareSpare(); !errors.Is(err, ErrNoRoom) || spares(t, fs) != 0 {
		t.Errorf("a spare in a shortage: %v, %d are there", err, spares(t, fs))
	}
	fs.Before(nil)
	must(l.PrepareSpare())
	must(l.Close())
	want := spares(t, fs)
	if n, err := RemoveSpares(fs); n != want || err != nil || spares(t, fs) != 0 {
		t.Errorf("%d of %d spares removed, %v", n, want, err)
	}
	sum, err := Replay(fs, opt, 3, func(*Record) error { return nil })
	if err != nil || !sum.Sealed {
		t.Errorf("replay: %+v %v", sum, err)
	}
}

// spares counts them.
func spares(t *testing.T, fs disk.FS) (n int) {
	t.Helper()
	names, err := fs.List(disk.SegmentDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if kind, _, _ := disk.ParseName(disk.SegmentDir + "/" + name); kind == disk.KindTemp {
			n++
		}
	}
	return n
}
