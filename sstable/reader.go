package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"tskv/disk"
	"tskv/kv"
)

// ReaderOptions say how a table is read.
type ReaderOptions struct {
	NoMmap bool       // pread everywhere
	Cache  *Cache     // of decompressed payloads, shared by all readers; nil: none
	Maps   *MapBudget // of mapped pages, shared by all readers; nil: no bound
	// Blocks counts the blocks that are opened, by reads and merges alike; may be
	// nil. Any goroutine calls it.
	Blocks interface{ Inc() }
}

// Reader reads one finished table. All methods but Close may be called from any
// goroutine at any time. Errors are *disk.CorruptError for what is not as it was
// written, and the disk's own errors.
type Reader struct {
	name    string
	file    disk.File
	size    int64
	seed    uint32
	blocks  interface{ Inc() } // nil: not counted
	mapping disk.Mapping       // nil with NoMmap
	bytes   []byte             // of the mapping; nil with NoMmap

	props   Properties
	footer  footer
	pages   []pageRef
	tagSets []kv.TagSet
	filter  filter

	resident residency
	checked  checkedBlocks
	verified []atomic.Uint64 // index pages whose mapped bytes had the right checksum

	cache   *Cache
	cacheID uint64

	decompressor decompressor
	queries      sync.Pool // *query
	states       sync.Pool // *sourceState
}

// Open opens a table that must be exactly the expected one, and reads its
// footer, properties, top index, tag sets and filter. ErrVersion for a newer
// format. A damaged filter is no error: see FilterDamaged.
func Open(fs disk.FS, want Expect, opt ReaderOptions) (*Reader, error) {
	return openNamed(fs, disk.TableName(want.FileID), want, opt)
}

func openNamed(fs disk.FS, name string, want Expect, opt ReaderOptions) (*Reader, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	r := &Reader{name: name, file: file, seed: seed(want.FileID), cache: opt.Cache, cacheID: opt.Cache.newReader(), blocks: opt.Blocks}
	if r.cache != nil {
		r.decompressor.shared = &r.cache.decompressor
	}
	r.queries.New = func() any { return new(query) }
	r.states.New = func() any { return new(sourceState) }
	if err := r.open(want, opt); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) open(want Expect, opt ReaderOptions) error {
	size, err := r.file.Size()
	if err != nil {
		return fmt.Errorf("open table %s: %w", r.name, err)
	}
	if size != want.Size || size < headerSize+footerSize {
		return disk.Corrupt(r.name, size, "size is %d bytes, want %d", size, want.Size)
	}
	r.size = size
	if err := r.readEnds(want); err != nil {
		return err
	}
	r.resident = newResidency(size, opt.Maps)
	r.checked = newCheckedBlocks(size)
	if !opt.NoMmap {
		if r.mapping, err = r.file.Map(size); err != nil {
			return fmt.Errorf("map table %s: %w", r.name, err)
		}
		if r.bytes = r.mapping.Bytes(); int64(len(r.bytes)) != size {
			return disk.Corrupt(r.name, disk.UnknownOffset, "map of %d bytes, want %d", len(r.bytes), size)
		}
		r.mapping.WillNeed(r.footer.index.offset, size-r.footer.index.offset)
	}
	if err := r.readSections(); err != nil {
		return err
	}
	r.verified = make([]atomic.Uint64, (len(r.pages)+63)/64)
	return r.openFilter()
}

// readEnds reads header and footer.
func (r *Reader) readEnds(want Expect) error {
	var b [footerSize]byte
	at := r.size - footerSize
	if err := r.readAt(b[:], at); err != nil {
		return err
	}
	if err := r.footer.parse(b[:], want.FileID, r.size); err != nil {
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("open table %s: %w", r.name, err)
		}
		return disk.Corrupt(r.name, at, "%v", err)
	}
	if r.footer.crc != want.FooterCRC {
		return disk.Corrupt(r.name, at, "footer checksum %08x, the manifest says %08x", r.footer.crc, want.FooterCRC)
	}
	h := b[:headerSize]
	if err := r.readAt(h, 0); err != nil {
		return err
	}
	if string(h[:8]) != headerMagic || load64(h, 16) != want.FileID ||
		disk.CRC(r.seed, h[:60]) != binary.LittleEndian.Uint32(h[60:]) {
		return disk.Corrupt(r.name, 0, "malformed header")
	}
	return nil
}

