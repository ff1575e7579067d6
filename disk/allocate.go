package disk

import (
	"errors"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// allocateBytes is the size of the writes of Allocate where the file system has
// no call for it.
const allocateBytes = 1 << 20

// Allocate makes a file at least size bytes long and gives it real blocks for
// all of them, so that they are taken from what others can use. What the new
// bytes hold is not defined. After an error (mostly ENOSPC) the file may be
// longer than before.
//
// A file of NewOS asks the file system; where that cannot, and for every other
// implementation of File, bytes are written that no file system can compress.
func Allocate(f File, size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	if own, ok := f.(*osFile); ok {
		err := own.control("fallocate", func(fd int) error { return unix.Fallocate(fd, 0, have, size-have) })
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
	}
	noise := make([]byte, min(allocateBytes, size-have))
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	for off := have; off < size; off += int64(len(noise)) {
		noise = noise[:min(int64(len(noise)), size-off)]
		if _, err := f.WriteAt(noise, off); err != nil {
			return err
		}
	}
	return nil
}
