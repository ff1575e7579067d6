package inspect

import (
	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// birthKind is the kind of keys that a repaired catalog entry has: a series. Its
// time of birth is not known and counts as 0.
const birthKind = 1

// repairCatalog gives keys with records but without a catalog entry a new one, and
// sets the numbers of keys right. The replay has brought all records into tables.
func (s *salvager) repairCatalog(state *manifest.State) (err error) {
	next := *state
	next.Keys, next.Expires = 0, 0
	r := rebirth{fs: s.to, state: &next}
	w := catalogWalk{
		living:  countInto(&next),
		missing: r.add,
	}
	if err := w.run(s.to, state, false); err != nil {
		r.abort()
		return err
	}
	if err := r.finish(); err != nil {
		return err
	}
	next.Keys += r.keys
	s.report.Reborn = r.keys
	if next.Keys == state.Keys && next.Expires == state.Expires && r.keys == 0 {
		return nil
	}
	next.Generation++
	return manifest.Store(s.to, &next)
}

// rebirth writes a catalog table of its own.
type rebirth struct {
	fs    disk.FS
	state *manifest.State
	w     *sstable.Writer
	id    uint64
	keys  uint64
	key   []byte
	rows  kv.Rows
}

// add writes the entry of a user's key; keys ascend. A class of its own is told by
// the scale of the entry, as the engine does.
func (r *rebirth) add(key []byte, class uint8) error {
	if r.w == nil {
		r.id = r.state.NextFile
		seq := r.state.FlushedSeq + 1
		var err error
		r.w, err = sstable.NewWriter(r.fs, sstable.WriterOptions{
			FileID: r.id, MinSeq: seq, MaxSeq: seq, Class: compaction.ClassCatalog, Codec: sstable.CodecS2,
		})
		if err != nil {
			return err
		}
	}
	row := kv.Row{Num: birthKind}
	if class < compaction.ClassData {
		row.Form = kv.Form(class + 1)
	}
	r.rows.Reset()
	r.rows.Append(row)
	r.keys++
	r.key = append(append(r.key[:0], spaceCatalog), key...)
	return r.w.Add(r.key, &r.rows)
}

func (r *rebirth) abort() {
	if r.w != nil {
		r.w.Abort()
	}
}

func (r *rebirth) finish() error {
	if r.w == nil {
		return nil
	}
	p, err := r.w.Finish()
	if err != nil {
		return err
	}
	seq := r.state.FlushedSeq + 1
	r.state.FlushedSeq, r.state.NextFile = seq, r.id+1
	r.state.Files = append(append([]manifest.File(nil), r.state.Files...), manifest.File{
		ID: r.id, Size: p.Size, Class: compaction.ClassCatalog, MinSeq: seq, MaxSeq: seq,
		MinKey: p.MinKey, MaxKey: p.MaxKey, MinTime: p.MinTime, MaxTime: p.MaxTime,
		Rows: p.Rows, Deletes: p.Deletes, Series: p.Series, FooterCRC: p.FooterCRC,
	})
	return r.fs.SyncDir(disk.TableDir)
}
