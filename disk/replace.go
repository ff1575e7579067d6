package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// ReplaceFile gives a name new content, so that after a crash at any moment the
// name holds the whole old content or the whole new one. If keepAs is not
// empty, the old file (if there is one) is kept under that name, replacing what
// is there. One goroutine at a time may replace the same name.
//
// The order, and what it is for:
//
//	remove name.tmp, keepAs.tmp     left over by an earlier crash
//	create, write, sync name.tmp    the content is durable before it has the name
//	link name → keepAs.tmp          name itself is only ever changed by the last rename,
//	rename keepAs.tmp → keepAs      so it is never missing
//	rename name.tmp → name          the moment of truth
//	sync the directory              durable from here on
//
// On an error before the last rename the old content stays and the temporary
// names are removed. If only the sync of the directory failed, the new content
// is visible but either may be found after a power cut: as with every failed
// sync, only a restart tells.
func ReplaceFile(f FS, name, keepAs string, data []byte) error {
	temp, keepTemp := name+TempSuffix, keepAs+TempSuffix
	err := writeTemp(f, temp, data)
	if err == nil && keepAs != "" {
		err = keep(f, name, keepTemp, keepAs)
	}
	if err == nil {
		err = f.Rename(temp, name)
	}
	if err != nil {
		_ = f.Remove(temp) // best effort: the next call removes it, too
		if keepAs != "" {
			_ = f.Remove(keepTemp)
		}
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := syncDirs(f, path.Dir(name), keepAs); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// writeTemp writes a synced file of a temporary name.
func writeTemp(f FS, temp string, data []byte) error {
	if err := removeIfThere(f, temp); err != nil {
		return err
	}
	file, err := f.Create(temp)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(data, 0); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// keep gives the file of a name, if there is one, the second name keepAs.
func keep(f FS, name, keepTemp, keepAs string) error {
	if err := removeIfThere(f, keepTemp); err != nil {
		return err
	}
	if _, err := f.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := f.Link(name, keepTemp); err != nil {
		return err
	}
	if err := f.Rename(keepTemp, keepAs); err != nil {
		return err
	}
	// If keepAs already was a name of this very file (a crash came between the
	// two renames), POSIX rename does nothing and leaves both names.
	return removeIfThere(f, keepTemp)
}

// syncDirs syncs a directory, and that of a second name if it has another one.
func syncDirs(f FS, dir, name string) error {
	if err := f.SyncDir(dir); err != nil {
		return err
	}
	if name == "" || path.Dir(name) == dir {
		return nil
	}
	return f.SyncDir(path.Dir(name))
}

// removeIfThere removes a name; it is no error if there is none.
func removeIfThere(f FS, name string) error {
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
