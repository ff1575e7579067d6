package disk_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

const prev = disk.PrevManifestName

// manifestDisk has a manifest of content "two" before which there was "one".
func manifestDisk(t *testing.T) *disktest.Disk {
	t.Helper()
	d := disktest.New()
	for _, content := range []string{"one", "two"} {
		if err := disk.ReplaceFile(d, disk.ManifestName, prev, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// content reads a file, "" if there is none.
func content(t *testing.T, d *disktest.Disk, name string) string {
	t.Helper()
	b, err := d.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func checkContents(t *testing.T, d *disktest.Disk, main, before string) {
	t.Helper()
	if got := content(t, d, disk.ManifestName); got != main {
		t.Errorf("manifest %q, want %q", got, main)
	}
	if got := content(t, d, prev); got != before {
		t.Errorf("previous manifest %q, want %q", got, before)
	}
	for _, name := range d.Files() {
		if strings.HasSuffix(name, disk.TempSuffix) {
			t.Errorf("%s is left over", name)
		}
	}
}

func TestReplaceFile(t *testing.T) {
	d := disktest.New()
	if err := disk.ReplaceFile(d, disk.ManifestName, prev, []byte("one")); err != nil {
		t.Fatal(err)
	}
	checkContents(t, d, "one", "")
	d = manifestDisk(t)
	checkContents(t, d, "two", "one")
	if err := disk.ReplaceFile(d, disk.ManifestName, "", nil); err != nil {
		t.Fatal(err)
	}
	checkContents(t, d.Crash(disktest.CrashOptions{}), "", "one")
	if size, err := d.Stat(disk.ManifestName); size != 0 || err != nil {
		t.Errorf("size %d, %v, want an empty file", size, err)
	}
	if d.Handles() != 0 {
		t.Errorf("%d handles left", d.Handles())
	}
}

func TestReplaceFileOtherDirectory(t *testing.T) {
	d := manifestDisk(t)
	if err := d.MkdirAll("old"); err != nil {
		t.Fatal(err)
	}
	if err := disk.ReplaceFile(d, disk.ManifestName, "old/m", []byte("three")); err != nil {
		t.Fatal(err)
	}
	d = d.Crash(disktest.CrashOptions{})
	checkContents(t, d, "three", "one")
	if got := content(t, d, "old/m"); got != "two" {
		t.Errorf("kept %q, want two", got)
	}
	if err := disk.ReplaceFile(d, disk.ManifestName, "none/m", []byte("four")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keeping in no directory: %v, want ErrNotExist", err)
	}
	checkContents(t, d, "three", "one")
}

func TestReplaceFileRemovesStale(t *testing.T) {
	d := manifestDisk(t)
	d.WriteFile(disk.ManifestName+disk.TempSuffix, []byte(strings.Repeat("stale ", 1000)))
	d.WriteFile(prev+disk.TempSuffix, []byte("stale"))
	if err := disk.ReplaceFile(d, disk.ManifestName, prev, []byte("three")); err != nil {
		t.Fatal(err)
	}
	checkContents(t, d, "three", "two")
}

// TestReplaceFileCrash cuts the power after each operation, with each share of
// what was not synced, and lets the next process replace the file again.
func TestReplaceFileCrash(t *testing.T) {
	const seed = 20240607
	states := 0
	for stop := 0; ; stop++ {
		d := manifestDisk(t)
		d.StopAfter(d.Ops() + stop)
		err := disk.ReplaceFile(d, disk.ManifestName, prev, []byte("three"))
		for _, opt := range append(disktest.CrashMatrix(seed+uint64(stop)), disktest.CrashOptions{Names: -1}) {
			states++
			after := d.Crash(opt)
			if opt.Names < 0 {
				after = d.Clone() // kill -9
			}
			main, before := content(t, after, disk.ManifestName), content(t, after, prev)
			done := main == "three" && err == nil
			if !done && !slices.Contains([]string{"two", "three"}, main) || main == "" {
				t.Errorf("stop=%d %v: manifest %q (%s)", stop, opt, main, d.LastOp())
			}
			if !slices.Contains([]string{"one", "two"}, before) || err == nil && (main != "three" || before != "two") {
				t.Errorf("stop=%d %v: manifest %q, previous %q (%s)", stop, opt, main, before, d.LastOp())
			}
			if e := disk.ReplaceFile(after, disk.ManifestName, prev, []byte("four")); e != nil {
				t.Fatalf("stop=%d %v: after the crash: %v", stop, opt, e)
			}
			checkContents(t, after.Crash(disktest.CrashOptions{}), "four", main)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, disktest.ErrStopped) {
			t.Fatalf("stop=%d: %v, want ErrStopped", stop, err)
		}
	}
	t.Logf("%d crash states, seed %d", states, seed)
}

// TestReplaceFileFails fails every call once, with every error.
func TestReplaceFileFails(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for nth := 1; ; nth++ {
			d := manifestDisk(t)
			d.Fail(disktest.FailRule{Nth: nth, Err: cause, Short: 2})
			err := disk.ReplaceFile(d, disk.ManifestName, prev, []byte("three"))
			if d.Failed() == 0 {
				break // every call has had its turn
			}
			main := "two"
			if d.Calls(disktest.OpSyncDir) == 3 {
				main = "three" // only the last call failed
			}
			if err == nil || !errors.Is(err, cause) {
				t.Errorf("%v at call %d: error %v", cause, nth, err)
			}
			if got := content(t, d, disk.ManifestName); got != main {
				t.Errorf("%v at call %d: manifest %q, want %q", cause, nth, got, main)
			}
			for _, name := range d.Files() {
				if strings.HasSuffix(name, disk.TempSuffix) {
					t.Errorf("%v at call %d: %s is left over", cause, nth, name)
				}
			}
			if got := content(t, d.Crash(disktest.CrashOptions{}), disk.ManifestName); got != "two" {
				t.Errorf("%v at call %d: after a power cut %q, want two", cause, nth, got)
			}
			if d.Handles() != 0 {
				t.Errorf("%v at call %d: %d handles left", cause, nth, d.Handles())
			}
		}
	}
}
