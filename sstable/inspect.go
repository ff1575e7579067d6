package sstable

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"tskv/disk"
	"tskv/kv"
)

// BlockInfo describes one block of a table, for people.
type BlockInfo struct {
	Offset            int64  // in the file, bytes
	Length            int    // bytes, header and padding included
	Kind              string // "numeric", "packed raw" ...; with an error also "index" (a page), "block list" or empty
	Rows              int
	Series            int
	FirstKey, LastKey []byte // the same unless the block is packed
	MinTime, MaxTime  uint64 // of its rows
	ScaleMode         string // of numeric blocks, else empty
	Scale             int    // decimals of the widest row of a numeric block
	Columns           []ColumnInfo
}

// ColumnInfo describes one column of a block. A column that is not listed is
// all zeros and takes no bytes.
type ColumnInfo struct {
	Name     string
	Encoding string
	Bytes    int // in the file, without the 8 of its directory entry
	RawBytes int // as 8 bytes a value, or not compressed
}

// FormatVersion is the version of the file's layout.
func (r *Reader) FormatVersion() int { return int(r.footer.version) }

// OpenUnlisted opens a table file of any name that no manifest vouches for: what
// its own footer says of ID and size is believed.
func OpenUnlisted(fs disk.FS, name string, opt ReaderOptions) (*Reader, error) {
	want, err := readExpect(fs, name)
	if err != nil {
		return nil, err
	}
	return openNamed(fs, name, want, opt)
}

func readExpect(fs disk.FS, name string) (Expect, error) {
	file, err := fs.Open(name)
	if err != nil {
		return Expect{}, fmt.Errorf("open table: %w", err)
	}
	r := &Reader{name: name, file: file}
	want, err := r.expectOfFooter()
	return want, errors.Join(err, file.Close())
}

// expectOfFooter reads what the file says of itself.
func (r *Reader) expectOfFooter() (Expect, error) {
	size, err := r.file.Size()
	if err != nil {
		return Expect{}, fmt.Errorf("open table %s: %w", r.name, err)
	}
	if size < headerSize+footerSize {
		return Expect{}, disk.Corrupt(r.name, size, "%d bytes are no table", size)
	}
	var b [footerSize]byte
	if err := r.readAt(b[:], size-footerSize); err != nil {
		return Expect{}, err
	}
	id := load64(b[:], 8)
	if err := r.footer.parse(b[:], id, size); err != nil {
		if errors.Is(err, ErrVersion) {
			return Expect{}, fmt.Errorf("open table %s: %w", r.name, err)
		}
		return Expect{}, disk.Corrupt(r.name, size-footerSize, "%v", err)
	}
	return Expect{FileID: id, Size: size, FooterCRC: r.footer.crc}, nil
}

// Blocks walks all blocks in the order of their first keys and, within a
// series, of time, reading by pread. Each block is checked and unpacked. What is
// damaged comes with its error, a *disk.CorruptError, and with what the index
// says of it; the walk goes on behind it if the caller does. The BlockInfo is
// the caller's to keep. It may be called from any goroutine.
func (r *Reader) Blocks() iter.Seq2[BlockInfo, error] {
	return func(yield func(BlockInfo, error) bool) {
		w := blockWalk{it: r.StreamIterator().(*iterator), yield: yield, packed: make(map[int64]struct{})}
		defer w.it.Close()
		w.run()
	}
}

// blockWalk is a walk over the blocks of a file.
type blockWalk struct {
	it      *iterator
	yield   func(BlockInfo, error) bool
	cursor  blockCursor
	reader  blockReader
	scratch batch
	buf     []byte
	packed  map[int64]struct{} // offsets of the packed blocks that were shown
}

func (w *blockWalk) run() {
	for {
		key, err := w.it.Next()
		if err != nil {
			if !w.yield(BlockInfo{Kind: "index"}, err) || !errors.Is(err, disk.ErrCorrupt) {
				return
			}
			w.it.skipPage()
			continue
		}
		if key == nil || !w.series(key) {
			return
		}
	}
}

// skipPage goes on behind a page that is damaged, in whole or from an entry on.
func (it *iterator) skipPage() {
	if it.off >= len(it.view.entries) {
		it.page++ // it could not be opened
	}
	it.err, it.off, it.view = nil, 0, page{}
}

// series shows the blocks of the current series; false ends the walk.
func (w *blockWalk) series(key []byte) bool {
	e := &w.it.entry
	if e.kind == entryPacked {
		if _, shown := w.packed[e.offset]; shown {
			return true
		}
		w.packed[e.offset] = struct{}{}
	}
	list := w.unread(e.place(), key)
	list.Kind = "block list"
	if err := w.cursor.start(w.it.r, e, &kv.Everything, true); err != nil {
		return w.yield(list, err)
	}
	for {
		var ref blockRef
		ok, err := w.cursor.next(&ref)
		if err != nil {
			return w.yield(list, err)
		}
		if !ok {
			return true
		}
		info, err := w.block(ref.place, key)
		if !w.yield(info, w.it.r.corrupt(ref.place, err)) {
			return false
		}
	}
}

