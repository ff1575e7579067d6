package inspect

import (
	"sync"
	"sync/atomic"

	"tskv/disk"
)

// Progress is told how many bytes of how many have been read. Calls come from
// many goroutines.
type Progress func(done, total int64)

// counting is a file system that counts how much of its files has been read,
// each byte of a file at most once.
type counting struct {
	disk.FS
	total  int64
	done   atomic.Int64
	report Progress
}

func newCounting(fs disk.FS, total int64, report Progress) disk.FS {
	if report == nil {
		return fs
	}
	return &counting{FS: fs, total: total, report: report}
}

// Open opens a file whose reads count.
func (c *counting) Open(name string) (disk.File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		size = 0 // who reads it will see why
	}
	return &countedFile{File: f, fs: c, left: size}, nil
}

type countedFile struct {
	disk.File
	fs   *counting
	mu   sync.Mutex
	left int64 // of the file, not counted yet
}

// ReadAt counts what is read.
func (f *countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.mu.Lock()
	count := min(int64(n), f.left)
	f.left -= count
	f.mu.Unlock()
	if count > 0 {
		f.fs.report(f.fs.done.Add(count), f.fs.total)
	}
	return n, err
}
