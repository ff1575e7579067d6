package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"tskv/disk"
)

// Report is what Verify has read and found.
type Report struct {
	Backups  int
	Files    int   // tables and log segments, each once
	Bytes    int64 // of them
	Damaged  []Damage
	Affected []string // IDs of backups that a damaged or missing table belongs to
}

// Verify reads every description, table and log segment of the repository and
// compares the checksums. Damage is in the report; an error means that the work
// could not be done.
func (r *Repository) Verify(ctx context.Context) (Report, error) {
	all, damaged, err := r.List()
	if err != nil {
		return Report{}, err
	}
	rep := Report{Backups: len(all), Damaged: damaged}
	for _, d := range damaged {
		rep.Affected = append(rep.Affected, path.Base(path.Dir(d.File)))
	}
	tables := map[string]*Table{}
	users := map[string][]string{}
	w := r.work(ctx)
	for i := range all {
		b := &all[i]
		if _, err := r.manifestOf(b); err != nil {
			if !isDamage(err) {
				return rep, err
			}
			rep.note(path.Join(backupDir, b.ID, disk.ManifestName), err, b.ID)
		}
		for j := range b.Tables {
			t := &b.Tables[j]
			name := t.pool(b.Database)
			if tables[name] == nil {
				w.total += t.Size
			}
			tables[name] = t
			users[name] = append(users[name], b.ID)
		}
	}
	for name, t := range tables {
		if err := rep.check(w, r.fs, name, t.Size, t.CRC, users[name]...); err != nil {
			return rep, err
		}
	}
	if err := r.verifyLog(w, &rep); err != nil {
		return rep, err
	}
	slices.SortFunc(rep.Damaged, func(a, b Damage) int { return strings.Compare(a.File, b.File) })
	slices.Sort(rep.Affected)
	rep.Affected = slices.Compact(rep.Affected)
	return rep, nil
}

func (r *Repository) verifyLog(w *work, rep *Report) error {
	names, err := r.fs.List(logDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		database, no, ok := parseSegment(name)
		if !ok {
			continue
		}
		s, err := r.segment(database, no)
		if err != nil {
			if !isDamage(err) {
				return err
			}
			rep.note(path.Join(logDir, name), err)
			continue
		}
		w.total += s.Size
		if err := rep.check(w, r.fs, s.name(), s.Size, s.CRC); err != nil {
			return err
		}
	}
	return nil
}

// parseSegment reads the name of a segment's description.
func parseSegment(name string) (database string, no uint64, ok bool) {
	if len(name) < 17 || !isHex(name[:16], 16) {
		return "", 0, false
	}
	database = name[:16]
	_, err := fmt.Sscanf(name[16:], "-%016x.json", &no)
	return database, no, err == nil && path.Join(logDir, name) == segmentDescription(database, no)
}

// check compares one file with its description.
func (rep *Report) check(w *work, fsys disk.FS, name string, size int64, want string, users ...string) error {
	rep.Files++
	rep.Bytes += size
	sum, err := w.sum(fsys, name, size)
	if err == nil && hex32(sum) != want {
		err = disk.Corrupt(name, disk.UnknownOffset, "checksum %08x, the description says %s", sum, want)
	}
	if err != nil && !isDamage(err) {
		return err
	}
	if err != nil {
		rep.note(name, err, users...)
	}
	return nil
}

func isDamage(err error) bool {
	return errors.Is(err, disk.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
}

func (rep *Report) note(name string, err error, users ...string) {
	rep.Damaged = append(rep.Damaged, Damage{File: name, Err: err})
	rep.Affected = append(rep.Affected, users...)
}
