package disk_test

import (
	"bytes"
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// fill makes a file of n bytes.
func fill(t testing.TB, f disk.FS, name string, n int) disk.File {
	t.Helper()
	file, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte{7}, n), 0); err != nil {
		t.Fatal(err)
	}
	return file
}

// readers are the ways in which code touches mapped bytes; those written in
// assembly must not kill the process, either.
var readers = map[string]func(b []byte) int{
	"index": func(b []byte) int { return int(b[len(b)-1]) },
	"copy":  func(b []byte) int { return copy(make([]byte, len(b)), b) },
	"crc":   func(b []byte) int { return int(disk.CRC(0, b)) },
	"equal": func(b []byte) int { return bytes.Compare(b, bytes.Repeat([]byte{7}, len(b))) },
	"find":  func(b []byte) int { return bytes.IndexByte(b, 8) },
	"text":  func(b []byte) int { return len(strings.Clone(string(b))) },
	"fill":  func(b []byte) int { return len(append([]byte("x"), b...)) },
}

// checkFaults reads a map that faults from page 1 on in every way.
func checkFaults(t *testing.T, name string, b []byte) {
	t.Helper()
	for how, read := range readers {
		sink := 0
		err := disk.Guard(name, func() error {
			sink = read(b)
			return nil
		})
		var corrupt *disk.CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != name || corrupt.Offset != disk.UnknownOffset {
			t.Errorf("%s: error %v (read %d), want a CorruptError of %s", how, err, sink, name)
		}
	}
}

func TestGuardFileCutBehindMap(t *testing.T) {
	f, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 10
	file := fill(t, f, "cut.sst", size)
	m, err := file.Map(size)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Guard("cut.sst", func() error {
		if n := bytes.Count(m.Bytes(), []byte{7}); n != size {
			t.Errorf("the map has %d bytes right, want %d", n, size)
		}
		return nil
	}); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	if err := file.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	checkFaults(t, "cut.sst", m.Bytes())
	if err := disk.Guard("cut.sst", func() error {
		if m.Bytes()[4095] != 7 {
			t.Error("what is left of the file is wrong")
		}
		return nil
	}); err != nil {
		t.Errorf("what is left of the file: %v", err)
	}
	if err := errors.Join(m.Close(), m.Close(), file.Close()); err != nil {
		t.Error(err)
	}
}

func TestGuardFaultMaps(t *testing.T) {
	d := disktest.New()
	d.FaultMaps("b*")
	for _, name := range []string{"good", "bad"} {
		file := fill(t, d, name, 10000)
		m, err := file.Map(10000)
		if err != nil {
			t.Fatal(err)
		}
		if name == "bad" {
			checkFaults(t, name, m.Bytes())
		} else if m.Bytes()[9999] != 7 {
			t.Error("the good map is wrong")
		}
		if err := errors.Join(m.Close(), m.Close(), file.Close()); err != nil {
			t.Error(err)
		}
	}
	if n := d.Handles(); n != 0 {
		t.Errorf("%d handles left", n)
	}
}

func TestGuardPassesOn(t *testing.T) {
	mine := errors.New("mine")
	if err := disk.Guard("f", func() error { return mine }); !errors.Is(err, mine) {
		t.Errorf("error %v, want fn's", err)
	}
	catch := func(fn func() error) (r any) {
		defer func() { r = recover() }()
		_ = disk.Guard("f", fn) // it panics
		return nil
	}
	if r := catch(func() error { panic("BUG: x") }); r != "BUG: x" {
		t.Errorf("recovered %v, want the panic of fn", r)
	}
	var nothing *[10]int
	r := catch(func() error { nothing[3]++; return nil })
	if err, ok := r.(error); !ok || !strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("recovered %v, want the nil dereference", r)
	}
	var none []int
	if r := catch(func() error { none[3]++; return nil }); r == nil {
		t.Error("an index out of range was swallowed")
	}
}

func TestGuardRestoresPanicOnFault(t *testing.T) {
	for _, before := range []bool{false, true} {
		old := debug.SetPanicOnFault(before)
		_ = disk.Guard("f", func() error {
			return disk.Guard("g", func() error { return nil })
		})
		if after := debug.SetPanicOnFault(old); after != before {
			t.Errorf("panic on fault is %t after Guard, was %t", after, before)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		if err := disk.Guard("f", func() error { sum++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
