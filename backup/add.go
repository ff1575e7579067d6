package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"tskv/disk"
	"tskv/manifest"
	"tskv/sstable"
)

// Source is what a backup is made of.
type Source struct {
	Checkpoint disk.FS // a checkpoint: its manifest and tables
	Database   uint64  // ID of the store that it was taken of
	// Data is that store's directory, whose archived log segments are taken, too;
	// nil for none.
	Data disk.FS
}

// Added says what Add has done.
type Added struct {
	Backup
	Copied      int    // tables copied; the others were in the repository
	CopiedBytes int64  // of them
	Segments    int    // log segments copied
	LogBytes    int64  // of them
	LogUpTo     uint64 // the archive may let go of segments up to this number; 0: of none
}

// Add makes a backup. Whatever fails, or kills the process, there is either the
// whole backup or none of it; the next Add goes on where this one stopped. A
// table that is damaged at its source is an error (*disk.CorruptError), unless
// Options.AllowDamaged is set.
func (r *Repository) Add(ctx context.Context, src Source) (Added, error) {
	state, err := manifest.Load(src.Checkpoint)
	if err != nil {
		return Added{}, fmt.Errorf("back up: %w", err)
	}
	known, err := r.knownTables(hex64(src.Database))
	if err != nil {
		return Added{}, fmt.Errorf("back up: %w", err)
	}
	a := Added{Backup: Backup{
		Format: formatVersion, Tool: r.opt.Tool, Time: r.opt.Now().UTC().Truncate(time.Millisecond),
		Database: hex64(src.Database), Position: state.FlushedSeq, MinSegment: state.MinSegment, Keys: state.Keys,
		Tables: make([]Table, 0, len(state.Files)),
	}}
	w := r.work(ctx)
	for _, f := range state.Files {
		t := Table{File: f.ID, Size: f.Size, FooterCRC: hex32(f.FooterCRC)}
		if _, ok := known[t.pool(a.Database)]; !ok {
			w.total += 2 * f.Size // written and read back
		}
	}
	for _, f := range state.Files {
		if err := r.addTable(w, src, f, known, &a); err != nil {
			return Added{}, fmt.Errorf("back up: %w", err)
		}
	}
	if err := r.fs.SyncDir(tableDir); err != nil {
		return Added{}, fmt.Errorf("back up: %w", err)
	}
	if src.Data != nil {
		if err := r.addLog(w, src, &a); err != nil {
			return Added{}, fmt.Errorf("back up log: %w", err)
		}
	}
	if err := r.describe(&a.Backup, state, src.Database); err != nil {
		return Added{}, fmt.Errorf("describe backup: %w", err)
	}
	return a, nil
}

// knownTables returns the checksums of the tables of a database that earlier
// backups describe. A description that cannot be read says nothing.
func (r *Repository) knownTables(database string) (map[string]string, error) {
	backups, _, err := r.List()
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for i := range backups {
		if backups[i].Database != database {
			continue
		}
		for j := range backups[i].Tables {
			t := &backups[i].Tables[j]
			known[t.pool(database)] = t.CRC
		}
	}
	return known, nil
}

// addTable puts one table into the repository unless it is there.
func (r *Repository) addTable(w *work, src Source, f manifest.File, known map[string]string, a *Added) error {
	t := Table{File: f.ID, Size: f.Size, FooterCRC: hex32(f.FooterCRC)}
	name := t.pool(a.Database)
	size, err := r.fs.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil && size == t.Size
	t.CRC = known[name]
	if there && t.CRC == "" { // left by a backup that did not end
		if there, err = r.same(w, src.Checkpoint, disk.TableName(f.ID), name, &t); err != nil {
			return err
		}
	}
	if !there {
		if err := r.checkTable(w, src.Checkpoint, f, a); err != nil {
			return err
		}
		if t.CRC, err = w.copy(place{src.Checkpoint, disk.TableName(f.ID)}, place{r.fs, name}, f.Size, t.CRC); err != nil {
			return err
		}
		a.Copied++
		a.CopiedBytes += f.Size
	}
	a.Tables = append(a.Tables, t)
	a.Bytes += t.Size
	return nil
}

// same compares a file that nobody has described with its source.
func (r *Repository) same(w *work, src disk.FS, from, name string, t *Table) (bool, error) {
	want, err := w.sum(src, from, t.Size)
	if err != nil {
		return false, err
	}
	have, err := w.sum(r.fs, name, t.Size)
	if err != nil {
		return false, err
	}
	if have == want {
		t.CRC = hex32(have)
	}
	return have == want, nil
}

// checkTable verifies the checksums that a table itself has: a backup of damage
// would hide it.
func (r *Repository) checkTable(w *work, src disk.FS, f manifest.File, a *Added) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	t, err := sstable.Open(src, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{NoMmap: true})
	if err == nil {
		err = errors.Join(t.Verify(), t.Close())
	}
	if err != nil && r.opt.AllowDamaged && errors.Is(err, disk.ErrCorrupt) {
		a.Damaged = append(a.Damaged, err.Error())
		return nil
	}
	return err
}

// describe gives a backup an ID and makes it exist.
func (r *Repository) describe(b *Backup, state *manifest.State, database uint64) error {
	if err := r.chooseID(b); err != nil {
		return err
	}
	final := path.Join(backupDir, b.ID)
	temp := final + disk.TempSuffix
	if err := r.fs.MkdirAll(temp); err != nil {
		return err
	}
	own := *state
	own.DBID = database // the log that follows it has this one
	if err := manifest.Store(disk.Sub(r.fs, temp), &own); err != nil {
		return err
	}
	data, err := encode(b, &b.Checksum)
	if err != nil {
		return err
	}
	if err := disk.ReplaceFile(r.fs, path.Join(temp, description), "", data); err != nil {
		return err
	}
	if err := r.fs.Rename(temp, final); err != nil {
		return err
	}
	return r.fs.SyncDir(backupDir)
}

// chooseID takes the time, or the next millisecond that no backup has.
func (r *Repository) chooseID(b *Backup) error {
	for {
		b.ID = b.Time.Format(idLayout)
		_, err := r.fs.List(path.Join(backupDir, b.ID))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		b.Time = b.Time.Add(time.Millisecond)
	}
}
