package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"tskv/disk"
	"tskv/manifest"
	"tskv/sstable"
)

// table checks a file that the manifest names.
func (c *checker) table(f *manifest.File) {
	name := disk.TableName(f.ID)
	r, err := sstable.Open(c.fs, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{NoMmap: true})
	if errors.Is(err, fs.ErrNotExist) {
		err = disk.Corrupt(name, -1, "the file is missing; it had %d rows of %d keys", f.Rows, f.Series)
	}
	if err != nil {
		c.bad.Store(true)
		c.failure(name, err)
		return
	}
	for _, what := range disagreements(f, r.Properties()) {
		c.bad.Store(true)
		c.add(SeverityError, name, -1, "%s", what)
	}
	c.verify(name, r)
}

// unlisted checks a file on its own.
func (c *checker) unlisted(id uint64) {
	name := disk.TableName(id)
	r, err := sstable.OpenUnlisted(c.fs, name, sstable.ReaderOptions{NoMmap: true})
	if err != nil {
		c.failure(name, err)
		return
	}
	if got := r.Properties().FileID; got != id {
		c.add(SeverityError, name, -1, "this is file %d", got)
	}
	c.verify(name, r)
}

// verify reads the whole file and closes it. Verify stops at the first damage;
// where there is some, the walk over the blocks names all damaged ones.
func (c *checker) verify(name string, r *sstable.Reader) {
	if err := r.Verify(); err == nil {
		c.rows.Add(r.Properties().Rows)
	} else {
		c.bad.Store(true)
		if !c.damagedBlocks(name, r) {
			c.failure(name, err)
		}
	}
	if err := r.Close(); err != nil {
		c.failure(name, err)
	}
}

// damagedBlocks reports all damaged blocks; false if there are none.
func (c *checker) damagedBlocks(name string, r *sstable.Reader) (found bool) {
	for b, err := range r.Blocks() {
		var corrupt *disk.CorruptError
		switch {
		case err == nil:
			continue
		case errors.As(err, &corrupt) && b.FirstKey != nil:
			c.add(SeverityError, name, corrupt.Offset, "%s (key %s)", corrupt.Reason, quoteRange(b.FirstKey, b.LastKey))
		default:
			c.failure(name, err)
		}
		found = true
	}
	return found
}

// disagreements compares what the manifest says of a file with what the file
// says of itself.
func disagreements(f *manifest.File, p *sstable.Properties) (list []string) {
	differ := func(what string, manifest, file any) {
		list = append(list, fmt.Sprintf("%s is %v in the manifest, %v in the file", what, manifest, file))
	}
	for _, n := range [...]struct {
		what           string
		manifest, file uint64
	}{
		{"class", uint64(f.Class), uint64(p.Class)},
		{"lowest sequence", f.MinSeq, p.MinSeq},
		{"highest sequence", f.MaxSeq, p.MaxSeq},
		{"lowest time", f.MinTime, p.MinTime},
		{"highest time", f.MaxTime, p.MaxTime},
		{"number of rows", f.Rows, p.Rows},
		{"number of deletes", f.Deletes, p.Deletes},
		{"number of keys", f.Series, p.Series},
	} {
		if n.manifest != n.file {
			differ(n.what, n.manifest, n.file)
		}
	}
	if f.Window != p.Window {
		differ("window", f.Window, p.Window)
	}
	if !bytes.Equal(f.MinKey, p.MinKey) {
		differ("lowest key", quote(f.MinKey), quote(p.MinKey))
	}
	if !bytes.Equal(f.MaxKey, p.MaxKey) {
		differ("highest key", quote(f.MaxKey), quote(p.MaxKey))
	}
	return list
}
