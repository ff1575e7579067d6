package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// writeBytes is what one write(2) carries at least, the last one excepted.
const writeBytes = 256 << 10

// writeBehindBytes: the kernel is asked to begin its own writing after so many. A
// table that is handed to the disk all at once, by its last Sync, makes every sync
// of the log wait for it.
const writeBehindBytes = 4 << 20

// WriterOptions say what a new table is.
type WriterOptions struct {
	FileID         uint64
	MinSeq, MaxSeq uint64 // operation sequences that the rows stem from
	Class          uint8
	Window         int64 // start time; math.MinInt64 for a mixed file or no windows
	Codec          Codec
}

// Writer streams a table to a new file. It holds one block of the open series,
// two packed blocks, and the index under construction. After an error it is
// dead, has removed its file, and returns the same error again.
type Writer struct {
	fs      disk.FS
	file    disk.File
	name    string
	opt     WriterOptions
	seed    uint32
	err     error
	buf     []byte
	written int64 // bytes of the file before buf
	behind  int64 // of them, those that the kernel was asked to write

	encoder    blockEncoder
	dictionary tagDictionary
	run        run // rows of the open series that are in no block yet
	series     openSeries
	packers    [2]packer // numeric, raw
	packed     []place   // packed blocks in the order in which they were begun
	index      indexBuilder
	props      Properties
}

// NewWriter creates the file of a table; fs.ErrExist if it is there.
func NewWriter(fs disk.FS, opt WriterOptions) (*Writer, error) {
	name := disk.TableName(opt.FileID)
	if opt.Codec > CodecNone {
		return nil, fmt.Errorf("create table %s: codec %d: %w", name, opt.Codec, ErrLimit)
	}
	compressor, err := newCompressor(opt.Codec)
	if err != nil {
		return nil, err
	}
	file, err := fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	w := &Writer{fs: fs, file: file, name: name, opt: opt, seed: seed(opt.FileID)}
	w.encoder = blockEncoder{compressor: compressor, seed: w.seed}
	if opt.Codec == CodecZstd {
		w.encoder.builder.zstd = &columnCompressor{z: compressor}
	}
	w.buf = appendHeader(make([]byte, 0, writeBytes+writeBytes/2), &opt)
	w.props = Properties{
		FileID: opt.FileID, MinSeq: opt.MinSeq, MaxSeq: opt.MaxSeq,
		Class: opt.Class, Window: opt.Window, Codec: opt.Codec,
	}
	return w, nil
}

// Size returns the bytes of the blocks written so far, plus those of rows that
// wait for a full block as if they were not compressed, plus the index so far:
// an upper estimate of the file's size.
func (w *Writer) Size() int64 {
	n := w.offset() + int64(len(w.index.arena))
	for _, r := range [...]*run{&w.run, &w.packers[0].run, &w.packers[1].run} {
		n += int64(4*r.rows() + len(r.payload))
	}
	return n
}

// Add appends rows of a series. Keys ascend from call to call, or stay the
// same; the rows of a key ascend strictly. All is copied. ErrOrder, ErrLimit, or
// an error of the disk.
func (w *Writer) Add(key []byte, rows *kv.Rows) error {
	if w.err != nil {
		return w.err
	}
	if err := w.add(key, rows); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *Writer) add(key []byte, rows *kv.Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	if err := w.enter(key, rows.ID(0)); err != nil {
		return err
	}
	if err := checkAscending(rows); err != nil {
		return err
	}
	n := rows.Len()
	if len(rows.Seq) != n || len(rows.Form) != n || len(rows.Num) != n {
		return fmt.Errorf("%w: columns of different length", ErrLimit)
	}
	s := &w.series
	if s.entry.rows == 0 {
		s.entry.minID = rows.ID(0)
	}
	s.entry.maxID = rows.ID(n - 1)
	s.entry.rows += uint64(n)
	if len(rows.Raw) == 0 && len(rows.Tags) == 0 {
		return w.addPlain(rows)
	}
	return w.addRows(rows)
}

