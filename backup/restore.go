package backup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"

	"tskv/disk"
	"tskv/manifest"
)

// Plan is what Extract is going to do.
type Plan struct {
	Backup
	Log []Segment // to be replayed after it
	To  uint64    // the position asked for; the backup's own if there was none
}

// Plan chooses a backup, the newest one for an empty ID, and the log that leads
// from it to a position, if to is not nil. Without an ID that is the newest
// backup, of the database that the newest of all is of, that does not lie after
// the position. ErrNoBackup, ErrGap.
func (r *Repository) Plan(id string, to *uint64) (Plan, error) {
	all, damaged, err := r.List()
	if err != nil {
		return Plan{}, err
	}
	chosen := -1
	for i := range all {
		if all[i].ID == id || id == "" && (to == nil || all[i].Position <= *to && all[i].Database == all[len(all)-1].Database) {
			chosen = i
		}
	}
	for _, d := range damaged {
		if id == "" || path.Base(path.Dir(d.File)) == id { // it might be the one
			return Plan{}, fmt.Errorf("choose backup: %w", d.Err)
		}
	}
	if chosen < 0 {
		return Plan{}, fmt.Errorf("%w: %s", ErrNoBackup, wanted(id, to, all))
	}
	p := Plan{Backup: all[chosen], To: all[chosen].Position}
	if to == nil {
		return p, nil
	}
	if *to < p.Position {
		return Plan{}, fmt.Errorf("%w: backup %s is of position %d, after %d", ErrNoBackup, p.ID, p.Position, *to)
	}
	p.To = *to
	if p.Log, err = r.chain(&p.Backup, *to); err != nil {
		return Plan{}, fmt.Errorf("restore to position %d from backup %s of position %d: %w", *to, p.ID, p.Position, err)
	}
	return p, nil
}

// wanted says what there is no backup for.
func wanted(id string, to *uint64, all []Backup) string {
	switch {
	case len(all) == 0:
		return "the repository is empty"
	case id != "":
		return "there is none with ID " + strconv.Quote(id)
	}
	return fmt.Sprintf("none is of position %d or before it", *to)
}

// Bytes returns what Extract reads.
func (p *Plan) Bytes() int64 {
	n := p.Backup.Bytes
	for i := range p.Log {
		n += p.Log[i].Size
	}
	return n
}

// Extract copies a backup and the log of the plan into an empty directory
// (ErrNotEmpty), durably. Every byte is compared with its checksum. The engine
// then makes a store of it. After an error the directory holds a part.
func (r *Repository) Extract(ctx context.Context, p Plan, dst disk.FS) error {
	if err := r.extract(ctx, p, dst); err != nil {
		return fmt.Errorf("extract backup %s: %w", p.ID, err)
	}
	return nil
}

func (r *Repository) extract(ctx context.Context, p Plan, dst disk.FS) error {
	names, err := dst.List(".")
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return ErrNotEmpty
	}
	state, err := r.manifestOf(&p.Backup)
	if err != nil {
		return err
	}
	w := r.work(ctx)
	w.total = 2 * p.Bytes()
	for _, dir := range []string{disk.TableDir, disk.SegmentDir} {
		if err := dst.MkdirAll(dir); err != nil {
			return err
		}
	}
	for i := range p.Tables {
		t := &p.Tables[i]
		if _, err := w.copy(place{r.fs, t.pool(p.Database)}, place{dst, disk.TableName(t.File)}, t.Size, t.CRC); err != nil {
			return err
		}
	}
	for i := range p.Log {
		s := &p.Log[i]
		if _, err := w.copy(place{r.fs, s.name()}, place{dst, disk.SegmentName(s.Number)}, s.Size, s.CRC); err != nil {
			return err
		}
	}
	if err := errors.Join(dst.SyncDir(disk.TableDir), dst.SyncDir(disk.SegmentDir)); err != nil {
		return err
	}
	return manifest.Store(dst, state)
}

// manifestOf reads the manifest of a backup, which must be of the description.
func (r *Repository) manifestOf(b *Backup) (*manifest.State, error) {
	dir := path.Join(backupDir, b.ID)
	state, err := manifest.Load(disk.Sub(r.fs, dir))
	if err != nil {
		return nil, err
	}
	same := hex64(state.DBID) == b.Database && state.FlushedSeq == b.Position && state.MinSegment == b.MinSegment &&
		len(state.Files) == len(b.Tables)
	for i := 0; same && i < len(b.Tables); i++ {
		f, t := &state.Files[i], &b.Tables[i]
		same = f.ID == t.File && f.Size == t.Size && hex32(f.FooterCRC) == t.FooterCRC
	}
	if !same {
		return nil, disk.Corrupt(path.Join(dir, disk.ManifestName), 0, "it is not of the backup that is described beside it")
	}
	return state, nil
}
