package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MoveOut implements FS with one rename(2).
func (o *osFS) MoveOut(from, to string) error {
	if err := CheckName("move", from); err != nil {
		return err
	}
	to, err := o.outside(to)
	if err != nil {
		return &fs.PathError{Op: "move", Path: to, Err: err}
	}
	if err := linkError(os.Rename(o.path(from), to)); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(o.path(from))))
}

// outside returns where a path outside the root really lies, links followed, if
// nobody has it.
func (o *osFS) outside(to string) (string, error) {
	if !filepath.IsAbs(to) {
		return to, ErrOutside
	}
	to = filepath.Clean(to)
	parent, err := filepath.EvalSymlinks(filepath.Dir(to))
	if err != nil {
		return to, err
	}
	to = filepath.Join(parent, filepath.Base(to))
	root, err := filepath.EvalSymlinks(o.root)
	if err != nil {
		return to, err
	}
	if to == root || strings.HasPrefix(to, root+string(filepath.Separator)) {
		return to, ErrInside
	}
	switch _, err := os.Lstat(to); {
	case err == nil:
		return to, fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return to, err
	}
	return to, nil
}
