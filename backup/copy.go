package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"tskv/disk"
)

// pieceBytes is the size of a read and of a write.
const pieceBytes = 1 << 20

// work is what one call of the repository reads: its context, its progress and
// its buffer.
type work struct {
	ctx         context.Context
	report      func(done, total int64)
	done, total int64
	buf         []byte
}

func (r *Repository) work(ctx context.Context) *work {
	return &work{ctx: ctx, report: r.opt.Progress, buf: make([]byte, pieceBytes)}
}

// stream reads exactly size bytes of a file in pieces, and returns their
// checksum. A shorter file is corrupt.
func (w *work) stream(f disk.File, size int64, each func(piece []byte, off int64) error) (uint32, error) {
	have, err := f.Size()
	if err != nil {
		return 0, err
	}
	if have < size {
		return 0, disk.Corrupt(f.Name(), have, "file ends here, %d bytes are expected", size)
	}
	var sum uint32
	for off := int64(0); off < size; off += pieceBytes {
		if err := w.ctx.Err(); err != nil {
			return 0, err
		}
		piece := w.buf[:min(pieceBytes, size-off)]
		if n, err := f.ReadAt(piece, off); n < len(piece) {
			return 0, err
		}
		sum = disk.CRC(sum, piece)
		if err := each(piece, off); err != nil {
			return 0, err
		}
		w.done += int64(len(piece))
		w.report(w.done, max(w.done, w.total))
	}
	return sum, nil
}

func ignore([]byte, int64) error { return nil }

// sum returns the checksum of a file of size bytes.
func (w *work) sum(fsys disk.FS, name string, size int64) (sum uint32, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return w.stream(f, size, ignore)
}

// place is a file in a directory tree.
type place struct {
	fs   disk.FS
	name string
}

// copy copies the first size bytes of a file, reads the copy back from the disk,
// compares, and only then gives it its name, which is durable after a sync of the
// directory. It replaces what had the name. If want is not empty the checksum
// must be that one.
func (w *work) copy(from, to place, size int64, want string) (sum string, err error) {
	temp := to.name + disk.TempSuffix
	if err := to.fs.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	crc, err := w.fill(from, place{to.fs, temp}, size)
	if sum = hex32(crc); err == nil && want != "" && sum != want {
		err = disk.Corrupt(from.name, disk.UnknownOffset, "checksum %s, the description says %s", sum, want)
	}
	if err == nil {
		err = to.fs.Rename(temp, to.name)
	}
	if err != nil {
		if _, gone := to.fs.Stat(temp); gone == nil {
			_ = to.fs.Remove(temp) // the next backup removes it, too
		}
		return "", fmt.Errorf("copy %s: %w", from.name, err)
	}
	return sum, nil
}

// fill writes the copy, syncs it, and reads it back.
func (w *work) fill(from, to place, size int64) (sum uint32, err error) {
	src, err := from.fs.Open(from.name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := to.fs.Create(to.name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	sum, err = w.stream(src, size, func(piece []byte, off int64) error {
		_, err := dst.WriteAt(piece, off)
		return err
	})
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return 0, err
	}
	dst.DropCache(0, size) // what is read back comes from the disk
	again, err := w.stream(dst, size, ignore)
	if err == nil && again != sum {
		err = disk.Corrupt(to.name, disk.UnknownOffset, "reads back as %08x, written as %08x", again, sum)
	}
	dst.DropCache(0, size)
	return sum, err
}
