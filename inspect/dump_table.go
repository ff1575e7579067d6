package inspect

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strings"

	"tskv/disk"
	"tskv/kv"
	"tskv/sstable"
)

// TableView is what a table says of itself.
type TableView struct {
	Type        string  `json:"type"` // table
	File        string  `json:"file"`
	ID          uint64  `json:"id"`
	Version     int     `json:"version"`
	Bytes       int64   `json:"bytes"`
	DataBytes   int64   `json:"data_bytes"`
	IndexBytes  int64   `json:"index_bytes"`
	FilterBytes int64   `json:"filter_bytes"`
	FilterOK    bool    `json:"filter_ok"`
	Class       uint8   `json:"class"`
	Window      int64   `json:"window"` // the lowest int64 is a mixed file
	MinSeq      uint64  `json:"min_seq"`
	MaxSeq      uint64  `json:"max_seq"`
	MinKey      KeyView `json:"min_key"`
	MaxKey      KeyView `json:"max_key"`
	MinTime     uint64  `json:"min_time"`
	MaxTime     uint64  `json:"max_time"`
	Rows        uint64  `json:"rows"`
	Deletes     uint64  `json:"deletes"`
	Series      uint64  `json:"keys"`
	Blocks      uint64  `json:"blocks"`
	Packed      uint64  `json:"packed_blocks"`
	TagSets     uint64  `json:"tag_sets"`
	FooterCRC   string  `json:"footer_crc"`
}

// String is a few lines.
func (t *TableView) String() string {
	window := fmt.Sprint(t.Window)
	if t.Window == math.MinInt64 {
		window = "mixed"
	}
	filter := "ok"
	if !t.FilterOK {
		filter = "DAMAGED"
	}
	perRow := float64(t.Bytes) / float64(max(t.Rows, 1))
	return fmt.Sprintf("table %s: file %d, format %d, %d bytes (data %d, index %d, filter %d %s), %.2f a row\n"+
		"  class %d, window %s, sequences %d..%d, footer %s\n"+
		"  %d rows (%d deletes) of %d keys %s..%s, times %d..%d\n  %d blocks (%d packed), %d tag sets",
		t.File, t.ID, t.Version, t.Bytes, t.DataBytes, t.IndexBytes, t.FilterBytes, filter, perRow,
		t.Class, window, t.MinSeq, t.MaxSeq, t.FooterCRC,
		t.Rows, t.Deletes, t.Series, t.MinKey, t.MaxKey, t.MinTime, t.MaxTime, t.Blocks, t.Packed, t.TagSets)
}

// BlockView is a block of a table.
type BlockView struct {
	Type      string       `json:"type"` // block
	Offset    int64        `json:"offset"`
	Bytes     int          `json:"bytes"`
	Kind      string       `json:"kind"`
	Rows      int          `json:"rows"`
	Series    int          `json:"keys"`
	FirstKey  KeyView      `json:"first_key"`
	LastKey   KeyView      `json:"last_key"`
	MinTime   uint64       `json:"min_time"`
	MaxTime   uint64       `json:"max_time"`
	ScaleMode string       `json:"scale_mode,omitempty"`
	Scale     int          `json:"scale"`
	Columns   []ColumnView `json:"columns"`
}

// ColumnView is a column of a block.
type ColumnView struct {
	Name     string `json:"name"`
	Encoding string `json:"encoding"`
	Bytes    int    `json:"bytes"`
	RawBytes int    `json:"raw_bytes"`
}

// String is one line and one for each column.
func (b *BlockView) String() string {
	s := fmt.Sprintf("  block %d  %d bytes  %s  %d rows of %d keys  time %d..%d  %s", b.Offset, b.Bytes, b.Kind, b.Rows, b.Series, b.MinTime, b.MaxTime, b.FirstKey)
	if b.FirstKey != b.LastKey {
		s += ".." + b.LastKey.String()
	}
	if b.ScaleMode != "" {
		s += fmt.Sprintf("  scale %d %s", b.Scale, b.ScaleMode)
	}
	for _, c := range b.Columns {
		s += fmt.Sprintf("\n    %-12s %-14s %8d of %d bytes", c.Name, c.Encoding, c.Bytes, c.RawBytes)
	}
	return s
}

// RowView is a row of a table.
type RowView struct {
	Type string `json:"type"` // row
	KeyView
	ID string `json:"id"`
	ValueView
}

// String is one line.
func (r *RowView) String() string {
	return fmt.Sprintf("    %s %s %s", r.KeyView, r.ID, r.ValueView)
}

// DumpTable emits a table file of any name as far as it verifies: what it says of
// itself, its blocks, and with rows all rows. It reports whether it met damage.
func DumpTable(fsys disk.FS, name string, rows bool, emit Emit) (damaged bool, err error) {
	d := tableDump{fs: fsys, name: name, emit: emit}
	id, err := d.blocks()
	if err == nil && (rows || id == 0) {
		err = d.rows(id, rows)
	}
	return d.damaged, err
}

