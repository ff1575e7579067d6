package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// TestStopAfter enumerates the states of a small program.
func TestStopAfter(t *testing.T) {
	program := func(d *disktest.Disk) error {
		file, err := d.Create("a")
		if err != nil {
			return err
		}
		_, err = file.WriteAt([]byte("12"), 0)
		return errors.Join(err, file.Truncate(1), file.Sync(), file.Close(), d.Rename("a", "b"), d.SyncDir("."))
	}
	full := disktest.New()
	must(t, program(full))
	if full.Ops() != 6 || full.LastOp() != "op 6: syncdir ." {
		t.Errorf("%d operations, the last %q", full.Ops(), full.LastOp())
	}
	want := []string{"", "a=", "a=12", "a=1", "a=1", "b=1", "b=1"}
	last := []string{"none", "create a", "write a [0,+2)", "truncate a to 1", "sync a", "rename a b", "syncdir ."}
	for n, state := range want {
		d := disktest.New()
		d.StopAfter(n)
		err := program(d)
		if errors.Is(err, disktest.ErrStopped) != (n < 6) && n != 6 {
			t.Errorf("stop after %d: %v", n, err)
		}
		if got := text(t, d); got != state || d.Ops() != n {
			t.Errorf("stop after %d: %q and %d operations, want %q", n, got, d.Ops(), state)
		}
		if got := d.LastOp(); got != fmt.Sprintf("op %d: %s", n, last[n]) {
			t.Errorf("stop after %d: %q", n, got)
		}
		if _, err := d.Stat("b"); !errors.Is(err, disktest.ErrStopped) {
			t.Errorf("stop after %d: stat says %v, want ErrStopped", n, err)
		}
		if d.Handles() != 0 {
			t.Errorf("stop after %d: %d handles left", n, d.Handles())
		}
		d.StopAfter(-1)
		if _, err := d.List("."); err != nil {
			t.Errorf("without the stop: %v", err)
		}
	}
}

// callsOf returns a call of each kind that a rule can fail, each of which can be
// made again and again.
func callsOf(d *disktest.Disk, f disk.File) map[disktest.Op]func() error {
	return map[disktest.Op]func() error{
		disktest.OpCreate: func() error {
			file, err := d.Create("new")
			if err == nil {
				err = errors.Join(file.Close(), d.Remove("new"))
			}
			return err
		},
		disktest.OpOpen: func() error {
			file, err := d.Open("f")
			if err == nil {
				err = file.Close()
			}
			return err
		},
		disktest.OpWrite:   func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		disktest.OpRead:    func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		disktest.OpSync:    f.Sync,
		disktest.OpSyncDir: func() error { return d.SyncDir(".") },
		disktest.OpRename:  func() error { return d.Rename("f", "f") },
		disktest.OpLink: func() error {
			err := d.Link("f", "f2")
			if err == nil {
				err = d.Remove("f2")
			}
			return err
		},
		disktest.OpRemove: func() error {
			d.WriteFile("gone", nil)
			return d.Remove("gone")
		},
		disktest.OpTruncate: func() error { return f.Truncate(5) },
		disktest.OpList:     func() error { _, err := d.List("."); return err },
		disktest.OpMap: func() error {
			m, err := f.Map(1)
			if err == nil {
				err = m.Close()
			}
			return err
		},
		disktest.OpLock: func() error {
			lock, err := d.Lock("LOCK")
			if err == nil {
				err = lock.Close()
			}
			return err
		},
		disktest.OpMkdir: func() error { return d.MkdirAll("d") },
		disktest.OpStat:  func() error { _, err := d.Stat("f"); return err },
		disktest.OpFree:  func() error { _, _, err := d.Free(); return err },
	}
}

// TestFailRules fails each kind of call, at a time and for good.
func TestFailRules(t *testing.T) {
	for op := disktest.OpCreate; op < disktest.OpClose; op++ {
		for sticky, times := range map[bool]int{false: 1, true: 3} {
			d := disktest.New()
			d.WriteFile("f", []byte("12345"))
			file, err := d.OpenWrite("f")
			must(t, err)
			do := callsOf(d, file)[op]
			d.Fail(disktest.FailRule{Op: op, Name: "nobody*"})
			d.Fail(disktest.FailRule{Op: op, Nth: 2, Sticky: sticky, Err: syscall.EMFILE})
			var got []bool
			for range 4 {
				err := do()
				if err != nil {
					wantErr(t, op.String(), err, syscall.EMFILE)
				}
				got = append(got, err != nil)
			}
			if want := []bool{false, true, sticky, sticky}; !slices.Equal(got, want) {
				t.Errorf("%v sticky=%t: failed %v, want %v", op, sticky, got, want)
			}
			if n := d.Failed(); n != times {
				t.Errorf("%v sticky=%t: %d calls counted as failed, want %d", op, sticky, n, times)
			}
			d.Heal()
			must(t, do(), file.Close())
			if d.Handles() != 0 {
				t.Errorf("%v: %d handles left", op, d.Handles())
			}
		}
	}
}