// verifiedSection reads a section that ends with its checksum, and cuts that off.
func (r *Reader) verifiedSection(at place, what string) ([]byte, error) {
	b, err := r.fetch(at, nil)
	if err != nil {
		return nil, err
	}
	return r.checkSum(at, b, what)
}

// checkSum checks and cuts off the checksum at the end of a section.
func (r *Reader) checkSum(at place, b []byte, what string) ([]byte, error) {
	end := len(b) - 4
	if end < 0 || disk.CRC(r.seed, b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, disk.Corrupt(r.name, at.offset, "checksum of the %s", what)
	}
	return b[:end], nil
}

func (r *Reader) readSections() error {
	f := &r.footer
	b, err := r.verifiedSection(f.props, "properties")
	if err != nil {
		return err
	}
	if err := parseProperties(b, &r.props); err != nil {
		return disk.Corrupt(r.name, f.props.offset, "%v", err)
	}
	p := &r.props
	p.FileID, p.Size, p.FooterCRC = f.fileID, f.size, f.crc
	p.MinTime, p.MaxTime, p.FilterBytes = f.minTime, f.maxTime, int64(f.filter.length)
	if b, err = r.verifiedSection(f.top, "top index"); err != nil {
		return err
	}
	if r.pages, err = parseTop(b, f.index); err != nil {
		return disk.Corrupt(r.name, f.top.offset, "%v", err)
	}
	if b, err = r.verifiedSection(f.tags, "tag sets"); err != nil {
		return err
	}
	if r.tagSets, err = parseTagSets(b); err != nil {
		return disk.Corrupt(r.name, f.tags.offset, "%v", err)
	}
	p.TagSets = uint64(len(r.tagSets))
	return nil
}

// Properties returns what the file says of itself. The caller must not change it.
func (r *Reader) Properties() *Properties { return &r.props }

// Close unmaps and closes the file. No other call may be running or follow.
func (r *Reader) Close() error {
	var errs []error
	if r.mapping != nil {
		errs = append(errs, r.mapping.Close())
		r.mapping, r.bytes = nil, nil
	}
	if r.file != nil {
		errs = append(errs, r.file.Close())
		r.file = nil
	}
	r.resident.maps.giveBack(r.resident.forget() + r.filter.held)
	r.filter = filter{}
	r.cache.forget(r.cacheID)
	r.decompressor.close()
	return errors.Join(errs...)
}

// ForgetResidency makes the next read of every part of the file a pread that
// checks it. The engine calls it every minute, since the kernel may have dropped pages, and when
// the budget of mapped pages is used up: what the map took is given back.
func (r *Reader) ForgetResidency() {
	if bytes := r.resident.forget(); bytes > 0 {
		r.mapping.DontNeed()
		r.resident.maps.giveBack(bytes)
	}
	r.checked.forget()
	for i := range r.verified {
		r.verified[i].Store(0)
	}
}

// opened counts a block.
func (r *Reader) opened() {
	if r.blocks != nil {
		r.blocks.Inc()
	}
}

// corrupt gives an error of a decoder its place; errors that have one, and
// those of the disk, pass.
func (r *Reader) corrupt(at place, err error) error {
	if err == nil {
		return nil
	}
	for _, malformed := range [...]error{errColumn, errBlock, errIndex, errTagSets} {
		if errors.Is(err, malformed) && !errors.Is(err, disk.ErrCorrupt) {
			return disk.Corrupt(r.name, at.offset, "%v", err)
		}
	}
	return err
}

// find looks a series up in the index. It must run under Guard.
func (r *Reader) find(key []byte, e *entry, scratch *[]byte) (bool, error) {
	i := pageFor(r.pages, key)
	if i < 0 {
		return false, nil
	}
	at := r.pages[i].place
	data, mapped, err := r.view(at, scratch)
	if err != nil {
		return false, err
	}
	bit := uint64(1) << (i & 63)
	check := !mapped || r.verified[i>>6].Load()&bit == 0
	var p page
	if err := p.parse(data, r.seed, check); err != nil {
		return false, r.corrupt(at, err)
	}
	if mapped && check {
		r.verified[i>>6].Or(bit)
	}
	found, err := p.find(key, r.footer.minTime, r.footer.index.offset, e)
	return found, r.corrupt(at, err)
}
