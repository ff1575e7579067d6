package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tskv/disk"
)

// isInside reports whether a path is a directory or lies below it, symbolic links
// followed as far as there is something.
func isInside(path, dir string) bool {
	rel, err := filepath.Rel(resolved(dir), resolved(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// resolved is an absolute path without symbolic links; what is not there yet is kept.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for at, rest := abs, ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if found, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(found, rest)
		}
		if at == filepath.Dir(at) {
			return abs
		}
	}
}

// outsideStore refuses a path that is a store or lies in one: what is put there is
// lost with the store.
func outsideStore(path string) error {
	for at := resolved(path); ; at = filepath.Dir(at) {
		_, manifest := os.Stat(filepath.Join(at, disk.ManifestName))
		_, tables := os.Stat(filepath.Join(at, disk.TableDir))
		if manifest == nil && tables == nil {
			return fmt.Errorf("%s is in the data directory %s: give a place outside of it", path, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// vacate wants a directory that is not there. An empty one is removed, because a
// rename will take its place.
func vacate(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: choose a directory that is not there", dir)
	}
	if err := os.Remove(dir); err != nil { // a mount point, for one
		return fmt.Errorf("%w: choose a directory that is not there", err)
	}
	return nil
}

// shellWord is a path as one types it.
func shellWord(path string) string {
	if strings.ContainsAny(path, " \t\n\"'\\$&;()<>|*?[]`#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
