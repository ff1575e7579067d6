package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"tskv/disk"
)

func TestMoveOut(t *testing.T) {
	f, dir := newOS(t)
	out := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(out, "back")); err != nil {
		t.Fatal(err)
	}
	if err := f.MkdirAll("d/e"); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]error{
		"relative":                            disk.ErrOutside,
		dir:                                   disk.ErrInside,
		filepath.Join(dir, "x"):               disk.ErrInside,
		filepath.Join(out, "back", "x"):       disk.ErrInside,
		filepath.Join(out, "back"):            fs.ErrExist,
		out:                                   fs.ErrExist,
		filepath.Join(out, "nobody", "there"): fs.ErrNotExist,
	} {
		if err := f.MoveOut("d", to); !errors.Is(err, want) {
			t.Errorf("to %s: %v, want %v", to, err, want)
		}
	}
	if err := f.MoveOut("../d", filepath.Join(out, "d")); !errors.Is(err, disk.ErrName) {
		t.Errorf("from outside: %v", err)
	}
	if err := f.MoveOut("d", filepath.Join(out, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "d", "e")); err != nil {
		t.Error(err)
	}
	if _, err := f.List("d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old name: %v", err)
	}
}
