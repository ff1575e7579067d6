package disk_test

import (
	"bytes"
	"testing"
	"unsafe"

	"tskv/disk"
)

// TestMapDontNeed: maps of all sizes have the file's bytes, before and after their
// pages were given back, and large ones lie on the borders of regions.
func TestMapDontNeed(t *testing.T) {
	f, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{0, 1, 4096, disk.MapRegion, disk.MapRegion + 1, 2*disk.MapRegion - 4096, 5*disk.MapRegion + 12345} {
		name := string(rune('a' + i))
		file := fill(t, f, name, size)
		m, err := file.Map(int64(size))
		if err != nil {
			t.Fatal(err)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(m.Bytes()))); size > disk.MapRegion && at%disk.MapRegion != 0 {
			t.Errorf("a map of %d bytes lies at %#x", size, at)
		}
		for range 2 {
			if err := disk.Guard(name, func() error {
				if n := bytes.Count(m.Bytes(), []byte{7}); n != size {
					t.Errorf("%d of %d bytes are right", n, size)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			m.DontNeed()
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		m.DontNeed() // after Close it does nothing
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}
