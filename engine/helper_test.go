package engine

import (
	"testing"

	"go.uber.org/goleak"

	"tskv/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testOptions make everything small, so that a short test flushes, rotates and
// merges.
func testOptions(fs disk.FS) Options {
	return Options{FS: fs, MemtableBytes: 64 << 10, SegmentBytes: 64 << 10, MinFreeBytes: 1}
}

func open(t testing.TB, opt Options) *DB {
	t.Helper()
	db, err := Open("test", opt)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
