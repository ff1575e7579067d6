package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// both runs a test on the real disk and on the one in memory: what holds on the
// first must hold on the second, or tests on the second prove nothing.
func both(t *testing.T, test func(t *testing.T, f disk.FS)) {
	t.Run("os", func(t *testing.T) {
		f, err := disk.NewOS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, f)
	})
	t.Run("memory", func(t *testing.T) {
		d := disktest.New()
		test(t, d)
		if n := d.Handles(); n != 0 {
			t.Errorf("%d handles left", n)
		}
	})
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantErr checks for a cause inside a *fs.PathError.
func wantErr(t *testing.T, what string, err, cause error) {
	t.Helper()
	var wrapped *fs.PathError
	if !errors.Is(err, cause) || !errors.As(err, &wrapped) {
		t.Errorf("%s: error %v, want a PathError of %v", what, err, cause)
	}
}

// write makes a file, or writes into one.
func write(t testing.TB, f disk.FS, name string, off int64, p []byte, sync bool) {
	t.Helper()
	file, err := f.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = f.Create(name)
	}
	must(t, err)
	n, err := file.WriteAt(p, off)
	if n != len(p) {
		t.Fatalf("wrote %d of %d bytes", n, len(p))
	}
	must(t, err)
	if sync {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func read(t testing.TB, f disk.FS, name string) []byte {
	t.Helper()
	file, err := f.Open(name)
	must(t, err)
	size, err := file.Size()
	must(t, err)
	p := make([]byte, size)
	if _, err := file.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	must(t, file.Close())
	return p
}

func TestFileContent(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		file, err := f.Create("a")
		must(t, err)
		if file.Name() != "a" {
			t.Errorf("name %q", file.Name())
		}
		for _, c := range []struct {
			off  int64
			data string
		}{{0, "hello"}, {4094, "across pages"}, {3, "p!"}, {100_000, "far"}, {50_000, ""}, {200_000, ""}} {
			n, err := file.WriteAt([]byte(c.data), c.off)
			if n != len(c.data) || err != nil {
				t.Errorf("write at %d: %d, %v", c.off, n, err)
			}
		}
		want := make([]byte, 100_003)
		copy(want, "help!")
		copy(want[4094:], "across pages")
		copy(want[100_000:], "far")
		if got := read(t, f, "a"); !bytes.Equal(got, want) {
			t.Errorf("read %d bytes that differ", len(got))
		}
		m, err := file.Map(100_003)
		must(t, err)
		if !bytes.Equal(m.Bytes(), want) {
			t.Error("the map differs")
		}
		m.WillNeed(0, 10)
		file.DropCache(0, 10)
		must(t, m.Close())
		for _, size := range []int64{200_000, 4096, 10, 9000, 0} {
			must(t, file.Truncate(size))
			cut := append([]byte{}, want[:min(int(size), len(want))]...)
			want = append(cut, make([]byte, int(size)-len(cut))...)
			if got := read(t, f, "a"); !bytes.Equal(got, want) {
				t.Errorf("cut to %d: read %d bytes that differ", size, len(got))
			}
		}
		must(t, file.Sync(), file.Close())
	})
}

func TestFileErrors(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		write(t, f, "a", 0, []byte("0123456789"), true)
		file, err := f.Open("a")
		must(t, err)
		p := make([]byte, 8)
		for _, c := range []struct {
			off  int64
			n    int
			want error
		}{{0, 8, nil}, {2, 8, nil}, {5, 5, io.EOF}, {10, 0, io.EOF}, {99, 0, io.EOF}} {
			n, err := file.ReadAt(p, c.off)
			if n != c.n || fmt.Sprint(err) != fmt.Sprint(c.want) { // bare, as io.ReaderAt promises
				t.Errorf("read at %d: %d, %v, want %d, %v", c.off, n, err, c.n, c.want)
			}
		}
		if _, err := file.ReadAt(p, -1); err == nil {
			t.Error("read at -1: no error")
		}
		_, err = file.WriteAt(p, 0)
		wantErr(t, "write on a reading handle", err, syscall.EBADF)
		wantErr(t, "truncate on a reading handle", file.Truncate(3), syscall.EINVAL)
		_, err = file.Map(-1)
		wantErr(t, "map of -1", err, syscall.EINVAL)
		if _, err := file.Map(11); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("map beyond the end: %v, want ErrCorrupt", err)
		}
		m, err := file.Map(0)
		must(t, err)
		if len(m.Bytes()) != 0 {
			t.Error("a map of nothing has bytes")
		}
		must(t, m.Close(), file.Sync(), file.Close())
		wantErr(t, "second close", file.Close(), fs.ErrClosed)
		_, err = file.ReadAt(p, 0)
		wantErr(t, "read after close", err, fs.ErrClosed)
		_, err = file.Size()
		wantErr(t, "size after close", err, fs.ErrClosed)

		file, err = f.OpenWrite("a")
		must(t, err)
		if _, err := file.WriteAt(p, -1); err == nil {
			t.Error("write at -1: no error")
		}
		wantErr(t, "truncate to -1", file.Truncate(-1), syscall.EINVAL)
		must(t, file.Close())
	})
}

