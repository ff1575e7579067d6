package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"tskv/disk"
)

// Pruned is what Prune has removed.
type Pruned struct {
	Backups []string // IDs
	Files   int      // tables and log segments
	Bytes   int64    // of them
}

// Prune keeps the newest backups of each database, at least one, and removes the
// others and every file that none of those left needs. Log segments are kept from
// the oldest backup left on. With a description that cannot be read it removes
// nothing, because it does not know what that one needs.
func (r *Repository) Prune(keep int) (Pruned, error) {
	if keep < 1 {
		return Pruned{}, fmt.Errorf("prune: keep at least 1 backup, not %d", keep)
	}
	all, err := r.intact()
	if err != nil {
		return Pruned{}, fmt.Errorf("prune: %w", err)
	}
	var p Pruned
	count := map[string]int{}
	need := map[string]bool{}
	oldest := map[string]uint64{} // by database: the first segment that is needed
	for i := len(all) - 1; i >= 0; i-- {
		b := &all[i]
		if count[b.Database]++; count[b.Database] > keep {
			p.Backups = append(p.Backups, b.ID)
			continue
		}
		if first, ok := oldest[b.Database]; !ok || b.MinSegment < first {
			oldest[b.Database] = b.MinSegment
		}
		for j := range b.Tables {
			need[b.Tables[j].pool(b.Database)] = true
		}
	}
	if err := r.forget(p.Backups); err != nil {
		return Pruned{}, fmt.Errorf("prune: %w", err)
	}
	if err := r.sweep(&p, need, oldest); err != nil {
		return p, fmt.Errorf("prune: %w", err)
	}
	return p, nil
}

// forget removes backups, durably, before the files that they need go.
func (r *Repository) forget(ids []string) error {
	for _, id := range ids {
		name := path.Join(backupDir, id)
		if err := r.fs.Rename(name, name+disk.TempSuffix); err != nil {
			return err
		}
	}
	if err := r.fs.SyncDir(backupDir); err != nil {
		return err
	}
	for _, id := range ids {
		if err := disk.RemoveTree(r.fs, path.Join(backupDir, id+disk.TempSuffix)); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the files of the repository's own names that nobody needs.
func (r *Repository) sweep(p *Pruned, need map[string]bool, oldest map[string]uint64) error {
	names, err := r.fs.List(tableDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(tableDir, name)
		if need[name] || !isPoolName(path.Base(name)) {
			continue
		}
		if err := r.drop(p, name); err != nil {
			return err
		}
	}
	if names, err = r.fs.List(logDir); err != nil {
		return err
	}
	for _, name := range names {
		database, no, ok := parseSegment(name)
		if !ok {
			continue
		}
		if first, kept := oldest[database]; kept && no >= first {
			continue
		}
		// The description goes first: a segment without one does not count.
		if err := r.fs.Remove(path.Join(logDir, name)); err != nil {
			return err
		}
		if err := r.drop(p, segmentName(database, no)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *Repository) drop(p *Pruned, name string) error {
	size, err := r.fs.Stat(name)
	if err != nil {
		return err
	}
	if err := r.fs.Remove(name); err != nil {
		return err
	}
	p.Files++
	p.Bytes += size
	return nil
}

// isPoolName reports whether a table has a name that this package gives.
func isPoolName(name string) bool {
	parts := strings.Split(strings.TrimSuffix(name, ".sst"), "-")
	if len(parts) != 4 || !isHex(parts[0], 16) || !isHex(parts[1], 16) {
		return false
	}
	var t Table
	_, err := fmt.Sscanf(parts[1]+" "+parts[3], "%x %d", &t.File, &t.Size)
	t.FooterCRC = parts[2]
	return err == nil && isHex(parts[2], 8) && path.Base(t.pool(parts[0])) == name
}
