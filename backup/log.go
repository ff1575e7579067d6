package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"tskv/disk"
	"tskv/wal"
)

// addLog copies the archived segments before the backup's own first one. One
// whose end is not known yet, because its successor cannot be found, is left to
// the next backup.
func (r *Repository) addLog(w *work, src Source, a *Added) error {
	archive, live, err := segmentsOf(src.Data)
	if err != nil {
		return err
	}
	all := slices.Concat(archive, live)
	slices.Sort(all)
	all = slices.Compact(all)
	for _, no := range archive {
		if no >= a.MinSegment {
			break
		}
		i, _ := slices.BinarySearch(all, no)
		if i+1 == len(all) {
			break
		}
		done, err := r.addSegment(w, src, no, all[i+1], a)
		if err != nil {
			return err
		}
		if !done {
			break
		}
		a.LogUpTo = no
	}
	return r.fs.SyncDir(logDir)
}

// segmentsOf lists the segments in the archive and in the log of a store. The log
// is listed first: what moves from one to the other is in the second list then.
func segmentsOf(data disk.FS) (archive, live []uint64, err error) {
	names, err := data.List(disk.SegmentDir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if kind, no, _ := disk.ParseName(path.Join(disk.SegmentDir, name)); kind == disk.KindSegment {
			live = append(live, no)
		}
	}
	names, err = data.List(disk.ArchiveDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, name := range names {
		if no, ok := disk.ParseArchived(path.Join(disk.ArchiveDir, name)); ok {
			archive = append(archive, no)
		}
	}
	return archive, live, nil
}

// addSegment copies one segment as far as its successor says that it reaches;
// false if that one is not there to ask. A segment whose successor is lost leads
// nowhere and is left out.
func (r *Repository) addSegment(w *work, src Source, no, next uint64, a *Added) (bool, error) {
	name := disk.ArchivedName(no)
	info, err := wal.ReadSegmentInfo(src.Data, name)
	if err == nil && (info.Segment != no || info.DBID != src.Database) {
		err = disk.Corrupt(name, 0, "it is segment %d of database %016x", info.Segment, info.DBID)
	}
	if r.opt.AllowDamaged && errors.Is(err, disk.ErrCorrupt) {
		a.Damaged = append(a.Damaged, err.Error())
		return true, nil
	}
	if err != nil {
		return false, err
	}
	after, err := readMoving(src.Data, next)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case r.opt.AllowDamaged && errors.Is(err, disk.ErrCorrupt):
		return true, nil // noted when its own turn comes
	case err != nil:
		return false, err
	case after.PrevSegment != no:
		return true, nil
	}
	s := Segment{
		Format: formatVersion, Database: a.Database, Number: no, Prev: info.PrevSegment,
		First: info.FirstSeq, Last: after.FirstSeq - 1, Size: after.PrevLength,
	}
	there, err := r.hasSegment(&s)
	if there || err != nil {
		return there, err
	}
	w.total += 2 * s.Size
	if s.CRC, err = w.copy(place{src.Data, name}, place{r.fs, s.name()}, s.Size, ""); err != nil {
		return false, err
	}
	if err := r.fs.SyncDir(logDir); err != nil { // before its description
		return false, err
	}
	data, err := encode(&s, &s.Checksum)
	if err != nil {
		return false, err
	}
	if err := disk.ReplaceFile(r.fs, segmentDescription(s.Database, no), "", data); err != nil {
		return false, err
	}
	a.Segments++
	a.LogBytes += s.Size
	return true, nil
}

// hasSegment reports whether a segment is in the repository. One of the same
// number that is not the same belongs to a copy of the store that somebody made
// by hand and that has gone its own way: the two must not be mixed.
func (r *Repository) hasSegment(s *Segment) (bool, error) {
	have, err := r.segment(s.Database, s.Number)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if have.Prev != s.Prev || have.First != s.First || have.Last != s.Last || have.Size != s.Size {
		return false, fmt.Errorf("%w: segment %d of database %s is there with positions %d to %d, this one has %d to %d: use a repository of its own",
			ErrOtherHistory, s.Number, s.Database, have.First, have.Last, s.First, s.Last)
	}
	return true, nil
}

// readMoving reads the header of a segment that a running store may move from the
// log to the archive meanwhile.
func readMoving(data disk.FS, no uint64) (wal.SegmentInfo, error) {
	info, err := wal.ReadSegmentInfo(data, disk.SegmentName(no))
	if errors.Is(err, fs.ErrNotExist) {
		info, err = wal.ReadSegmentInfo(data, disk.ArchivedName(no))
	}
	return info, err
}

// segment reads the description of a segment.
func (r *Repository) segment(database string, no uint64) (Segment, error) {
	var s Segment
	name := segmentDescription(database, no)
	if err := decode(r.fs, name, &s, &s.Checksum, &s.Format); err != nil {
		return s, err
	}
	if wrong := s.check(database, no); wrong != nil {
		return s, disk.Corrupt(name, 0, "%v", wrong)
	}
	return s, nil
}

// logOf returns the numbers of the segments of a database that are described.
func (r *Repository) logOf(database string) ([]uint64, error) {
	names, err := r.fs.List(logDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []uint64
	for _, name := range names {
		var no uint64
		if _, err := fmt.Sscanf(name, database+"-%016x.json", &no); err == nil && path.Join(logDir, name) == segmentDescription(database, no) {
			all = append(all, no)
		}
	}
	return all, nil
}

// chain returns the segments that lead from a backup to a position after it;
// ErrGap if one is missing.
func (r *Repository) chain(b *Backup, to uint64) ([]Segment, error) {
	numbers, err := r.logOf(b.Database)
	if err != nil {
		return nil, err
	}
	var list []Segment
	reached, last := b.Position, uint64(0)
	for _, no := range numbers {
		if no < b.MinSegment || reached >= to {
			continue
		}
		s, err := r.segment(b.Database, no)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 && s.Prev != last || len(list) == 0 && s.Prev >= b.MinSegment {
			return nil, fmt.Errorf("%w: it holds positions up to %d and from %d, not those between: "+
				"the archive was over its bound, or not switched on", ErrGap, reached, s.First)
		}
		list, last = append(list, s), no
		reached = max(reached, s.Last)
	}
	if reached < to {
		return nil, fmt.Errorf("%w: it reaches position %d", ErrGap, reached)
	}
	return list, nil
}