func TestNamesErrors(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll("d/e"), f.MkdirAll("d"), f.MkdirAll("."), f.MkdirAll(""))
		write(t, f, "a", 0, []byte("a"), false)
		write(t, f, "d/b", 0, []byte("bb"), false)
		_, err := f.Create("a")
		wantErr(t, "create of what is there", err, fs.ErrExist)
		_, err = f.Create("d")
		wantErr(t, "create of a directory", err, fs.ErrExist)
		_, err = f.Create("x/y")
		wantErr(t, "create in no directory", err, fs.ErrNotExist)
		_, err = f.Create("a/y")
		wantErr(t, "create in a file", err, syscall.ENOTDIR)
		for what, open := range map[string]func(string) (disk.File, error){"open": f.Open, "open to write": f.OpenWrite} {
			_, err = open("x")
			wantErr(t, what+" of nothing", err, fs.ErrNotExist)
			_, err = open("a/x")
			wantErr(t, what+" in a file", err, syscall.ENOTDIR)
			_, err = open("d")
			wantErr(t, what+" of a directory", err, syscall.EISDIR)
			_, err = open("../a")
			wantErr(t, what+" outside", err, disk.ErrName)
		}
		wantErr(t, "mkdir below a file", f.MkdirAll("a/b"), syscall.ENOTDIR)
		wantErr(t, "mkdir outside", f.MkdirAll("../b"), disk.ErrName)
		wantErr(t, "sync of no directory", f.SyncDir("x"), fs.ErrNotExist)
		wantErr(t, "sync outside", f.SyncDir("d/.."), disk.ErrName)
		_, err = f.List("x")
		wantErr(t, "list of nothing", err, fs.ErrNotExist)
		_, err = f.List("a")
		wantErr(t, "list of a file", err, syscall.ENOTDIR)
		_, err = f.List("..")
		wantErr(t, "list outside", err, disk.ErrName)
		_, err = f.Stat("x")
		wantErr(t, "stat of nothing", err, fs.ErrNotExist)
		_, err = f.Stat("d")
		wantErr(t, "stat of a directory", err, syscall.EISDIR)
		_, err = f.Stat("/etc/passwd")
		wantErr(t, "stat outside", err, disk.ErrName)
		_, err = f.Lock("x/y")
		wantErr(t, "lock in no directory", err, fs.ErrNotExist)
		_, err = f.Lock("../LOCK")
		wantErr(t, "lock outside", err, disk.ErrName)
		must(t, f.Remove("d/e"), f.SyncDir("d"), f.SyncDir("."), f.SyncDir(""))
		for dir, want := range map[string][]string{".": {"a", "d"}, "": {"a", "d"}, "d": {"b"}} {
			if got, err := f.List(dir); err != nil || !slices.Equal(got, want) {
				t.Errorf("list of %q: %q, %v, want %q", dir, got, err, want)
			}
		}
		if size, err := f.Stat("d/b"); size != 2 || err != nil {
			t.Errorf("stat: %d, %v, want 2", size, err)
		}
	})
}

func TestChangeNamesErrors(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll("d"))
		write(t, f, "a", 0, []byte("a"), false)
		write(t, f, "d/b", 0, []byte("bb"), false)
		wantErr(t, "rename of nothing", f.Rename("x", "y"), fs.ErrNotExist)
		wantErr(t, "rename into no directory", f.Rename("a", "x/y"), fs.ErrNotExist)
		wantErr(t, "rename to outside", f.Rename("a", "/a"), disk.ErrName)
		wantErr(t, "rename from outside", f.Rename("..", "a"), disk.ErrName)
		wantErr(t, "link of nothing", f.Link("x", "y"), fs.ErrNotExist)
		wantErr(t, "link to what is there", f.Link("a", "d/b"), fs.ErrExist)
		wantErr(t, "link to outside", f.Link("a", "../b"), disk.ErrName)
		wantErr(t, "link from outside", f.Link("../a", "b"), disk.ErrName)
		wantErr(t, "remove of nothing", f.Remove("x"), fs.ErrNotExist)
		wantErr(t, "remove of a full directory", f.Remove("d"), syscall.ENOTEMPTY)
		wantErr(t, "remove of the root", f.Remove("."), disk.ErrName)
	})
}

func TestNamesAndFiles(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll("d"))
		write(t, f, "a", 0, []byte("one"), false)
		file, err := f.OpenWrite("a")
		must(t, err, f.Link("a", "b"), f.Rename("a", "b"))
		if got, _ := f.List("."); !slices.Equal(got, []string{"a", "b", "d"}) {
			t.Errorf("renaming a file to its other name left %q", got)
		}
		write(t, f, "b", 0, []byte("two"), false)
		if got := read(t, f, "a"); string(got) != "two" {
			t.Errorf("the other name reads %q", got)
		}
		write(t, f, "c", 0, []byte("three"), false)
		must(t, f.Rename("c", "d/c"), f.Rename("d/c", "a"))
		if got := read(t, f, "a"); string(got) != "three" {
			t.Errorf("the replaced name reads %q", got)
		}
		must(t, f.Remove("b"))
		_, err = file.WriteAt([]byte("!"), 3) // a file without a name lives on in its handle
		must(t, err)
		p := make([]byte, 4)
		_, err = file.ReadAt(p, 0)
		must(t, err, file.Close())
		if string(p) != "two!" {
			t.Errorf("the removed file reads %q", p)
		}
		if got, _ := f.List("."); !slices.Equal(got, []string{"a", "d"}) {
			t.Errorf("names %q", got)
		}
	})
}

func TestLock(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		lock, err := f.Lock(disk.LockName)
		must(t, err)
		if _, err := f.Lock(disk.LockName); !errors.Is(err, disk.ErrLocked) {
			t.Errorf("second lock: %v, want ErrLocked", err)
		}
		must(t, lock.Close())
		lock, err = f.Lock(disk.LockName)
		must(t, err, lock.Close())
		if _, err := f.Stat(disk.LockName); err != nil {
			t.Errorf("the lock file is gone: %v", err)
		}
	})
}
