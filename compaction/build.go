package compaction

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"

	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// maxWindows bounds the files that one Build fills at a time, and so its
// memory: one writer each. Rows of further windows go to one mixed file per
// class.
const maxWindows = 32

// paceBytes: Output.Pace is called after that many written bytes.
const paceBytes = 1 << 20

// Output says how a Build writes. FS, NextID and the sequences are needed.
type Output struct {
	FS     disk.FS
	NextID func() uint64 // a new file ID, never given out before
	// MinSeq and MaxSeq bound the sequences of the rows. Merge sets them.
	MinSeq, MaxSeq uint64
	Codec          sstable.Codec // of payload blocks
	// MaxFileBytes: a file that has reached it is followed by a next one at the
	// next series, default 1 GiB. A single series is never divided, so that
	// files of one window and build have disjoint key ranges.
	MaxFileBytes int64
	// Split sends every row to the file of its class and window. Otherwise all
	// rows of a class go to one file, which is said to be of Window. Merge sets
	// both, and Tier.
	Split  bool
	Window int64
	Tier   uint8
	// Floor, if not nil, returns for a key the ID below which its rows are left
	// out; of a key without other rows the last one stays. The rows must have
	// replaced none in older files, or those would be seen again: see Oldest.
	Floor func(key []byte) kv.ID
	// Pace, if not nil, is called with the number of bytes written since the
	// last call, after every MiB or so; it may wait. Its error ends the build.
	Pace func(bytes int64) error
}

// Build writes the series of it, which it closes, into as many files as needed
// and returns them once they and their names are durable; the result satisfies
// CheckOrder. No rows make no files. class gives the class of a key and must
// give the same one for as long as any file holds the key. After an error the
// files that were written are gone, as far as the disk allows.
func Build(it kv.SeriesIterator, class func(key []byte) uint8, out Output) ([]manifest.File, error) {
	defer it.Close()
	if out.MaxFileBytes <= 0 {
		out.MaxFileBytes = defaultMaxFileBytes
	}
	b := &builder{out: out, slots: make(map[slotKey]*slot)}
	err := b.build(it, class)
	if err == nil {
		err = b.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("build files: %w", errors.Join(err, b.undo()))
	}
	return b.files, nil
}

type slotKey struct {
	class  uint8
	window int64
}

// slot is the file that one class and window is being written to.
type slot struct {
	slotKey
	w      *sstable.Writer
	id     uint64
	size   int64
	series int // the series that was written last
}

type builder struct {
	out     Output
	slots   map[slotKey]*slot
	order   []*slot // in order of birth, for a result that does not depend on the map
	windows int     // slots that are not mixed
	series  int
	written int64 // since the last Pace
	ids     []uint64
	files   []manifest.File
}

func (b *builder) build(it kv.SeriesIterator, class func(key []byte) uint8) error {
	for {
		key, err := it.Next()
		if err != nil {
			return err
		}
		if key == nil {
			return nil
		}
		b.series++
		if err := b.addSeries(it, key, class(key)); err != nil {
			return err
		}
	}
}

func (b *builder) addSeries(it kv.SeriesIterator, key []byte, class uint8) error {
	src, err := b.keptRows(it, key)
	if err != nil {
		return err
	}
	defer src.Close()
	for {
		rows, err := src.Next()
		if err != nil || rows == nil {
			return err
		}
		if b.out.Split {
			err = b.addSplit(key, class, rows)
		} else {
			err = b.add(slotKey{class, b.out.Window}, key, rows)
		}
		if err != nil {
			return err
		}
	}
}

// addSplit cuts an ascending batch at the borders of its windows.
func (b *builder) addSplit(key []byte, class uint8, rows *kv.Rows) error {
	for i, n := 0, rows.Len(); i < n; {
		k := slotKey{class, WindowStart(class, rows.Time[i])}
		end := windowEnd(class, k.window)
		j := n
		if rows.Time[n-1] > end {
			j = i + sort.Search(n-i, func(d int) bool { return rows.Time[i+d] > end })
		}
		part := rows
		if i > 0 || j < n {
			cut := rows.Slice(i, j)
			part = &cut
		}
		if err := b.add(k, key, part); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func (b *builder) add(k slotKey, key []byte, rows *kv.Rows) error {
	s, err := b.slot(k)
	if err != nil {
		return err
	}
	s.series = b.series
	if err := s.w.Add(key, rows); err != nil {
		return err
	}
	size := s.w.Size()
	b.written += size - s.size
	s.size = size
	if b.written >= paceBytes && b.out.Pace != nil {
		n := b.written
		b.written = 0
		return b.out.Pace(n)
	}
	return nil
}

// slot returns the open file for k, or the one that k has to share. A window
// that came too late for a file of its own stays in the mixed file for the
// whole build, since slots are never given up.
func (b *builder) slot(k slotKey) (*slot, error) {
	s := b.slots[k]
	if s == nil && k.window != Mixed && b.windows == maxWindows {
		k.window = Mixed
		s = b.slots[k]
	}
	if s == nil {
		s = &slot{slotKey: k}
		b.slots[k] = s
		b.order = append(b.order, s)
		if k.window != Mixed {
			b.windows++
		}
	}
	if s.w != nil && s.series != b.series && s.size >= b.out.MaxFileBytes {
		if err := b.finishSlot(s); err != nil {
			return nil, err
		}
	}
	if s.w == nil {
		return s, b.open(s)
	}
	return s, nil
}

func (b *builder) open(s *slot) error {
	id := b.out.NextID()
	b.ids = append(b.ids, id)
	w, err := sstable.NewWriter(b.out.FS, sstable.WriterOptions{
		FileID: id, MinSeq: b.out.MinSeq, MaxSeq: b.out.MaxSeq,
		Class: s.class, Window: s.window, Codec: b.out.Codec,
	})
	if err != nil {
		return err
	}
	s.w, s.id, s.size = w, id, 0
	return nil
}

func (b *builder) finishSlot(s *slot) error {
	w := s.w
	s.w = nil
	p, err := w.Finish()
	if err != nil {
		w.Abort()
		return err
	}
	b.files = append(b.files, manifest.File{
		ID: s.id, Size: p.Size, Class: s.class, Window: s.window,
		MinSeq: b.out.MinSeq, MaxSeq: b.out.MaxSeq,
		MinKey: p.MinKey, MaxKey: p.MaxKey, MinTime: p.MinTime, MaxTime: p.MaxTime,
		Rows: p.Rows, Deletes: p.Deletes, Series: p.Series,
		Tier: b.out.Tier, FooterCRC: p.FooterCRC,
	})
	return nil
}

func (b *builder) finish() error {
	for _, s := range b.order {
		if err := b.finishSlot(s); err != nil {
			return err
		}
	}
	if len(b.files) == 0 {
		return nil
	}
	return b.out.FS.SyncDir(disk.TableDir)
}

// undo ends the open writers and removes every file of the build.
func (b *builder) undo() error {
	for _, s := range b.order {
		if s.w != nil {
			s.w.Abort()
		}
	}
	var errs []error
	for _, id := range b.ids {
		if err := b.out.FS.Remove(disk.TableName(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
