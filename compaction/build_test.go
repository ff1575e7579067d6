package compaction

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
)

func num(key string, time uint64, n int64) memRow {
	return memRow{key: key, row: kv.Row{ID: kv.ID{Time: time}, Num: n}}
}

// seriesRows makes rows of some keys at times start, start+step and so on.
func seriesRows(keys, rows int, start, step uint64) []memRow {
	var list []memRow
	for k := range keys {
		for i := range rows {
			list = append(list, num(fmt.Sprintf("key%04d", k), start+uint64(i)*step, int64(k*i)))
		}
	}
	return list
}

func build(t testing.TB, rows []memRow, out Output) []manifest.File {
	t.Helper()
	files, err := Build(&rowsIterator{rows: rows, batch: 1000}, dataClass, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckOrder(files); err != nil {
		t.Fatal(err)
	}
	return files
}

func outputOn(fs disk.FS) Output {
	id := uint64(0)
	return Output{FS: fs, Split: true, MinSeq: 1, MaxSeq: 10, NextID: func() uint64 { id++; return id }}
}

// sameRows compares all rows of the files with the expected ones.
func sameRows(t testing.TB, d disk.FS, files []manifest.File, want []memRow) {
	t.Helper()
	var got []memRow
	for i := range files {
		got = append(got, readRows(t, d, &files[i])...)
	}
	slices.SortFunc(got, compareRows)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if g.key != w.key || g.row.ID != w.row.ID || g.row.Form != w.row.Form || g.row.Num != w.row.Num {
			t.Fatalf("row %d is %+v, want %+v", i, g, w)
		}
	}
}

func TestBuildNothing(t *testing.T) {
	d := newDisk(t)
	if files := build(t, nil, outputOn(d)); len(files) != 0 || len(d.Files()) != 0 {
		t.Errorf("no rows made files %v", files)
	}
}

func TestBuildSplits(t *testing.T) {
	d := newDisk(t)
	rows := seriesRows(3, 100, 7*dayMS-50, 1)
	rows = append(rows, num("key9999", math.MaxUint64, 1))
	out := outputOn(d)
	files := build(t, rows, out)
	var windows []int64
	for _, f := range files {
		windows = append(windows, f.Window)
		if f.Class != ClassData || f.MinSeq != 1 || f.MaxSeq != 10 {
			t.Errorf("file %+v", f)
		}
	}
	if want := []int64{0, 7 * dayMS, WindowStart(ClassData, math.MaxUint64)}; !slices.Equal(windows, want) {
		t.Errorf("windows %d, want %d", windows, want)
	}
	sameRows(t, d, files, rows)
}

func TestBuildTooManyWindows(t *testing.T) {
	d := newDisk(t)
	rows := seriesRows(3, 50, 5, 7*dayMS)
	files := build(t, rows, outputOn(d))
	mixed := 0
	for _, f := range files {
		if f.Window == Mixed {
			mixed++
			if f.Rows != 3*18 || f.MinTime != 32*7*dayMS+5 {
				t.Errorf("mixed file %+v", f)
			}
		}
	}
	if mixed != 1 || len(files) != maxWindows+1 {
		t.Errorf("%d files, %d of them mixed", len(files), mixed)
	}
	sameRows(t, d, files, rows)

	// Splitting the mixed file puts the other windows into files of their own.
	i := slices.IndexFunc(files, func(f manifest.File) bool { return f.Window == Mixed })
	out := outputOn(d)
	out.NextID = func() uint64 { i++; return 100 + uint64(i) }
	inputs := openInputs(t, d, files[i:i+1])
	parts, err := Merge(inputs, nil, Plan{Class: ClassData, Window: Mixed, Split: true}, out)
	if err != nil {
		t.Fatal(err)
	}
	closeInputs(t, inputs)
	all := append(slices.DeleteFunc(files, func(f manifest.File) bool { return f.Window == Mixed }), parts...)
	if len(parts) != 18 || parts[0].Tier != 1 {
		t.Errorf("split into %d files", len(parts))
	}
	if err := CheckOrder(all); err != nil {
		t.Error(err)
	}
	sameRows(t, d, all, rows)
}

func TestBuildRollsOver(t *testing.T) {
	d := newDisk(t)
	rows := seriesRows(200, 400, 0, 1000)
	for i := range rows {
		rows[i].row.Num = int64(uint64(i)*0x9E3779B97F4A7C15) >> 8
	}
	out := outputOn(d)
	out.MaxFileBytes = 64 << 10
	paced := int64(0)
	out.Pace = func(bytes int64) error { paced += bytes; return nil }
	files := build(t, rows, out)
	if len(files) < 5 {
		t.Fatalf("%d files", len(files))
	}
	total := int64(0)
	for i, f := range files {
		total += f.Size
		if i < len(files)-1 && f.Size < out.MaxFileBytes/2 {
			t.Errorf("file %d has %d bytes", i, f.Size)
		}
	}
	if paced > total {
		t.Errorf("paced %d bytes of %d", paced, total)
	}
	sameRows(t, d, files, rows)
}

