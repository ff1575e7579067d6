package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// Lost is a place in a table that does not verify, and what is lost with it.
type Lost struct {
	Offset, Length int64 // bytes
	Reason         string
	// MinKey and MaxKey bound the keys that had rows there, inclusive. An empty
	// MinKey is the start of the file; a nil MaxKey its end.
	MinKey, MaxKey []byte
	From, To       kv.ID // bounds of the rows' IDs, inclusive
	Rows           int64 // 0: nothing is lost, -1: not known
}

// Salvage reads what still verifies of a damaged table. It trusts nothing but
// checksums: where the footer is damaged it looks for the index, where a page
// of the index is damaged it takes the keys from the packed blocks themselves.
// It belongs to one goroutine. Memory: the keys of the series that have blocks
// of their own, and of those recovered without an index.
type Salvage struct {
	r      *Reader // without a map, and with as much of its fields as could be read
	lost   func(Lost)
	pages  []indexPage // that verify, in key order
	whole  bool        // no page is missing
	own    []extent    // of series with own blocks, in key order and in order of offsets
	packed map[int64]int
	runs   []recoveredRun // of keys that no page has, in key order
	budget int64          // bytes of checksums that may still be wasted on wrong guesses
	buf    []byte
	reader blockReader
}

// indexPage is a verified page.
type indexPage struct {
	place
	first, last []byte
	number      int // pages with successive numbers have nothing between them
}

// OpenSalvage opens the table with the given ID under any name. known is what
// the manifest says of it, nil if there is none; of that it needs what bounds
// and orders the rows: sequences, class, window, MinTime, MinKey, MaxKey. lost is
// called now and later with each damage.
//
// ErrVersion for a newer format; a *disk.CorruptError if neither the file nor
// known says which sequences the rows have.
func OpenSalvage(fs disk.FS, name string, id uint64, known *Properties, lost func(Lost)) (*Salvage, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("salvage table: %w", err)
	}
	s := &Salvage{r: &Reader{name: name, file: file, seed: seed(id)}, lost: lost, packed: make(map[int64]int)}
	if err := s.open(id, known); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Properties returns what bounds and orders the rows: sequences, class and
// window.
func (s *Salvage) Properties() *Properties { return &s.r.props }

// Close closes the file.
func (s *Salvage) Close() error { return s.r.Close() }

// nothing reports damage that loses no row by itself.
func (s *Salvage) nothing(offset, length int64, reason string) {
	s.lost(Lost{Offset: offset, Length: length, Reason: reason})
}

func (s *Salvage) open(id uint64, known *Properties) error {
	size, err := s.r.file.Size()
	if err != nil {
		return fmt.Errorf("salvage table: %w", err)
	}
	s.r.size = size
	s.budget = 16*size + 1<<30
	described, err := s.header(id)
	if err != nil {
		return err
	}
	framed, err := s.footer(id)
	if err != nil {
		return err
	}
	if framed && s.properties() {
		described = true
	}
	if known != nil && (!described || !framed) {
		p := &s.r.props
		p.MinSeq, p.MaxSeq, p.Class, p.Window = known.MinSeq, known.MaxSeq, known.Class, known.Window
		p.MinKey, p.MaxKey = known.MinKey, known.MaxKey
		if !framed {
			s.r.footer.minTime = known.MinTime
		}
		described = true
	}
	if !described {
		return disk.Corrupt(s.r.name, 0, "header and properties are damaged: nothing says which sequences the rows have")
	}
	if !framed {
		return s.withoutFooter(known != nil)
	}
	s.sections()
	s.index()
	s.complete()
	return nil
}

// header reads the head of the file: the same that the properties say.
func (s *Salvage) header(id uint64) (ok bool, err error) {
	h, err := s.read(place{0, headerSize})
	if err != nil || string(h[:8]) != headerMagic || load64(h, 16) != id ||
		disk.CRC(s.r.seed, h[:60]) != binary.LittleEndian.Uint32(h[60:]) {
		s.nothing(0, headerSize, "malformed header")
		return false, nil
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v > formatVersion {
		return false, fmt.Errorf("salvage table %s: %w: %d, this program reads up to %d", s.r.name, ErrVersion, v, formatVersion)
	}
	p := &s.r.props
	p.FileID, p.Size, p.Class, p.Codec = id, s.r.size, h[12], Codec(h[13])
	p.MinSeq, p.MaxSeq, p.Window = load64(h, 24), load64(h, 32), int64(load64(h, 40))
	return true, nil
}

func (s *Salvage) footer(id uint64) (ok bool, err error) {
	at := s.r.size - footerSize
	b, err := s.read(place{at, footerSize})
	if err == nil {
		err = s.r.footer.parse(b, id, s.r.size)
	}
	if errors.Is(err, ErrVersion) {
		return false, fmt.Errorf("salvage table %s: %w", s.r.name, err)
	}
	if err != nil {
		s.nothing(max(at, 0), min(footerSize, s.r.size), err.Error())
		s.r.footer = footer{}
		return false, nil
	}
	return true, nil
}

func (s *Salvage) properties() bool {
	at := s.r.footer.props
	b, err := s.r.verifiedSection(at, "properties")
	var p Properties
	if err == nil {
		err = parseProperties(b, &p)
	}
	if err != nil {
		s.nothing(at.offset, int64(at.length), "properties: "+reasonOf(err))
		return false
	}
	p.FileID, p.Size = s.r.footer.fileID, s.r.size
	p.MinTime, p.MaxTime = s.r.footer.minTime, s.r.footer.maxTime
	s.r.props = p
	return true
}

// sections reads tag sets and filter at the places of a good footer.
func (s *Salvage) sections() {
	f := &s.r.footer
	b, err := s.r.verifiedSection(f.tags, "tag sets")
	if err == nil {
		s.r.tagSets, err = parseTagSets(b)
	}
	if err != nil {
		s.nothing(f.tags.offset, int64(f.tags.length), "tag sets: "+reasonOf(err))
	}
	if _, err := s.r.verifiedSection(f.filter, "filter"); err != nil {
		s.nothing(f.filter.offset, int64(f.filter.length), "filter: "+reasonOf(err))
	}
}

// read returns the bytes of a place, valid until the next read.
func (s *Salvage) read(at place) ([]byte, error) {
	var err error
	s.buf, err = s.r.direct(at, s.buf)
	return s.buf, err
}

// reasonOf is an error without the place that a report has anyway.
func reasonOf(err error) string {
	var corrupt *disk.CorruptError
	if errors.As(err, &corrupt) {
		return corrupt.Reason
	}
	return err.Error()
}
