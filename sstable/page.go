package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// pageBuilder assembles index pages.
type pageBuilder struct {
	buf      []byte
	body     []byte
	restarts []uint16
	first    []byte // key of the page's first entry
	last     []byte
	prev     entry
	entries  int
}

// add appends an entry; false if the page has to be finished first.
func (p *pageBuilder) add(key []byte, e *entry, base uint64) bool {
	shared, prev := 0, (*entry)(nil)
	restart := p.entries%restartEvery == 0
	if !restart {
		shared, prev = commonPrefix(p.last, key), &p.prev
	}
	p.body = e.append(p.body[:0], base, prev)
	size := len(p.buf) + len(key) - shared + len(p.body) + 3*binary.MaxVarintLen32 + 2*(len(p.restarts)+1) + 6
	if p.entries > 0 && size > maxPageSize {
		return false
	}
	if restart {
		p.restarts = append(p.restarts, uint16(len(p.buf)))
	}
	p.buf = binary.AppendUvarint(p.buf, uint64(shared))
	p.buf = binary.AppendUvarint(p.buf, uint64(len(key)-shared))
	p.buf = append(p.buf, key[shared:]...)
	p.buf = binary.AppendUvarint(p.buf, uint64(len(p.body)))
	p.buf = append(p.buf, p.body...)
	if p.entries == 0 {
		p.first = append(p.first[:0], key...)
	}
	p.last, p.prev = append(p.last[:0], key...), *e
	p.entries++
	return true
}

// finish returns the page, valid until the next add.
func (p *pageBuilder) finish(seed uint32) []byte {
	page := p.buf
	for _, r := range p.restarts {
		page = binary.LittleEndian.AppendUint16(page, r)
	}
	page = binary.LittleEndian.AppendUint16(page, uint16(len(p.restarts)))
	page = binary.LittleEndian.AppendUint32(page, disk.CRC(seed, page))
	p.buf, p.restarts, p.entries = page[:0], p.restarts[:0], 0
	return page
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if load64(a, i) != load64(b, i) {
			break
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// page is a view of an index page: the entries and the restarts.
type page struct {
	entries  []byte
	restarts []byte
}

// parse splits a page; its checksum is checked only if wanted.
func (p *page) parse(data []byte, seed uint32, check bool) error {
	if len(data) < 8 {
		return fmt.Errorf("%w: page of %d bytes", errIndex, len(data))
	}
	end := len(data) - 4
	if check {
		if got, want := disk.CRC(seed, data[:end]), binary.LittleEndian.Uint32(data[end:]); got != want {
			return fmt.Errorf("%w: page checksum %08x, want %08x", errIndex, got, want)
		}
	}
	n := int(binary.LittleEndian.Uint16(data[end-2:]))
	start := end - 2 - 2*n
	if n == 0 || start <= 0 {
		return fmt.Errorf("%w: %d restarts", errIndex, n)
	}
	p.entries, p.restarts = data[:start], data[start:end-2]
	return nil
}

// rawEntry is an entry as it stands in a page.
type rawEntry struct {
	shared     int
	rest, body []byte
}

// at reads the entry at off and returns the offset of the next one.
func (p *page) at(off int, e *rawEntry) (int, error) {
	if off < 0 || off >= len(p.entries) {
		return 0, fmt.Errorf("%w: entry offset", errIndex)
	}
	b := p.entries[off:]
	if len(b) > 3 && b[0]|b[1] < 0x80 { // nearly always: all lengths are one byte
		n := 2 + int(b[1])
		if n < len(b) && b[n] < 0x80 {
			if end := n + 1 + int(b[n]); end <= len(b) {
				e.shared, e.rest, e.body = int(b[0]), b[2:n:n], b[n+1:end:end]
				return off + end, nil
			}
		}
	}
	f := fields{b: b}
	e.shared = int(f.bounded(kv.MaxKey))
	e.rest = f.bytes(kv.MaxKey)
	e.body = f.bytes(1 << 10)
	if f.bad {
		return 0, fmt.Errorf("%w: entry at %d", errIndex, off)
	}
	return len(p.entries) - len(f.b), nil
}

// seek returns the offset of the last restart whose key is at most key, or 0.
func (p *page) seek(key []byte) (int, error) {
	lo, hi := 0, len(p.restarts)/2
	var e rawEntry
	for lo+1 < hi {
		mid := (lo + hi) / 2
		if _, err := p.at(p.restart(mid), &e); err != nil {
			return 0, err
		}
		if e.shared != 0 {
			return 0, fmt.Errorf("%w: restart shares a prefix", errIndex)
		}
		if bytes.Compare(e.rest, key) <= 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return p.restart(lo), nil
}

func (p *page) restart(i int) int { return int(binary.LittleEndian.Uint16(p.restarts[2*i:])) }

// find decodes key's entry into e; false if the page does not have it. It never
// builds a key: known is how much of key the entry before matches, which decides
// most entries by their shared length alone.
func (p *page) find(key []byte, base uint64, dataEnd int64, e *entry) (bool, error) {
	off, from, err := p.scan(key)
	if err != nil || off < 0 {
		return false, err
	}
	var raw rawEntry
	for prev := (*entry)(nil); from < off; prev = e {
		if from, err = p.at(from, &raw); err != nil {
			return false, err
		}
		if err := e.parse(raw.body, base, dataEnd, prev); err != nil {
			return false, err
		}
	}
	return true, nil
}

// scan returns the end of key's entry, -1 if there is none, and the start of the
// entry from which on it can be decoded.
func (p *page) scan(key []byte) (end, from int, err error) {
	off, err := p.seek(key)
	if err != nil {
		return 0, 0, err
	}
	known := 0
	from = off
	var e rawEntry
	for off < len(p.entries) {
		start := off
		if off, err = p.at(off, &e); err != nil {
			return 0, 0, err
		}
		if len(e.body) == 0 || e.body[0]&entryNext == 0 {
			from = start
		}
		switch {
		case e.shared > known:
			continue // differs from key where the one before did: still smaller
		case e.shared < known:
			return -1, 0, nil // differs earlier, so it is larger
		}
		rest := key[known:]
		same := commonPrefix(e.rest, rest)
		switch {
		case same == len(e.rest) && same == len(rest):
			return off, from, nil
		case same == len(e.rest):
		case same == len(rest) || e.rest[same] > rest[same]:
			return -1, 0, nil
		}
		known += same
	}
	return -1, 0, nil
}
