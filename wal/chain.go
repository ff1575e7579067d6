package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"tskv/disk"
)

// segmentFile is a segment that Replay found.
type segmentFile struct {
	no     uint64
	name   string
	header segmentHeader
	ok     bool // the header is there
}

// listChain finds the segments from minSegment on and checks that each follows
// the one before. Segments at the end whose header never became durable are
// returned as dropped.
func listChain(fsys disk.FS, dbID, minSegment uint64) (chain, dropped []segmentFile, err error) {
	names, err := fsys.List(disk.SegmentDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		name = path.Join(disk.SegmentDir, name)
		if kind, no, _ := disk.ParseName(name); kind == disk.KindSegment && no >= minSegment {
			chain = append(chain, segmentFile{no: no, name: name})
		}
	}
	slices.SortFunc(chain, func(a, b segmentFile) int {
		if a.no < b.no {
			return -1
		}
		return 1
	})
	last := 0 // number of segments up to the last one with a header
	for i := range chain {
		if err := chain[i].readHeader(fsys, dbID); err != nil {
			return nil, nil, err
		}
		if chain[i].ok {
			last = i + 1
		}
	}
	chain, dropped = chain[:last], chain[last:]
	for i := range chain {
		if err := checkLink(chain, i, minSegment); err != nil {
			return nil, nil, err
		}
	}
	return chain, dropped, nil
}

func (s *segmentFile) readHeader(fsys disk.FS, dbID uint64) error {
	f, err := fsys.Open(s.name)
	if err != nil {
		return err
	}
	b := make([]byte, segmentHeaderSize)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.header, s.ok, err = decodeSegmentHeader(b[:n], s.name, s.no, dbID)
	return err
}

// checkLink checks that segment i of the chain follows segment i-1.
func checkLink(chain []segmentFile, i int, minSegment uint64) error {
	s := &chain[i]
	if !s.ok {
		if next := &chain[i+1]; next.ok && next.header.flags&flagRecovered != 0 {
			return nil // it may never have been durable: Replay looks closer
		}
		return disk.Corrupt(s.name, 0, "the segment header is damaged and segments follow")
	}
	prev := s.header.prev.segment
	if i == 0 {
		if prev >= minSegment && prev > 0 {
			return disk.Corrupt(disk.SegmentName(prev), 0, "the segment is missing, %s follows it", s.name)
		}
		return nil
	}
	if before := chain[i-1].no; prev > before {
		return disk.Corrupt(disk.SegmentName(prev), 0, "the segment is missing, %s follows it", s.name)
	} else if prev < before {
		return disk.Corrupt(s.name, 24, "the segment follows number %d, not %s", prev, chain[i-1].name)
	}
	return nil
}

// window reads a file through one large buffer.
type window struct {
	file disk.File
	name string
	size int64
	buf  []byte
	off  int64 // where the buffered bytes lie in the file
	n    int   // how many there are
}

// windowBytes is the size of a read: large enough that the calls cost nothing.
const windowBytes = 1 << 20

// open starts on another file and keeps the buffer.
func (w *window) open(fsys disk.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size > maxFileBytes {
		err = disk.Corrupt(name, 0, "a segment cannot have %d bytes", size)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	*w = window{file: f, name: name, size: size, buf: w.buf}
	return nil
}

// at returns n bytes at off; the caller has checked that the file has them.
// They are valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(w.n) {
		want := int(min(int64(max(n, windowBytes)), w.size-off))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.n = 0
		if _, err := w.file.ReadAt(w.buf[:want], off); err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", w.name, off, err)
		}
		w.off, w.n = off, want
	}
	i := int(off - w.off)
	return w.buf[i : i+n], nil
}
