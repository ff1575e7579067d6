package sstable

// readAheadBytes is what a streaming iterator reads at once.
const readAheadBytes = 1 << 20

// readAhead reads a file once from its start to its end, in large pieces and
// past the map, and drops what it leaves behind from the page cache. It belongs
// to one goroutine. A nil one reads like everybody else.
type readAhead struct {
	buf   []byte
	start int64 // of buf in the file
	end   int64 // of the part of the file to read ahead in
}

// fetch returns the bytes of a place: its own, valid until the next call, or in
// dst's memory.
func (a *readAhead) fetch(r *Reader, at place, dst []byte) ([]byte, error) {
	if a == nil {
		return r.fetch(at, dst)
	}
	if err := r.check(at); err != nil {
		return dst, err
	}
	dst = sized(dst, at.length)
	if at.offset < a.start || at.offset+int64(at.length) > a.start+int64(len(a.buf)) {
		if err := a.fill(r, at); err != nil {
			return dst, err
		}
	}
	copy(dst, a.buf[at.offset-a.start:])
	return dst, nil
}

// fill reads from a place on.
func (a *readAhead) fill(r *Reader, at place) error {
	if len(a.buf) > 0 && at.offset >= a.start {
		r.file.DropCache(a.start, at.offset-a.start)
	}
	n := max(at.length, int(min(readAheadBytes, a.end-at.offset)))
	a.buf = sized(a.buf, n)
	a.start = at.offset
	if err := r.readAt(a.buf, at.offset); err != nil {
		a.buf = a.buf[:0]
		return err
	}
	return nil
}
