package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
)

// maxTreeDepth bounds RemoveTree: nothing that tskv makes is deeper.
const maxTreeDepth = 4

// RemoveTree removes a directory and all that is in it, at most four levels
// deep. It is no error if there is none. A crash in the middle leaves a part:
// whoever must not be taken for whole gets another name first.
func RemoveTree(f FS, dir string) error {
	if err := CheckName("remove", dir); err != nil {
		return err
	}
	if err := removeTree(f, dir, maxTreeDepth); err != nil {
		return fmt.Errorf("remove directory %s: %w", dir, err)
	}
	return nil
}

func removeTree(f FS, dir string, depth int) error {
	names, err := f.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(dir, name)
		err := f.Remove(name)
		if depth > 0 && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)) {
			err = removeTree(f, name, depth-1)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return removeIfThere(f, dir)
}
