package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupPlaces: a repository does not lie in a store, nor a store in a
// repository, and nothing is made where it is refused.
func TestBackupPlaces(t *testing.T) {
	dir := makeStore(t)
	base := filepath.Dir(dir)
	link := filepath.Join(base, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{dir, filepath.Join(dir, "b"), filepath.Join(dir, "sst", "x", "y"), filepath.Join(link, "b")} {
		code, _, errOut := tskv("backup", "--dir", dir, "--to", to)
		if code != 1 || !strings.Contains(errOut, "in the data directory "+dir) {
			t.Errorf("backup to %s: code %d\n%s", to, code, errOut)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
		t.Error("a repository was made in the store")
	}
	repo := filepath.Join(base, "a repository")
	if code, _, errOut := tskv("backup", "--dir", dir, "--to", repo); code != 0 {
		t.Fatal(errOut)
	}
	damage(t, dataTable(t, dir), 100)
	if code, _, errOut := tskv("backup", "--dir", dir, "--to", filepath.Join(base, "second")); code != 1 || !strings.Contains(errOut, "--allow-damaged") {
		t.Errorf("a damaged table: code %d\n%s", code, errOut)
	}
	full := filepath.Join(base, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o750); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		filepath.Join(repo, "x"): "is in the repository",
		full:                     "is not empty",
		dir:                      "is not empty",
	} {
		if code, _, errOut := tskv("restore", "--from", repo, "--dir", to); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("restore to %s: code %d\n%s", to, code, errOut)
		}
	}
}

// TestRestoreToEmpty restores to a directory that is there and empty, to one that
// a symbolic link leads to, and to one with a space in its name.
func TestRestoreToEmpty(t *testing.T) {
	dir := makeStore(t)
	base := filepath.Dir(dir)
	repo := filepath.Join(base, "repo")
	if code, _, errOut := tskv("backup", "--dir", dir, "--to", repo); code != 0 {
		t.Fatal(errOut)
	}
	empty, link, far := filepath.Join(base, "my data"), filepath.Join(base, "link"), filepath.Join(base, "far")
	for _, path := range []string{empty, far} {
		if err := os.Mkdir(path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(far, link); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := tskv("restore", "--from", repo, "--dir", empty)
	if code != 0 || !strings.Contains(out, "tskv serve --dir '"+empty+"'\n") {
		t.Errorf("code %d\n%s%s", code, out, errOut)
	}
	if code, _, errOut := tskv("restore", "--from", repo, "--dir", link); code != 0 {
		t.Errorf("code %d\n%s", code, errOut)
	}
	for _, path := range []string{empty, far} {
		if code, out, errOut := tskv("check", path); code != 0 {
			t.Errorf("%s: code %d\n%s%s", path, code, out, errOut)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone:", err)
	}
}

// TestUsage: what is no command line is never taken for a result.
func TestUsage(t *testing.T) {
	empty := t.TempDir()
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"check":                    {2, "give one directory"},
		"check a b":                {2, "give one directory"},
		"check a --jsn":            {2, "unknown flag"},
		"dump table x":             {1, `unknown kind of file "table"`},
		"dump wal " + empty:        {1, "not a tskv store"},
		"backup list " + empty:     {1, empty + ": open backup repository: not a backup repository"},
		"backup --to x --dir none": {1, "none: there is no store"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Chdir(empty)
			if code, _, errOut := tskv(strings.Fields(args)...); code != want.code || !strings.Contains(errOut, want.text) {
				t.Errorf("code %d\n%s", code, errOut)
			}
		})
	}
	if code, out, _ := tskv("dump"); code != 0 || !strings.Contains(out, "Usage:") {
		t.Errorf("code %d\n%s", code, out)
	}
}
