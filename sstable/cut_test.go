package sstable

import (
	"os"
	"path/filepath"
	"testing"

	"tskv/disk"
)

// TestCutWithinPage cuts a small file that is read through its map, at many
// lengths. Within the last page that is left the map then reads as zeros, without
// a fault: nothing that was checked before may be taken for good.
func TestCutWithinPage(t *testing.T) {
	dir := t.TempDir()
	fs, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	model := smallModel()
	file := filepath.Join(dir, disk.TableName(1))
	p := build(t, fs, WriterOptions{FileID: 1}, model, 500)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	step := int64(97)
	if testing.Short() {
		step = 997
	}
	for cut := p.Size - 1; cut > 0; cut -= step {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(fs, p.Expect(), ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		answers(t, r, model, "whole")
		answers(t, r, model, "whole, from the map")
		if err := os.Truncate(file, cut); err != nil {
			t.Fatal(err)
		}
		answers(t, r, model, "cut")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