// enter makes key the open series and checks that id comes next.
func (w *Writer) enter(key []byte, id kv.ID) error {
	s := &w.series
	if s.open {
		switch c := bytes.Compare(key, s.key); {
		case c < 0:
			return fmt.Errorf("%w: key %q after %q", ErrOrder, short(key), short(s.key))
		case c == 0:
			if !s.entry.maxID.Less(id) {
				return fmt.Errorf("%w: row %v after %v of %q", ErrOrder, id, s.entry.maxID, short(key))
			}
			return nil
		}
		if err := w.endSeries(); err != nil {
			return err
		}
	}
	if len(key) == 0 || len(key) > kv.MaxKey {
		return fmt.Errorf("%w: key of %d bytes", ErrLimit, len(key))
	}
	s.open, s.key = true, append(s.key[:0], key...)
	s.entry, s.blocks, s.before = entry{}, 0, 0
	s.lists.reset()
	if z := w.encoder.builder.zstd; z != nil {
		z.pauses = [colTags + 1]pause{}
	}
	return nil
}

func short(key []byte) []byte { return key[:min(len(key), 64)] }

func checkAscending(rows *kv.Rows) error {
	for i := 1; i < len(rows.Time) && i < len(rows.Seq); i++ {
		if rows.Time[i-1] < rows.Time[i] || rows.Time[i-1] == rows.Time[i] && rows.Seq[i-1] < rows.Seq[i] {
			continue
		}
		return fmt.Errorf("%w: row %v after %v", ErrOrder, rows.ID(i), rows.ID(i-1))
	}
	return nil
}

func (w *Writer) addPlain(rows *kv.Rows) error {
	for i, n := 0, rows.Len(); i < n; {
		if w.run.rows() == maxBlockRows {
			if err := w.cut(); err != nil {
				return err
			}
		}
		j := min(n, i+maxBlockRows-w.run.rows())
		if err := w.run.appendPlain(rows, i, j); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func (w *Writer) addRows(rows *kv.Rows) error {
	for i := range rows.Len() {
		row := rows.Row(i)
		if len(row.Raw) > kv.MaxValue {
			return fmt.Errorf("%w: value of %d bytes", ErrLimit, len(row.Raw))
		}
		if len(row.Tags) > 0 {
			if err := kv.CheckTagSet(row.Tags); err != nil {
				return fmt.Errorf("%w: %w", ErrLimit, err)
			}
		}
		held := w.run.rows()
		if held == maxBlockRows || held > 0 && w.run.bytes()+len(row.Raw) > maxBlockPayload {
			if err := w.cut(); err != nil {
				return err
			}
		}
		if err := w.run.append(&row, &w.dictionary); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) offset() int64 { return w.written + int64(len(w.buf)) }

// block writes a block and counts it.
func (w *Writer) block(data []byte) (place, error) {
	w.props.Blocks++
	return w.section(data)
}

// section appends data at the next multiple of 8.
func (w *Writer) section(data []byte) (place, error) {
	return w.sectionAt(data, 8)
}

func (w *Writer) sectionAt(data []byte, align int64) (place, error) {
	if gap := -w.offset() & (align - 1); gap > 0 {
		w.buf = append(w.buf, make([]byte, gap)...)
	}
	at := place{w.offset(), len(data)}
	if len(data) >= writeBytes {
		if err := w.flush(); err != nil {
			return at, err
		}
		if err := w.write(data); err != nil {
			return at, err
		}
		return at, nil
	}
	w.buf = append(w.buf, data...)
	if len(w.buf) >= writeBytes {
		return at, w.flush()
	}
	return at, nil
}

func (w *Writer) flush() error {
	err := w.write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *Writer) write(p []byte) error {
	if _, err := w.file.WriteAt(p, w.written); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	w.written += int64(len(p))
	if n := w.written - w.behind; n >= writeBehindBytes {
		w.file.WriteBehind(w.behind, n)
		w.behind = w.written
	}
	return nil
}

// appendHeader encodes the file's header.
func appendHeader(dst []byte, opt *WriterOptions) []byte {
	dst = append(dst, headerMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = append(dst, opt.Class, byte(opt.Codec), 0, 0)
	for _, v := range [...]uint64{opt.FileID, opt.MinSeq, opt.MaxSeq, uint64(opt.Window)} {
		dst = appendUint64(dst, v)
	}
	dst = append(dst, make([]byte, 12)...)
	return binary.LittleEndian.AppendUint32(dst, disk.CRC(seed(opt.FileID), dst))
}
