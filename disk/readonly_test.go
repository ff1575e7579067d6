package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReadOnly: everything can be read, nothing changed, and the shared lock
// keeps the owner out but not a second reader.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(LockName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock that is not there: %v", err)
	}
	_, createErr := r.Create("b")
	_, writeErr := r.OpenWrite("a")
	for i, err := range []error{
		createErr, writeErr, r.Rename("a", "b"), r.Link("a", "b"), r.Remove("a"), r.MkdirAll("c"), r.SyncDir("."),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	f, err := r.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a file could be written")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	owner, err := NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := owner.Lock(LockName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(LockName); !errors.Is(err, ErrLocked) {
		t.Errorf("reader beside the owner: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		shared, err := r.Lock(LockName)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = shared.Close() }()
	}
	if _, err := owner.Lock(LockName); !errors.Is(err, ErrLocked) {
		t.Errorf("owner beside readers: %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, LockName)); string(after) != string(before) {
		t.Errorf("the lock file has become %q", after)
	}
	names, err := r.List(".")
	if err != nil || len(names) != 2 {
		t.Error(names, err)
	}
	if _, err := NewReadOnly(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := NewReadOnly(filepath.Join(dir, "a")); err == nil {
		t.Error("a file is no directory")
	}
}
