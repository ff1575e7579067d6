package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tskv/disk"
	"tskv/manifest"
)

// ManifestView is the manifest without its lists.
type ManifestView struct {
	Type       string `json:"type"` // manifest
	Generation uint64 `json:"generation"`
	DBID       string `json:"db_id"`
	Unit       uint8  `json:"unit"`
	NextFile   uint64 `json:"next_file"`
	FlushedSeq uint64 `json:"flushed_seq"`
	MinSegment uint64 `json:"min_segment"`
	Keys       uint64 `json:"keys"`
	Expires    uint64 `json:"expires"` // of them, with an expiry
	Clean      bool   `json:"clean"`
	Files      int    `json:"files"`
	Tombstones int    `json:"tombstones"`
	Rules      int    `json:"rules"`
}

// String is a few lines.
func (m *ManifestView) String() string {
	return fmt.Sprintf("manifest generation %d of db %s, unit %d, clean %v\n  tables hold sequence %d and below, the log begins with segment %d, next file %d\n  %d keys (%d with an expiry), %d files, %d tombstones, %d retention rules",
		m.Generation, m.DBID, m.Unit, m.Clean, m.FlushedSeq, m.MinSegment, m.NextFile, m.Keys, m.Expires, m.Files, m.Tombstones, m.Rules)
}

// FileView is a live table.
type FileView struct {
	Type      string  `json:"type"` // file
	File      string  `json:"file"`
	ID        uint64  `json:"id"`
	Bytes     int64   `json:"bytes"`
	Class     uint8   `json:"class"`
	Window    int64   `json:"window"` // start; the lowest int64 is a mixed file
	Tier      uint8   `json:"tier"`
	MinSeq    uint64  `json:"min_seq"`
	MaxSeq    uint64  `json:"max_seq"`
	MinKey    KeyView `json:"min_key"`
	MaxKey    KeyView `json:"max_key"`
	MinTime   uint64  `json:"min_time"`
	MaxTime   uint64  `json:"max_time"`
	Rows      uint64  `json:"rows"`
	Deletes   uint64  `json:"deletes"`
	Series    uint64  `json:"keys"`
	FooterCRC string  `json:"footer_crc"`
}

// String is one line, to stand below its class and window.
func (f *FileView) String() string {
	return fmt.Sprintf("    %s  %d bytes, tier %d, seq %d..%d, %d rows (%d deletes) of %d keys %s..%s, time %d..%d",
		f.File, f.Bytes, f.Tier, f.MinSeq, f.MaxSeq, f.Rows, f.Deletes, f.Series, f.MinKey, f.MaxKey, f.MinTime, f.MaxTime)
}

// WindowView heads the files of a class and window.
type WindowView struct {
	Type   string `json:"type"` // window
	Class  uint8  `json:"class"`
	Window int64  `json:"window"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// String is one line.
func (w *WindowView) String() string {
	name := "mixed"
	if w.Window != math.MinInt64 {
		name = fmt.Sprintf("%d (%s)", w.Window, time.UnixMilli(w.Window).UTC().Format("2006-01-02T15:04Z"))
	}
	return fmt.Sprintf("  class %d window %s: %d files, %d bytes", w.Class, name, w.Files, w.Bytes)
}

// TombstoneView is a range delete.
type TombstoneView struct {
	Type   string `json:"type"` // tombstone
	Seq    uint64 `json:"seq"`
	Prefix bool   `json:"prefix"`
	KeyView
	From string `json:"from"`
	To   string `json:"to"`
}

// String is one line.
func (t *TombstoneView) String() string {
	what := "key"
	if t.Prefix {
		what = "prefix"
	}
	return fmt.Sprintf("  tombstone %d: %s %s from %s to %s", t.Seq, what, t.KeyView, t.From, t.To)
}

// RuleView is a line of the retention table.
type RuleView struct {
	Type    string `json:"type"` // rule
	Pattern string `json:"pattern"`
	Prefix  bool   `json:"prefix"`
	AgeMS   uint64 `json:"age_ms"`
	Bytes   uint64 `json:"bytes"`
	Records uint64 `json:"records"`
}

// String is one line.
func (r *RuleView) String() string {
	star := ""
	if r.Prefix {
		star = "*"
	}
	return fmt.Sprintf("  retention %q%s: %d ms, %d bytes, %d records (0: no bound)", r.Pattern, star, r.AgeMS, r.Bytes, r.Records)
}

// DumpManifest emits a manifest file of any name. A damaged one is not decoded
// in part, because one checksum covers all of it: it is an error that names the
// place.
func DumpManifest(fsys disk.FS, name string, emit Emit) error {
	s, err := manifest.LoadFile(fsys, name)
	if err != nil {
		if errors.Is(err, manifest.ErrVersion) {
			err = fmt.Errorf("%w: %w", ErrVersion, err)
		}
		return err
	}
	if err := emit(&ManifestView{
		Type: "manifest", Generation: s.Generation, DBID: fmt.Sprintf("%016x", s.DBID), Unit: s.Unit, NextFile: s.NextFile,
		FlushedSeq: s.FlushedSeq, MinSegment: s.MinSegment, Keys: s.Keys, Expires: s.Expires, Clean: s.Clean,
		Files: len(s.Files), Tombstones: len(s.Tombstones), Rules: len(s.Retention),
	}); err != nil {
		return err
	}
	if err := emitFiles(s.Files, emit); err != nil {
		return err
	}
	for i := range s.Tombstones {
		t := &s.Tombstones[i]
		if err := emit(&TombstoneView{"tombstone", t.Seq, t.Prefix, viewKey(t.Key), t.From.String(), t.To.String()}); err != nil {
			return err
		}
	}
	for i := range s.Retention {
		r := &s.Retention[i]
		if err := emit(&RuleView{"rule", text(r.Pattern), r.Prefix, r.AgeMS, r.Bytes, r.Records}); err != nil {
			return err
		}
	}
	return nil
}

// emitFiles emits the files by class and window, oldest first.
func emitFiles(files []manifest.File, emit Emit) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b manifest.File) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Window, b.Window),
			cmp.Compare(a.MinSeq, b.MinSeq), cmp.Compare(a.ID, b.ID))
	})
	for i := 0; i < len(files); {
		w := &WindowView{Type: "window", Class: files[i].Class, Window: files[i].Window}
		j := i
		for ; j < len(files) && files[j].Class == w.Class && files[j].Window == w.Window; j++ {
			w.Files++
			w.Bytes += files[j].Size
		}
		if err := emit(w); err != nil {
			return err
		}
		for ; i < j; i++ {
			if err := emit(viewFile(&files[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

func viewFile(f *manifest.File) *FileView {
	return &FileView{
		Type: "file", File: disk.TableName(f.ID), ID: f.ID, Bytes: f.Size, Class: f.Class, Window: f.Window, Tier: f.Tier,
		MinSeq: f.MinSeq, MaxSeq: f.MaxSeq, MinKey: viewKey(f.MinKey), MaxKey: viewKey(f.MaxKey),
		MinTime: f.MinTime, MaxTime: f.MaxTime, Rows: f.Rows, Deletes: f.Deletes, Series: f.Series,
		FooterCRC: fmt.Sprintf("%08x", f.FooterCRC),
	}
}