func TestFailNames(t *testing.T) {
	d := disktest.New()
	must(t, d.MkdirAll("wal"))
	d.Fail(disktest.FailRule{Name: "wal/*.wal", Sticky: true, Err: syscall.ENOSPC})
	write(t, d, "wal/a.tmp", 0, []byte("x"), true)
	for what, err := range map[string]error{
		"rename to": d.Rename("wal/a.tmp", "wal/1.wal"),
		"remove":    d.Remove("wal/1.wal"),
	} {
		wantErr(t, what, err, syscall.ENOSPC)
	}
	if n := d.Calls(disktest.OpRename); n != 1 || d.Calls(disktest.OpAny) < 6 {
		t.Errorf("%d renames and %d calls", n, d.Calls(disktest.OpAny))
	}
	defer func() {
		if recover() == nil {
			t.Error("a malformed pattern is taken")
		}
	}()
	d.Fail(disktest.FailRule{Name: "["})
}

func TestShortWrite(t *testing.T) {
	d := disktest.New()
	file, err := d.Create("f")
	must(t, err)
	d.Fail(disktest.FailRule{Op: disktest.OpWrite, Short: 3, Err: syscall.ENOSPC})
	n, err := file.WriteAt([]byte("12345"), 2)
	wantErr(t, "short write", err, syscall.ENOSPC)
	if got := text(t, d); n != 3 || got != "f=\x00\x00123" {
		t.Errorf("wrote %d: %q", n, got)
	}
	d.Fail(disktest.FailRule{Op: disktest.OpClose})
	wantErr(t, "close", file.Close(), syscall.EIO)
	if d.Handles() != 0 {
		t.Error("a failed close leaves the file open")
	}
}

func TestCapacity(t *testing.T) {
	d := disktest.New()
	if free, total, err := d.Free(); free != total || total < 1<<30 || err != nil {
		t.Errorf("without a limit: free %d of %d, %v", free, total, err)
	}
	d.Capacity(10_000)
	d.WriteFile("old", make([]byte, 4000))
	file, err := d.Create("f")
	must(t, err)
	p := bytes.Repeat([]byte("x"), 5000)
	n, err := file.WriteAt(p, 2000)
	wantErr(t, "write beyond the limit", err, syscall.ENOSPC)
	if n != 4000 {
		t.Errorf("wrote %d bytes, want 4000", n)
	}
	n, err = file.WriteAt(p, 9000)
	wantErr(t, "write behind the limit", err, syscall.ENOSPC)
	wantErr(t, "truncate beyond the limit", file.Truncate(6001), syscall.ENOSPC)
	if size, _ := file.Size(); n != 0 || size != 6000 {
		t.Errorf("wrote %d bytes, size %d", n, size)
	}
	_, err = file.WriteAt(p, 500) // inside of what the file has
	must(t, err)
	checkFree := func(want uint64) {
		t.Helper()
		if free, total, err := d.Free(); free != want || total != 10_000 || err != nil {
			t.Errorf("free %d of %d, %v, want %d", free, total, err, want)
		}
	}
	checkFree(0)
	must(t, d.Link("old", "older"), d.Rename("older", "oldest"), d.Remove("old"))
	checkFree(0)
	reader, err := d.Open("oldest")
	must(t, err, d.Remove("oldest"))
	checkFree(0)
	must(t, reader.Close())
	checkFree(4000)
	must(t, file.Truncate(1000))
	checkFree(9000)
	must(t, d.Rename("f", "g"), d.SyncDir("."), file.Sync())
	for what, e := range map[string]*disktest.Disk{"clone": d.Clone(), "crash": d.Crash(nothing)} {
		if free, _, _ := e.Free(); free != 9000 {
			t.Errorf("%s: free %d, want 9000", what, free)
		}
	}
	d.Corrupt("g", func(b []byte) []byte { return b[:10] })
	checkFree(9990)
	must(t, file.Close())
}

