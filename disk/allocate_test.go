package disk_test

import (
	"errors"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// TestAllocate: the room is taken from what is free, on a real disk and on the
// one of the tests, also when a file grows; an allocation that does not fit says so.
func TestAllocate(t *testing.T) {
	onDisk, _ := newOS(t)
	memory := disktest.New()
	memory.Capacity(4 << 20)
	for what, fs := range map[string]disk.FS{"os": onDisk, "memory": memory} {
		file, err := fs.Create("room")
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{100, 3 << 20, 1 << 20} {
			if err := disk.Allocate(file, size); err != nil {
				t.Fatal(what, err)
			}
		}
		if n, err := fs.Stat("room"); err != nil || n != 3<<20 {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		}
		if free, _, _ := fs.Free(); what == "memory" && free != 1<<20 {
			t.Errorf("%d bytes are free, want 1 MiB", free)
		}
		if err := disk.Allocate(file, 1<<60); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%s: an exbibyte: %v", what, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}