type tableDump struct {
	fs      disk.FS
	name    string
	emit    Emit
	damaged bool
	seen    map[int64]bool // places of damage that were shown
}

func (d *tableDump) damage(offset, length int64, what string) error {
	d.damaged = true
	if d.seen[offset] {
		return nil
	}
	if d.seen == nil {
		d.seen = make(map[int64]bool)
	}
	if len(d.seen) < maxDamage {
		d.seen[offset] = true
	}
	return d.emit(viewDamage(Damage{d.name, offset, length, what}))
}

// blocks shows properties and blocks; it returns the file's ID, 0 if its ends
// are damaged.
func (d *tableDump) blocks() (id uint64, err error) {
	r, err := sstable.OpenUnlisted(d.fs, d.name, sstable.ReaderOptions{NoMmap: true})
	var corrupt *disk.CorruptError
	switch {
	case errors.Is(err, sstable.ErrVersion):
		return 0, fmt.Errorf("%w: %w", ErrVersion, err)
	case errors.As(err, &corrupt):
		return 0, d.damage(corrupt.Offset, -1, corrupt.Reason)
	case err != nil:
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := d.emit(viewTable(d.name, r)); err != nil {
		return 0, err
	}
	if r.FilterDamaged() {
		d.damaged = true
	}
	for b, blockErr := range r.Blocks() {
		if blockErr == nil {
			err = d.emit(viewBlock(&b))
		} else if errors.As(blockErr, &corrupt) {
			err = d.damage(corrupt.Offset, int64(b.Length), strings.TrimSpace(b.Kind+" "+corrupt.Reason))
		} else {
			err = blockErr
		}
		if err != nil {
			return 0, err
		}
	}
	return r.Properties().FileID, nil
}

// rows shows all rows that can be read. Without an ID it is that of the name.
func (d *tableDump) rows(id uint64, show bool) error {
	if id == 0 {
		_, id, _ = disk.ParseName(path.Join(disk.TableDir, path.Base(d.name)))
	}
	var lost error
	s, err := sstable.OpenSalvage(d.fs, d.name, id, nil, func(l sstable.Lost) {
		lost = errors.Join(lost, d.damage(l.Offset, l.Length, l.Reason))
	})
	var corrupt *disk.CorruptError
	if errors.As(err, &corrupt) {
		return d.damage(corrupt.Offset, -1, corrupt.Reason)
	}
	if err != nil {
		return err
	}
	it := s.Iterator()
	defer it.Close()
	err = eachRow(it, func(key []byte, row *kv.Row) error {
		if lost != nil || !show {
			return lost
		}
		return d.emit(&RowView{"row", viewKey(key), row.ID.String(), viewValue(row)})
	})
	return errors.Join(err, s.Close())
}

// eachRow calls fn with every row.
func eachRow(it kv.SeriesIterator, fn func(key []byte, row *kv.Row) error) error {
	for {
		key, err := it.Next()
		if key == nil || err != nil {
			return err
		}
		if err := rowsOf(it, key, fn); err != nil {
			return err
		}
	}
}

func rowsOf(it kv.SeriesIterator, key []byte, fn func(key []byte, row *kv.Row) error) error {
	src, err := it.Rows(kv.Everything)
	if err != nil {
		return err
	}
	defer src.Close()
	for {
		rows, err := src.Next()
		if rows == nil || err != nil {
			return err
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			if err := fn(key, &row); err != nil {
				return err
			}
		}
	}
}

func viewTable(name string, r *sstable.Reader) *TableView {
	p := r.Properties()
	return &TableView{
		Type: "table", File: name, ID: p.FileID, Version: r.FormatVersion(), Bytes: p.Size, DataBytes: p.DataBytes, IndexBytes: p.IndexBytes,
		FilterBytes: p.FilterBytes, FilterOK: !r.FilterDamaged(), Class: p.Class, Window: p.Window, MinSeq: p.MinSeq, MaxSeq: p.MaxSeq,
		MinKey: viewKey(p.MinKey), MaxKey: viewKey(p.MaxKey), MinTime: p.MinTime, MaxTime: p.MaxTime,
		Rows: p.Rows, Deletes: p.Deletes, Series: p.Series, Blocks: p.Blocks, Packed: p.PackedBlocks, TagSets: p.TagSets,
		FooterCRC: fmt.Sprintf("%08x", p.FooterCRC),
	}
}

func viewBlock(b *sstable.BlockInfo) *BlockView {
	v := &BlockView{
		Type: "block", Offset: b.Offset, Bytes: b.Length, Kind: b.Kind, Rows: b.Rows, Series: b.Series,
		FirstKey: viewKey(b.FirstKey), LastKey: viewKey(b.LastKey), MinTime: b.MinTime, MaxTime: b.MaxTime,
		ScaleMode: b.ScaleMode, Scale: b.Scale, Columns: []ColumnView{},
	}
	for _, c := range b.Columns {
		v.Columns = append(v.Columns, ColumnView{c.Name, c.Encoding, c.Bytes, c.RawBytes})
	}
	return v
}