func TestHugeOffsets(t *testing.T) {
	d := disktest.New()
	file, err := d.Create("f")
	must(t, err)
	for _, off := range []int64{1 << 40, 1<<63 - 1, 16<<30 - 1} {
		_, err := file.WriteAt([]byte("12"), off)
		wantErr(t, fmt.Sprintf("write at %d", off), err, syscall.EFBIG)
		wantErr(t, fmt.Sprintf("truncate to %d", off), file.Truncate(max(off, 1<<40)), syscall.EFBIG)
	}
	must(t, file.Close())
}

func TestInspect(t *testing.T) {
	d := disktest.New()
	d.Fail(disktest.FailRule{Sticky: true})
	d.StopAfter(0)
	d.WriteFile("d/e/f", []byte("one"))
	d.WriteFile("a", []byte("two"))
	d.Corrupt("a", func(b []byte) []byte { b[0] ^= 1; return append(b, '!') })
	d.WriteFile("d/e/f", []byte("three"))
	const want = "a=uwo! d/e/f=three"
	if got := text(t, d.Crash(nothing)); got != want || d.Ops() != 0 || d.Failed() != 0 {
		t.Errorf("%q and %d operations, want %q", got, d.Ops(), want)
	}
	for _, bad := range []func(){
		func() { d.WriteFile("../x", nil) },
		func() { d.WriteFile("d", nil) },
		func() { d.WriteFile("a/x", nil) },
		func() { d.Corrupt("none", func(b []byte) []byte { return b }) },
		func() { d.FaultMaps("[") },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "BUG: disktest: ") {
					t.Errorf("recovered %v", r)
				}
			}()
			bad()
		}()
	}
}

// TestWriteFileSettles: a file written by the test stays, whatever was pending.
func TestWriteFileSettles(t *testing.T) {
	d := disktest.New()
	write(t, d, "a", 0, []byte("1"), false)
	must(t, d.Rename("a", "b"))
	d.WriteFile("a", []byte("2"))
	if got := text(t, d.Crash(nothing)); got != "a=2" {
		t.Errorf("%q, want a=2", got)
	}
	if got := text(t, d.Crash(everything)); got != "a=2 b=1" {
		t.Errorf("%q, want a=2 b=1", got)
	}
}

func TestBefore(t *testing.T) {
	d := disktest.New()
	d.WriteFile("f", []byte("1"))
	file, err := d.OpenWrite("f")
	must(t, err)
	entered, leave := make(chan string), make(chan struct{})
	d.Before(func(op disktest.Op, name string) {
		if op == disktest.OpSync {
			entered <- name
			<-leave
		}
	})
	done := make(chan error)
	go func() { done <- file.Sync() }()
	if name := <-entered; name != "f" {
		t.Errorf("the hook sees %q", name)
	}
	_, err = file.WriteAt([]byte("2"), 0) // while the sync is held
	must(t, err)
	close(leave)
	must(t, <-done)
	d.Before(nil)
	must(t, file.Close())
	if got := text(t, d.Crash(nothing)); got != "f=2" {
		t.Errorf("%q, want f=2", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	d := disktest.New()
	must(t, d.MkdirAll("d"))
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			name := func() string { return fmt.Sprintf("d/%d", random.IntN(6)) }
			p := make([]byte, 5000)
			for range 300 {
				// Losing a race for a name is no failure here.
				switch random.IntN(9) {
				case 0:
					_ = d.Remove(name())
				case 1:
					_ = d.Rename(name(), name())
				case 2:
					_ = d.Link(name(), name())
				case 3:
					_ = d.SyncDir("d")
				case 4:
					_ = d.Crash(disktest.CrashOptions{Seed: random.Uint64(), Sectors: 50, Names: 50}).Files()
				case 5:
					_ = d.Clone().Ops()
				default:
					file, err := d.OpenWrite(name())
					if err != nil {
						file, err = d.Create(name())
					}
					if err != nil {
						continue
					}
					_, _ = file.WriteAt(p[:random.IntN(len(p))], int64(random.IntN(9000)))
					_, _ = file.ReadAt(p, int64(random.IntN(9000)))
					_ = file.Sync()
					_ = file.Close()
				}
			}
		})
	}
	group.Wait()
	if d.Handles() != 0 {
		t.Errorf("%d handles left", d.Handles())
	}
}
