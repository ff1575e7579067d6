package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bits-and-blooms/bloom/v3"

	"tskv/disk"
)

// Finish writes what is left, makes the file durable and closes it; making the
// name durable (FS.SyncDir) is the caller's. On an error the file is gone.
func (w *Writer) Finish() (Properties, error) {
	if w.err != nil {
		return Properties{}, w.err
	}
	if err := w.finish(); err != nil {
		return Properties{}, w.fail(err)
	}
	if err := w.file.Sync(); err != nil {
		return Properties{}, w.fail(fmt.Errorf("sync table: %w", err))
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return Properties{}, w.fail(fmt.Errorf("close table: %w", err))
	}
	w.err = ErrClosed
	p := w.props
	p.MinKey, p.MaxKey = bytes.Clone(p.MinKey), bytes.Clone(p.MaxKey)
	return p, nil
}

// Abort gives up: the file is removed. It does nothing after Finish or an error.
func (w *Writer) Abort() {
	if w.err == nil {
		_ = w.fail(ErrClosed) // what Add and Finish return from now on
	}
}

// fail ends the writer with err and removes the file.
func (w *Writer) fail(err error) error {
	w.err = err
	if w.file != nil {
		if closeErr := w.file.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
		w.file = nil
	}
	if removeErr := w.fs.Remove(w.name); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("remove table: %w", removeErr))
	}
	return err
}

func (w *Writer) finish() error {
	if w.series.open {
		if err := w.endSeries(); err != nil {
			return err
		}
	}
	for i := range w.packers {
		if err := w.endPacker(&w.packers[i]); err != nil {
			return err
		}
	}
	w.props.DataBytes = w.offset() - headerSize
	f := footer{fileID: w.opt.FileID, minTime: w.props.MinTime, maxTime: w.props.MaxTime}
	pages, err := w.writeIndex(&f)
	if err != nil {
		return err
	}
	if f.top, err = w.section(appendTop(nil, pages, w.seed)); err != nil {
		return err
	}
	w.props.IndexBytes = w.offset() - w.props.DataBytes - headerSize
	sets := appendTagSets(nil, w.dictionary.sets)
	w.props.TagSets = uint64(len(w.dictionary.sets))
	sets = binary.LittleEndian.AppendUint32(sets, disk.CRC(w.seed, sets))
	if f.tags, err = w.section(sets); err != nil {
		return err
	}
	if err := w.writeFilter(&f); err != nil {
		return err
	}
	if f.props, err = w.section(appendProperties(nil, &w.props, w.seed)); err != nil {
		return err
	}
	w.buf = append(w.buf, make([]byte, -w.offset()&7)...)
	f.size = w.offset() + footerSize
	w.buf = f.append(w.buf)
	w.props.Size, w.props.FooterCRC = f.size, f.crc
	return w.flush()
}

// writeIndex writes the index pages and returns what the top index needs.
func (w *Writer) writeIndex(f *footer) ([]pageRef, error) {
	var pages []pageRef
	var b pageBuilder
	endPage := func() error {
		first := bytes.Clone(b.first)
		at, err := w.section(b.finish(w.seed))
		pages = append(pages, pageRef{at, first})
		return err
	}
	err := w.index.all(func(key []byte, e *entry) error {
		if e.kind == entryPacked {
			at := w.packed[e.offset/8]
			e.offset, e.length = at.offset, at.length
		}
		if b.add(key, e, f.minTime) {
			return nil
		}
		if err := endPage(); err != nil {
			return err
		}
		if !b.add(key, e, f.minTime) {
			panic("BUG: sstable: empty index page takes no entry")
		}
		return nil
	})
	if err == nil && b.entries > 0 {
		err = endPage()
	}
	if err != nil {
		return nil, err
	}
	w.buf = append(w.buf, make([]byte, -w.offset()&7)...)
	f.index = place{w.offset(), 0}
	if n := len(pages); n > 0 {
		f.index.offset = pages[0].offset
		f.index.length = int(pages[n-1].offset-pages[0].offset) + pages[n-1].length
	}
	return pages, nil
}

func (w *Writer) writeFilter(f *footer) error {
	words := make([]uint64, filterWords(w.props.Series))
	filter := bloom.FromWithM(words, uint(64*len(words)), filterHashes)
	err := w.index.all(func(key []byte, _ *entry) error {
		filter.Add(key)
		return nil
	})
	if err != nil {
		return err
	}
	section := finishFilter(words, w.seed)
	f.filter, err = w.sectionAt(section, 64)
	w.props.FilterBytes = int64(len(section))
	return err
}
