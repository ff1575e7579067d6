package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// osFile is an open file of the operating system. ReadAt, Truncate and Close are
// those of os.File, which retries EINTR.
type osFile struct {
	*os.File
	name string
	conn syscall.RawConn // lends the descriptor: a use after Close fails, never hits another file

	writes sync.Pool // of *pwrite
}

func newOSFile(name string, f *os.File) (*osFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkRegular("open", f.Name(), info); err != nil {
		return nil, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, name: name, conn: conn}, nil
}

// Name is the name given to the FS.
func (f *osFile) Name() string { return f.name }

// Size returns the length in bytes.
func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// control runs a system call on the descriptor until it is not interrupted.
func (f *osFile) control(op string, call func(fd int) error) error {
	var err error
	lent := f.conn.Control(func(fd uintptr) {
		for {
			err = call(int(fd))
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if lent != nil {
		err = fs.ErrClosed // the only reason not to lend it
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.File.Name(), Err: err}
	}
	return nil
}

// WriteAt is one pwrite(2), and more only after a short one. The count is that
// of all bytes written, with an error too, which os.File.WriteAt does not keep.
// It does not allocate.
func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "pwrite", Path: f.File.Name(), Err: unix.EINVAL}
	}
	w, _ := f.writes.Get().(*pwrite)
	if w == nil {
		w = &pwrite{}
		w.call = w.run
	}
	w.p, w.off, w.done, w.err = p, off, 0, nil
	if f.conn.Control(w.call) != nil {
		w.err = fs.ErrClosed // the only reason not to lend it
	}
	done, err := w.done, w.err
	w.p, w.err = nil, nil
	f.writes.Put(w)
	if err != nil {
		return done, &fs.PathError{Op: "pwrite", Path: f.File.Name(), Err: err}
	}
	return done, nil
}

// pwrite is one WriteAt; the file keeps them, with their bound method, for the
// next ones.
type pwrite struct {
	p    []byte
	off  int64
	done int
	err  error
	call func(fd uintptr)
}

func (w *pwrite) run(fd uintptr) {
	for w.done < len(w.p) {
		n, err := unix.Pwrite(int(fd), w.p[w.done:], w.off+int64(w.done))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			w.err = err
			return
		case n == 0:
			w.err = io.ErrShortWrite // or it would go on for ever
			return
		}
		w.done += n
	}
}

// Sync is fdatasync(2). A failure is returned as it is and must be final: the
// kernel has dropped the pages, so a second call would say OK and lie.
func (f *osFile) Sync() error { return f.control("fdatasync", unix.Fdatasync) }

// Map maps the file read-only and shared.
func (f *osFile) Map(size int64) (Mapping, error) {
	have, err := f.Size()
	if err != nil {
		return nil, err
	}
	if err := CheckMap(f.name, size, have); err != nil {
		return nil, err
	}
	m := &osMapping{name: f.name}
	if size == 0 {
		return m, nil // mmap(2) refuses nothing
	}
	err = f.control("mmap", func(fd int) error {
		m.data, err = mapAligned(fd, uintptr(size))
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// MapRegion is the most that one touch of a map brings into the process, and what
// maps are aligned to: the largest folio of the page cache. Newer kernels map a
// whole folio when one of its pages is touched.
const MapRegion = 2 << 20

// mapAligned maps a file so that the regions of the file lie on those of the
// memory: it reserves more than it needs and gives back the ends.
func mapAligned(fd int, size uintptr) ([]byte, error) {
	if size <= MapRegion {
		p, err := unix.MmapPtr(fd, 0, nil, size, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return nil, err
		}
		return unsafe.Slice((*byte)(p), size), nil
	}
	page := uintptr(os.Getpagesize())
	pages := (size + page - 1) &^ (page - 1)
	base, err := unix.MmapPtr(-1, 0, nil, pages+MapRegion, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	before := -uintptr(base) & (MapRegion - 1)
	p, err := unix.MmapPtr(fd, 0, unsafe.Add(base, before), size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		return nil, errors.Join(err, unix.MunmapPtr(base, pages+MapRegion))
	}
	// What cannot be given back costs addresses only.
	if before > 0 {
		_ = unix.MunmapPtr(base, before)
	}
	_ = unix.MunmapPtr(unsafe.Add(p, pages), MapRegion-before)
	return unsafe.Slice((*byte)(p), size), nil
}

// CheckMap refuses to map more of a file than it has, which would fault at the
// first read: a *CorruptError. Every implementation of File calls it.
func CheckMap(name string, size, have int64) error {
	if size < 0 || int64(int(size)) != size {
		return &fs.PathError{Op: "mmap", Path: name, Err: unix.EINVAL}
	}
	if size > have {
		return Corrupt(name, have, "file ends here, %d bytes are expected", size)
	}
	return nil
}

// WriteBehind is advice: its failure changes nothing but speed. A write that fails
// in the background is told by the next Sync.
func (f *osFile) WriteBehind(off, n int64) {
	if off < 0 || n <= 0 {
		return // for the kernel 0 bytes mean "to the end"
	}
	_ = f.control("sync_file_range", func(fd int) error {
		return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// DropCache is advice: its failure changes nothing but speed.
func (f *osFile) DropCache(off, n int64) {
	if off < 0 || n <= 0 {
		return // for the kernel 0 bytes mean "to the end"
	}
	_ = f.control("fadvise", func(fd int) error {
		return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED)
	})
}

// osMapping is a map of a file.
type osMapping struct {
	name string
	data []byte
	once sync.Once
}

// Bytes returns the mapped bytes, valid until Close.
func (m *osMapping) Bytes() []byte { return m.data }

// WillNeed is advice: a range outside the map is cut to it.
func (m *osMapping) WillNeed(off, n int64) {
	size := int64(len(m.data))
	if off < 0 || n <= 0 || off >= size {
		return
	}
	if n > size-off {
		n = size - off
	}
	start := off &^ int64(os.Getpagesize()-1) // madvise(2) wants a page's start
	_ = unix.Madvise(m.data[start:off+n], unix.MADV_WILLNEED)
}

// DontNeed is advice as well, but one that the kernel follows at once.
func (m *osMapping) DontNeed() {
	if len(m.data) > 0 {
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED)
	}
}

// Close unmaps; a second Close does nothing.
func (m *osMapping) Close() error {
	var err error
	m.once.Do(func() {
		if m.data == nil {
			return
		}
		if e := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(m.data)), uintptr(len(m.data))); e != nil {
			err = &fs.PathError{Op: "munmap", Path: m.name, Err: e}
		}
		m.data = nil
	})
	return err
}
