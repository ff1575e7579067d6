package inspect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// part is a table that goes into the new store.
type part struct {
	file    manifest.File  // as it is; of a damaged one, what is left of it
	known   *manifest.File // what a manifest says of it; nil if none does
	codec   sstable.Codec
	damaged bool
	gone    bool // nothing of it can be read
}

// scan verifies all tables, and reads the damaged ones once to know what is left.
func (s *salvager) scan() error {
	slices.SortFunc(s.parts, func(a, b *part) int { return cmp.Compare(a.file.ID, b.file.ID) })
	for _, p := range s.parts {
		if err := s.scanPart(p); err != nil {
			return err
		}
	}
	s.parts = slices.DeleteFunc(s.parts, func(p *part) bool { return p.gone })
	return nil
}

func (s *salvager) scanPart(p *part) error {
	name := disk.TableName(p.file.ID)
	err := s.verify(p)
	switch {
	case err == nil:
		return nil
	case isVersion(err):
		return err
	case errors.Is(err, fs.ErrNotExist):
		p.gone = true
		first, last := viewKey(p.file.MinKey), viewKey(p.file.MaxKey)
		s.lose(Loss{
			File: name, Offset: -1, Length: p.file.Size, What: "the file is missing", Rows: int64(p.file.Rows),
			MinKey: &first, MaxKey: &last, MinSeq: p.file.MinSeq, MaxSeq: p.file.MaxSeq,
			From: kv.ID{Time: p.file.MinTime}.String(), To: kv.ID{Time: p.file.MaxTime, Seq: kv.MaxID.Seq}.String(),
		})
		return nil
	}
	p.damaged = true
	return s.scanDamaged(p, name)
}

