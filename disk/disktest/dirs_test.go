package disktest_test

import (
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

func TestDirectories(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll("d/e"))
		write(t, f, "d/e/a", 0, []byte("aa"), false)
		write(t, f, "b", 0, []byte("b"), false)
		must(t, f.Rename("d", "x"), f.SyncDir("."))
		if got := read(t, f, "x/e/a"); string(got) != "aa" {
			t.Errorf("in the renamed directory: %q", got)
		}
		_, err := f.List("d")
		wantErr(t, "list of the old name", err, fs.ErrNotExist)
		wantErr(t, "rename of a directory into itself", f.Rename("x", "x/e/y"), syscall.EINVAL)
		must(t, disk.RemoveTree(f, "x"), disk.RemoveTree(f, "x"))
		wantErr(t, "removal of the root", disk.RemoveTree(f, "."), disk.ErrName)
		if got, _ := f.List("."); !slices.Equal(got, []string{"b"}) {
			t.Errorf("left: %q", got)
		}
	})
}

func TestSub(t *testing.T) {
	both(t, func(t *testing.T, f disk.FS) {
		s := disk.Sub(f, "d/e")
		must(t, s.MkdirAll("."), s.MkdirAll("g"))
		write(t, s, "a", 0, []byte("aa"), false)
		must(t, s.Link("a", "g/b"), s.Rename("a", "c"), s.SyncDir("."), s.SyncDir("g"))
		if got := read(t, f, "d/e/g/b"); string(got) != "aa" {
			t.Errorf("seen from outside: %q", got)
		}
		if got, err := s.List(""); err != nil || !slices.Equal(got, []string{"c", "g"}) {
			t.Errorf("list: %q %v", got, err)
		}
		if n, err := s.Stat("c"); err != nil || n != 2 {
			t.Errorf("stat: %d %v", n, err)
		}
		lock, err := s.Lock("LOCK")
		must(t, err, lock.Close(), s.Remove("c"))
		_, err = s.Open("../x")
		wantErr(t, "open outside", err, disk.ErrName)
		_, err = s.List("..")
		wantErr(t, "list outside", err, disk.ErrName)
		for what, err := range map[string]error{
			"rename": s.Rename("g/b", "../b"), "link": s.Link("../b", "b"), "remove": s.Remove("/g"), "mkdir": s.MkdirAll("../h"),
		} {
			wantErr(t, what+" outside", err, disk.ErrName)
		}
	})
}

// TestRenamedDirectoryCrash: a directory's new name survives every crash, and what
// was not synced in it does not.
func TestRenamedDirectoryCrash(t *testing.T) {
	d := disktest.New()
	must(t, d.MkdirAll("d"))
	write(t, d, "d/a", 0, []byte("a"), true)
	must(t, d.SyncDir("d"))
	write(t, d, "d/b", 0, []byte("b"), true)
	must(t, d.Rename("d", "x"))
	for _, c := range []struct {
		names int
		want  []string
	}{{0, []string{"x/a"}}, {100, []string{"x/a", "x/b"}}} {
		if got := d.Crash(disktest.CrashOptions{Names: c.names}).Files(); !slices.Equal(got, c.want) {
			t.Errorf("names %d %%: %q, want %q", c.names, got, c.want)
		}
	}
	must(t, d.SyncDir("x"))
	if got := d.Crash(disktest.CrashOptions{}).Files(); !slices.Equal(got, []string{"x/a", "x/b"}) {
		t.Errorf("after the sync: %q", got)
	}
}
