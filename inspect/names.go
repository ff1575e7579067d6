package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"tskv/disk"
)

// files is what lies in a store's directories.
type files struct {
	manifest, prev bool
	tables         map[uint64]int64 // size by ID
	segments       map[uint64]int64 // size by number
	bytes          int64
}

func (f *files) empty() bool {
	return !f.manifest && !f.prev && len(f.tables)+len(f.segments) == 0
}

// list looks at all names; other is called with those that belong to nothing.
func list(fsys disk.FS, other func(name string, kind disk.NameKind)) (*files, error) {
	f := &files{tables: make(map[uint64]int64), segments: make(map[uint64]int64)}
	for _, dir := range []string{".", disk.TableDir, disk.SegmentDir} {
		names, err := fsys.List(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != "." {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			name = path.Join(dir, name)
			if name == disk.TableDir || name == disk.SegmentDir {
				continue
			}
			if err := f.add(fsys, name, other); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *files) add(fsys disk.FS, name string, other func(string, disk.NameKind)) error {
	kind, no, _ := disk.ParseName(name)
	var sizes map[uint64]int64
	switch kind {
	case disk.KindManifest:
		f.manifest = true
		return nil
	case disk.KindPrevManifest:
		f.prev = true
		return nil
	case disk.KindLock:
		return nil
	case disk.KindTable:
		sizes = f.tables
	case disk.KindSegment:
		sizes = f.segments
	case disk.KindTemp:
		if !isSpare(name) {
			other(name, kind)
		}
		return nil
	case disk.KindUnknown:
		other(name, kind)
		return nil
	default: // a file that holds no data
		return nil
	}
	size, err := fsys.Stat(name)
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	sizes[no] = size
	f.bytes += size
	return nil
}

// isSpare reports whether a file was made ahead for the log.
func isSpare(name string) bool {
	return strings.HasPrefix(name, disk.SegmentDir+"/spare-") && strings.HasSuffix(name, disk.TempSuffix)
}