// verify reads a table as a whole and, if it is sound, describes it.
func (s *salvager) verify(p *part) (err error) {
	name := disk.TableName(p.file.ID)
	var r *sstable.Reader
	opt := sstable.ReaderOptions{NoMmap: true}
	if s.listed {
		f := p.known
		r, err = sstable.Open(s.from, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, opt)
	} else {
		r, err = sstable.OpenUnlisted(s.from, name, opt)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	props := r.Properties()
	if props.FileID != p.file.ID {
		return disk.Corrupt(name, -1, "this is file %d", props.FileID)
	}
	if err := r.Verify(); err != nil {
		return err
	}
	if s.listed {
		if differ := disagreements(p.known, props); len(differ) > 0 {
			return disk.Corrupt(name, -1, "%s", differ[0])
		}
	}
	p.codec = props.Codec
	if s.listed {
		return nil
	}
	p.file = manifest.File{
		ID: props.FileID, Size: props.Size, Class: props.Class, Window: props.Window, MinSeq: props.MinSeq, MaxSeq: props.MaxSeq,
		MinKey: bytes.Clone(props.MinKey), MaxKey: bytes.Clone(props.MaxKey), MinTime: props.MinTime, MaxTime: props.MaxTime,
		Rows: props.Rows, Deletes: props.Deletes, Series: props.Series, FooterCRC: props.FooterCRC,
	}
	if p.known != nil {
		p.file.Tier = p.known.Tier
	}
	return nil
}

// openDamaged opens what is left of a table.
func (s *salvager) openDamaged(p *part, lost func(sstable.Lost)) (*sstable.Salvage, error) {
	var known *sstable.Properties
	if f := p.known; f != nil {
		known = &sstable.Properties{
			MinSeq: f.MinSeq, MaxSeq: f.MaxSeq, Class: f.Class, Window: f.Window, MinTime: f.MinTime, MinKey: f.MinKey, MaxKey: f.MaxKey,
		}
	}
	return sstable.OpenSalvage(s.from, disk.TableName(p.file.ID), p.file.ID, known, lost)
}

// scanDamaged reports what of a damaged table is lost, and finds the bounds of
// what is left.
func (s *salvager) scanDamaged(p *part, name string) error {
	var lost []sstable.Lost
	r, err := s.openDamaged(p, func(l sstable.Lost) { lost = append(lost, l) })
	var corrupt *disk.CorruptError
	if errors.As(err, &corrupt) {
		p.gone = true
		s.lose(Loss{File: name, Offset: corrupt.Offset, Length: s.files.tables[p.file.ID], What: corrupt.Reason, Rows: -1})
		return nil
	}
	if err != nil {
		return err
	}
	props := r.Properties()
	f := manifest.File{
		ID: p.file.ID, Class: props.Class, Window: props.Window, MinSeq: props.MinSeq, MaxSeq: props.MaxSeq,
		MinTime: math.MaxUint64, Tier: p.file.Tier,
	}
	it := r.Iterator()
	err = eachRow(it, func(key []byte, row *kv.Row) error {
		if f.Rows == 0 {
			f.MinKey = bytes.Clone(key)
		}
		f.Rows++
		f.MaxKey = append(f.MaxKey[:0], key...)
		f.MinTime, f.MaxTime = min(f.MinTime, row.ID.Time), max(f.MaxTime, row.ID.Time)
		return nil
	})
	it.Close()
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	known := p.known
	if known == nil {
		known = &manifest.File{MinSeq: f.MinSeq, MaxSeq: f.MaxSeq, MinKey: props.MinKey, MaxKey: props.MaxKey, MaxTime: math.MaxUint64}
	}
	if len(lost) == 0 {
		s.lose(Loss{File: name, Offset: -1, Length: -1, What: "it does not agree with the manifest, or within itself"})
	}
	for i := range lost {
		s.loseRows(name, &lost[i], known)
	}
	p.file, p.gone, p.codec = f, f.Rows == 0, props.Codec
	return nil
}

// loseRows notes a loss within a table. Older versions of these records are
// hidden where it is known which keys they may have.
func (s *salvager) loseRows(name string, l *sstable.Lost, known *manifest.File) {
	loss, lost := tableLoss(name, l, known)
	if l.Rows != 0 && lost.maxKey != nil && !s.opt.KeepOlder {
		loss.Older = olderHidden
		s.regions = append(s.regions, lost)
	}
	s.lose(loss)
}

// write brings the tables into the new store.
func (s *salvager) write() error {
	if err := s.to.MkdirAll(disk.TableDir); err != nil {
		return err
	}
	s.state.Files = nil
	for _, group := range s.groups() {
		if err := s.writeGroup(group); err != nil {
			return err
		}
	}
	if err := s.to.SyncDir(disk.TableDir); err != nil {
		return err
	}
	if err := compaction.CheckOrder(s.state.Files); err != nil {
		return err
	}
	s.state.NextFile = s.nextID
	s.state.Tombstones = liveTombstones(s.state.Files, s.state.Tombstones)
	return nil
}

// groups puts tables together that can hold the same records in one range of
// sequences, so that only a merge can keep both. The manifest's own tables never
// do; without it the inputs of a merge may lie beside its output.
func (s *salvager) groups() [][]*part {
	var groups [][]*part
	for _, p := range s.parts {
		groups = append(groups, []*part{p})
	}
	for changed := !s.listed; changed; {
		changed = false
		for i := 0; i < len(groups); i++ {
			for j := len(groups) - 1; j > i; j-- {
				if collide(union(groups[i]), union(groups[j])) {
					groups[i] = append(groups[i], groups[j]...)
					groups = slices.Delete(groups, j, j+1)
					changed = true
				}
			}
		}
	}
	return groups
}

func collide(a, b manifest.File) bool {
	return a.MinSeq <= b.MaxSeq && b.MinSeq <= a.MaxSeq && a.Class == b.Class &&
		compaction.CheckOrder([]manifest.File{a, b}) != nil
}

// union describes the merge of a group.
func union(group []*part) manifest.File {
	u := group[0].file
	for _, p := range group[1:] {
		f := &p.file
		u.MinSeq, u.MaxSeq = min(u.MinSeq, f.MinSeq), max(u.MaxSeq, f.MaxSeq)
		u.MinTime, u.MaxTime = min(u.MinTime, f.MinTime), max(u.MaxTime, f.MaxTime)
		if f.Window != u.Window {
			u.Window = compaction.Mixed
		}
		if bytes.Compare(f.MinKey, u.MinKey) < 0 {
			u.MinKey = f.MinKey
		}
		if bytes.Compare(f.MaxKey, u.MaxKey) > 0 {
			u.MaxKey = f.MaxKey
		}
	}
	return u
}

// writeGroup copies a table that is sound and whole, and writes anything else
// anew. A copy, though a link would do for a file that never changes: it does not
// share the fate of the old blocks on a disk that is going bad.
func (s *salvager) writeGroup(group []*part) error {
	if len(group) == 1 && !group[0].damaged && len(s.touching(&group[0].file)) == 0 {
		p := group[0]
		if err := copyFile(s.from, s.to, disk.TableName(p.file.ID)); err != nil {
			return err
		}
		s.state.Files = append(s.state.Files, p.file)
		s.report.Copied++
		return nil
	}
	// Newest first. In one range of sequences the wider file was merged from the
	// narrower ones, so it is the newer.
	slices.SortFunc(group, func(a, b *part) int {
		return cmp.Or(cmp.Compare(b.file.MaxSeq, a.file.MaxSeq), cmp.Compare(a.file.MinSeq, b.file.MinSeq), cmp.Compare(b.file.ID, a.file.ID))
	})
	u := union(group)
	var in, out uint64
	iters := make([]kv.SeriesIterator, 0, len(group))
	for _, p := range group {
		it, closer, err := s.open(p)
		if err != nil {
			return err
		}
		defer closer()
		iters = append(iters, it)
		in += p.file.Rows
	}
	files, err := compaction.Build(kv.MergeSeries(iters), func([]byte) uint8 { return u.Class }, compaction.Output{
		FS: s.to, NextID: s.newID, MinSeq: u.MinSeq, MaxSeq: u.MaxSeq, Codec: group[0].codec,
		Split: len(group) > 1, Window: u.Window, Tier: u.Tier,
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		out += f.Rows
	}
	if len(group) == 1 {
		s.report.Older += in - min(in, out)
	}
	s.state.Files = append(s.state.Files, files...)
	s.report.Written += len(files)
	return nil
}

func (s *salvager) newID() uint64 {
	s.nextID++
	return s.nextID - 1
}

// touching returns the regions that may hide rows of a file.
func (s *salvager) touching(f *manifest.File) (list []region) {
	for i := range s.regions {
		if s.regions[i].touches(f) {
			list = append(list, s.regions[i])
		}
	}
	return list
}

// open opens the rows of a part without those that may be out of date.
func (s *salvager) open(p *part) (kv.SeriesIterator, func(), error) {
	var it kv.SeriesIterator
	var closer func() error
	if p.damaged {
		r, err := s.openDamaged(p, func(sstable.Lost) {}) // reported by the scan
		if err != nil {
			return nil, nil, err
		}
		it, closer = r.Iterator(), r.Close
	} else {
		f := &p.file
		r, err := sstable.Open(s.from, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{NoMmap: true})
		if err != nil {
			return nil, nil, fmt.Errorf("open %s again: %w", disk.TableName(f.ID), err)
		}
		it, closer = r.StreamIterator(), r.Close
	}
	if list := s.touching(&p.file); len(list) > 0 {
		it = &hiding{SeriesIterator: it, ranges: hidden(list)}
	}
	return it, func() { _ = closer() }, nil // read only
}

// hidden returns the ranges of a key that lie in one of the regions.
func hidden(list []region) func(key []byte, dst []kv.IDRange) []kv.IDRange {
	single := make(map[string][]kv.IDRange)
	var wide []region
	for _, r := range list {
		if bytes.Equal(r.minKey, r.maxKey) {
			single[string(r.minKey)] = append(single[string(r.minKey)], kv.IDRange{From: r.from, To: r.to})
		} else {
			wide = append(wide, r)
		}
	}
	return func(key []byte, dst []kv.IDRange) []kv.IDRange {
		dst = append(dst, single[string(key)]...)
		for i := range wide {
			if wide[i].has(key) {
				dst = append(dst, kv.IDRange{From: wide[i].from, To: wide[i].to})
			}
		}
		return dst
	}
}

// copyFile copies a file under its name and syncs it.
func copyFile(from, to disk.FS, name string) (err error) {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := to.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, err := in.Size()
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; {
		p := buf[:min(int64(len(buf)), size-off)]
		if _, err := in.ReadAt(p, off); err != nil {
			return err
		}
		if _, err := out.WriteAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	in.DropCache(0, size)
	return out.Sync()
}
