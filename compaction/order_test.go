package compaction

import (
	"errors"
	"testing"

	"tskv/manifest"
)

func TestCheckOrder(t *testing.T) {
	const w = 7 * dayMS
	file := func(id uint64, window int64, minSeq, maxSeq uint64, keys string, minTime, maxTime uint64) manifest.File {
		return manifest.File{
			ID: id, Class: ClassData, Window: window, MinSeq: minSeq, MaxSeq: maxSeq,
			MinKey: []byte(keys[:1]), MaxKey: []byte(keys[1:]), MinTime: minTime, MaxTime: maxTime,
		}
	}
	f := func(name string, want bool, files ...manifest.File) {
		t.Helper()
		for range 2 { // in both orders
			if err := CheckOrder(files); (err == nil) != want || err != nil && !errors.Is(err, ErrOrder) {
				t.Errorf("%s: %v", name, err)
			}
			if len(files) == 2 {
				files[0], files[1] = files[1], files[0]
			}
		}
	}
	f("none", true)
	f("one", true, file(1, 0, 1, 9, "az", 0, w-1))
	f("rows before the window", false, file(1, w, 1, 9, "az", w-1, w))
	f("rows after the window", false, file(1, 0, 1, 9, "az", 0, w))
	f("no start of a window", false, file(1, 5, 1, 9, "az", 5, 6))
	f("one after the other", true, file(1, 0, 1, 9, "az", 0, 9), file(2, 0, 10, 19, "az", 0, 9))
	f("touching", false, file(1, 0, 1, 10, "az", 0, 9), file(2, 0, 10, 19, "az", 0, 9))
	f("siblings with different keys", true, file(1, 0, 1, 9, "am", 0, 9), file(2, 0, 1, 9, "nz", 0, 9))
	f("siblings with a common key", false, file(1, 0, 1, 9, "an", 0, 9), file(2, 0, 1, 9, "nz", 0, 9))
	f("different times", true, file(1, 0, 1, 9, "az", 0, 9), file(2, 0, 5, 15, "az", 10, 19))
	f("mixed sibling", true, file(1, 0, 1, 9, "az", 0, 9), file(2, Mixed, 1, 9, "az", 0, 5*w))
	f("mixed, no sibling", false, file(1, 0, 1, 9, "az", 0, 9), file(2, Mixed, 1, 10, "az", 0, 5*w))
	f("mixed, other times", true, file(1, 0, 1, 9, "az", 0, 9), file(2, Mixed, 1, 10, "az", w, 5*w))
	f("mixed twice", false, file(1, Mixed, 1, 9, "az", 0, 3*w), file(2, Mixed, 1, 9, "az", 0, 5*w))
	other := file(2, 0, 5, 15, "az", 0, 9)
	other.Class = 10
	f("different classes", true, file(1, 0, 1, 9, "az", 0, 9), other)
}