// unread is what is known of a block that cannot be read.
func (w *blockWalk) unread(at place, key []byte) BlockInfo {
	key = bytes.Clone(key)
	return BlockInfo{Offset: at.offset, Length: at.length, FirstKey: key, LastKey: key}
}

func (w *blockWalk) block(at place, key []byte) (BlockInfo, error) {
	info := w.unread(at, key)
	r, d := w.it.r, &w.reader
	var err error
	if w.buf, err = w.it.ahead.fetch(r, at, w.buf); err != nil {
		return info, err
	}
	if err := d.open(w.buf, r.seed, r.tagSets, &r.decompressor); err != nil {
		return info, err
	}
	b := &d.b
	info.Kind, info.Rows, info.Series = kindNames[b.kind], b.rows, b.series
	info.MinTime, info.MaxTime = b.minTime, b.maxTime
	if b.numeric() {
		info.ScaleMode, info.Scale = scaleNames[b.mode], int(b.scale)
	}
	if err := errors.Join(d.openValues(&r.decompressor, false), d.openKeys()); err != nil {
		return info, err
	}
	info.Columns = d.describe()
	rows := window{hi: b.rows}
	if b.packed() {
		if rows, err = d.openRuns(); err != nil {
			return info, err
		}
		if info.FirstKey, info.LastKey, err = d.endKeys(); err != nil {
			return info, err
		}
	}
	return info, d.decode(&w.scratch, &rows, false)
}

// endKeys returns the first and the last key of a packed block.
func (d *blockReader) endKeys() (first, last []byte, err error) {
	f := fields{b: d.keys}
	for i := range d.b.series {
		shared := int(f.bounded(uint64(len(last))))
		last = append(last[:shared], f.bytes(kv.MaxKey)...)
		if f.bad || len(last) > kv.MaxKey {
			return nil, nil, fmt.Errorf("%w: key %d", errBlock, i)
		}
		if i == 0 {
			first = bytes.Clone(last)
		}
	}
	return first, last, nil
}

// describe lists the columns of the open block in the order of their bytes.
func (d *blockReader) describe() []ColumnInfo {
	var columns []ColumnInfo
	b := &d.b
	for at := blockHeaderSize; len(columns) < int(b.data[10]); at += directorySize {
		id, encoding := b.data[at], b.data[at+1]
		ref, n := &b.columns[id&^firstsBit], b.rows
		c := ColumnInfo{Name: columnNames[id&^firstsBit], Encoding: encodingName(encoding)}
		if id&firstsBit != 0 {
			ref, n = &b.firstColumns[id&^firstsBit], b.series
			c.Name += " firsts"
		}
		if id == colRuns {
			n = b.series
		}
		c.Bytes, c.RawBytes = ref.length, ref.length
		switch {
		case id == colPayload:
			c.RawBytes = len(d.payload)
		case id == colKeys:
			c.RawBytes = len(d.keys)
		case encoding < encBytes:
			c.RawBytes = 8 * n
		}
		columns = append(columns, c)
	}
	return columns
}

var kindNames = [...]string{
	kindNumeric: "numeric", kindRaw: "raw", kindPackedNumeric: "packed numeric", kindPackedRaw: "packed raw",
}

var scaleNames = [...]string{
	scaleUniform: "uniform", scaleTrimmed: "trimmed", scaleExplicit: "explicit", scaleUnaligned: "unaligned",
}

var columnNames = [...]string{
	colTime: "time", colSeq: "seq", colNum: "num", colForm: "form", colLength: "length", colTags: "tags", colRuns: "runs",
	colPayload: "payload", colExceptions: "exceptions", colTagSets: "tag sets", colKeys: "keys",
}

func encodingName(encoding uint8) string {
	switch encoding {
	case encConst:
		return "CONST"
	case encConstDelta:
		return "CONST_DELTA"
	case encFor:
		return "FOR"
	case encDeltaFor:
		return "DELTA_FOR"
	case encLinearFor:
		return "LINEAR_FOR"
	case encRaw64:
		return "RAW64"
	case encForZstd:
		return "FOR+ZSTD"
	case encDeltaForZstd:
		return "DELTA_FOR+ZSTD"
	case encBytes:
		return "BYTES"
	case encS2:
		return "S2"
	case encZstd:
		return "ZSTD"
	}
	return fmt.Sprintf("unknown %d", encoding)
}
