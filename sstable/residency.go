package sstable

import (
	"errors"
	"fmt"
	"io"

	"tskv/disk"
)

// check refuses a place outside the file.
func (r *Reader) check(at place) error {
	if at.offset < 0 || at.length <= 0 || at.offset > r.size || int64(at.length) > r.size-at.offset {
		return disk.Corrupt(r.name, at.offset, "section of %d bytes leaves the file", at.length)
	}
	return nil
}

// view returns the bytes of a place: of the map if they are resident there
// (mapped is true and the caller must be under Guard for as long as it looks at
// them), else read into scratch.
func (r *Reader) view(at place, scratch *[]byte) (data []byte, mapped bool, err error) {
	if err := r.check(at); err != nil {
		return nil, false, err
	}
	if r.bytes != nil && r.resident.has(at) {
		end := at.offset + int64(at.length)
		return r.bytes[at.offset:end:end], true, nil
	}
	*scratch = sized(*scratch, at.length)
	return *scratch, false, r.pread(*scratch, at)
}

// fetch returns a copy of the bytes of a place in dst's memory, grown if needed.
func (r *Reader) fetch(at place, dst []byte) ([]byte, error) {
	if err := r.check(at); err != nil {
		return dst, err
	}
	dst = sized(dst, at.length)
	if r.bytes != nil && r.resident.has(at) {
		return dst, disk.Guard(r.name, func() error {
			copy(dst, r.bytes[at.offset:])
			return nil
		})
	}
	return dst, r.pread(dst, at)
}

// direct is fetch by pread alone, without a trace in the residency.
func (r *Reader) direct(at place, dst []byte) ([]byte, error) {
	if err := r.check(at); err != nil {
		return dst, err
	}
	dst = sized(dst, at.length)
	return dst, r.readAt(dst, at.offset)
}

// pread reads a place from the file and marks it as resident.
func (r *Reader) pread(dst []byte, at place) error {
	if err := r.readAt(dst, at.offset); err != nil {
		return err
	}
	if r.bytes != nil && r.resident.set(at) {
		first := at.offset &^ (1<<granuleShift - 1)
		last := (at.offset + int64(at.length) + 1<<granuleShift - 1) &^ (1<<granuleShift - 1)
		r.mapping.WillNeed(first, min(last, r.size)-first)
	}
	return nil
}

// readAt fills dst from the file.
func (r *Reader) readAt(dst []byte, off int64) error {
	n, err := r.file.ReadAt(dst, off)
	switch {
	case n == len(dst):
		return nil
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return disk.Corrupt(r.name, off+int64(n), "the file ends here, want %d bytes more", len(dst)-n)
	}
	return fmt.Errorf("read table %s: %w", r.name, err)
}