func TestBuildClasses(t *testing.T) {
	d := newDisk(t)
	rows := append(seriesRows(1, 10, 0, dayMS), num("key1", 5, 1))
	class := func(key []byte) uint8 {
		if string(key) == "key1" {
			return ClassCatalog
		}
		return 2
	}
	files, err := Build(&rowsIterator{rows: rows, batch: 4}, class, outputOn(d))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 11 || files[10].Class != ClassCatalog || files[10].Window != 0 || files[3].Window != 3*dayMS {
		t.Errorf("files %+v", files)
	}
	sameRows(t, d, files, rows)
}

// failing is an iterator that fails at its nth step.
type failing struct {
	rowsIterator
	left   int
	closed int
}

var errIterator = errors.New("the iterator failed")

func (f *failing) Next() ([]byte, error) {
	if f.left--; f.left < 0 {
		return nil, errIterator
	}
	return f.rowsIterator.Next()
}

func (f *failing) Close() { f.closed++ }

func TestBuildEndsOnErrors(t *testing.T) {
	d := newDisk(t)
	it := &failing{rowsIterator: rowsIterator{rows: seriesRows(9, 10, 0, dayMS), batch: 10}, left: 5}
	files, err := Build(it, dataClass, outputOn(d))
	if !errors.Is(err, errIterator) || files != nil || it.closed != 1 {
		t.Errorf("files %v, error %v, closed %d times", files, err, it.closed)
	}
	wantEmpty(t, d)

	out := outputOn(d)
	out.Pace = func(int64) error { return errIterator }
	rows := seriesRows(600, 1000, 0, 1)
	for i := range rows {
		rows[i].row.Num = int64(uint64(i)*0x9E3779B97F4A7C15) >> 8
	}
	if _, err := Build(&rowsIterator{rows: rows, batch: 1000}, dataClass, out); !errors.Is(err, errIterator) {
		t.Errorf("pace: %v", err)
	}
	wantEmpty(t, d)
}

func wantEmpty(t *testing.T, d *disktest.Disk) {
	t.Helper()
	if files := d.Files(); len(files) != 0 {
		t.Fatalf("files left behind: %v", files)
	}
	if n := d.Handles(); n != 0 {
		t.Fatalf("%d handles left open", n)
	}
}

// TestBuildOnFailingDisk fails every call of a build once: an error, and no
// file is left.
func TestBuildOnFailingDisk(t *testing.T) {
	rows := seriesRows(20, 40, 0, dayMS)
	for _, errno := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for nth := 1; ; nth++ {
			d := newDisk(t)
			d.Fail(disktest.FailRule{Nth: nth, Err: errno, Short: 10})
			files, err := Build(&rowsIterator{rows: rows, batch: 1000}, dataClass, outputOn(d))
			if d.Failed() == 0 {
				break
			}
			d.Heal()
			if err == nil {
				sameRows(t, d, files, rows) // a call that does not matter
				continue
			}
			if !errors.Is(err, errno) {
				t.Fatalf("call %d: %v, want %v", nth, err, errno)
			}
			wantEmpty(t, d)
		}
	}
}

// TestBuildOnBrokenDisk: one kind of call fails for good; removing still works.
func TestBuildOnBrokenDisk(t *testing.T) {
	rows := seriesRows(20, 40, 0, dayMS)
	for _, op := range []disktest.Op{disktest.OpCreate, disktest.OpWrite, disktest.OpSync, disktest.OpSyncDir} {
		for nth := 1; nth <= 3; nth++ {
			d := newDisk(t)
			d.Fail(disktest.FailRule{Op: op, Nth: nth, Sticky: true})
			_, err := Build(&rowsIterator{rows: rows, batch: 1000}, dataClass, outputOn(d))
			if d.Failed() > 0 && !errors.Is(err, syscall.EIO) {
				t.Fatalf("%s call %d: %v", op, nth, err)
			}
			if err != nil {
				wantEmpty(t, d)
			}
		}
	}
}

func TestBuildOnFullDisk(t *testing.T) {
	rows := seriesRows(20, 40, 0, dayMS)
	d := newDisk(t)
	want := build(t, rows, outputOn(d))
	need := int64(0)
	for _, f := range want {
		need += f.Size
	}
	for capacity := int64(0); capacity < need; capacity += need / 50 {
		d := newDisk(t)
		d.Capacity(capacity)
		if _, err := Build(&rowsIterator{rows: rows, batch: 1000}, dataClass, outputOn(d)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("capacity %d of %d: %v", capacity, need, err)
		}
		wantEmpty(t, d)
	}
}

// TestBuildIsDurable: after Build has returned, a power cut takes nothing.
func TestBuildIsDurable(t *testing.T) {
	d := newDisk(t)
	rows := seriesRows(5, 50, 0, dayMS)
	files := build(t, rows, outputOn(d))
	sameRows(t, d.Crash(disktest.CrashOptions{}), files, rows)
}
