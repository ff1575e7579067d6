package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"tskv/disk"
)

// Repository is an open backup repository.
type Repository struct {
	fs   disk.FS
	lock io.Closer // nil on a medium that cannot be written
	opt  Options
}

// Create opens the repository in a directory, and makes one of an empty
// directory. It removes what an unfinished backup left. Errors: disk.ErrLocked
// while another process works in it, ErrNoRepository for a directory with
// something else in it, ErrVersion.
func Create(fsys disk.FS, opt Options) (*Repository, error) {
	if err := checkMarker(fsys, true); err != nil {
		return nil, fmt.Errorf("open backup repository: %w", err)
	}
	r := &Repository{fs: fsys, opt: opt.withDefaults()}
	var err error
	if r.lock, err = fsys.Lock(disk.LockName); err != nil {
		return nil, fmt.Errorf("open backup repository: %w", err)
	}
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("open backup repository: %w", errors.Join(err, r.Close()))
	}
	return r, nil
}

// Open opens a repository that is there. On a medium that cannot be written it
// takes no lock; List, Verify and Extract work there. Errors as of Create.
func Open(fsys disk.FS, opt Options) (*Repository, error) {
	if err := checkMarker(fsys, false); err != nil {
		return nil, fmt.Errorf("open backup repository: %w", err)
	}
	r := &Repository{fs: fsys, opt: opt.withDefaults()}
	if opt.Unlocked {
		return r, nil
	}
	lock, err := fsys.Lock(disk.LockName)
	switch {
	case err == nil:
		r.lock = lock
	case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("open backup repository: %w", err)
	}
	return r, nil
}

// Close gives the lock back.
func (r *Repository) Close() error {
	if r.lock == nil {
		return nil
	}
	return r.lock.Close()
}

// checkMarker looks whether a directory is a repository, or may become one.
func checkMarker(fsys disk.FS, fresh bool) error {
	data, err := disk.ReadFile(fsys, markerName, maxDescription)
	if err == nil {
		var format int
		if _, err := fmt.Sscanf(string(data), markerText, &format); err != nil {
			return disk.Corrupt(markerName, 0, "it does not say the format of a backup repository")
		}
		if format > formatVersion {
			return fmt.Errorf("%w: format %d, this build reads up to %d", ErrVersion, format, formatVersion)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := fsys.List(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if !fresh || name != disk.LockName && name != markerName+disk.TempSuffix && name != "lost+found" {
			return fmt.Errorf("%w: %s is missing", ErrNoRepository, markerName)
		}
	}
	if !fresh {
		return fmt.Errorf("%w: the directory is empty", ErrNoRepository)
	}
	return nil
}

// prepare makes the directories and removes unfinished work.
func (r *Repository) prepare() error {
	if _, err := r.fs.Stat(markerName); errors.Is(err, fs.ErrNotExist) {
		if err := disk.ReplaceFile(r.fs, markerName, "", fmt.Appendf(nil, markerText, formatVersion)); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, dir := range []string{tableDir, logDir, backupDir} {
		if err := r.fs.MkdirAll(dir); err != nil {
			return err
		}
		names, err := r.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasSuffix(name, disk.TempSuffix) {
				continue
			}
			if err := r.discard(path.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard removes a file or a directory.
func (r *Repository) discard(name string) error {
	err := r.fs.Remove(name)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return disk.RemoveTree(r.fs, name)
	}
	return err
}

// Damage is one file of a repository that is not what was written.
type Damage struct {
	File string // relative to the repository
	Err  error
}

// List returns all backups, oldest first, and the descriptions that cannot be
// read. Memory: all descriptions.
func (r *Repository) List() ([]Backup, []Damage, error) {
	names, err := r.fs.List(backupDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Backup
	var damaged []Damage
	for _, id := range names {
		if strings.HasSuffix(id, disk.TempSuffix) {
			continue
		}
		name := path.Join(backupDir, id, description)
		var b Backup
		err := decode(r.fs, name, &b, &b.Checksum, &b.Format)
		if err == nil {
			if wrong := b.check(id); wrong != nil {
				err = disk.Corrupt(name, 0, "%v", wrong)
			}
		}
		if err != nil {
			damaged = append(damaged, Damage{File: name, Err: err})
			continue
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Backup) int { return strings.Compare(a.ID, b.ID) })
	return all, damaged, nil
}

// intact is List for those who must know all backups.
func (r *Repository) intact() ([]Backup, error) {
	all, damaged, err := r.List()
	if err == nil && len(damaged) > 0 {
		err = damaged[0].Err
	}
	return all, err
}
