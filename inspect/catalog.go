package inspect

import (
	"bytes"
	"encoding/binary"

	"tskv/compaction"
	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
)

// catalogWalk joins the catalog of a set of tables with their data.
type catalogWalk struct {
	// living is called with each key that the catalog has, and whether it has an
	// expiry; missing with each that has records in data but no entry, and the class
	// of these. The keys are the users' and valid during the call.
	living  func(key []byte, expires bool) error
	missing func(key []byte, class uint8) error

	data []openTable
}

// catalog checks that the catalog and the data agree, and the number of keys.
func (c *checker) catalog() error {
	var unknown uint64
	w := catalogWalk{
		living: func(_ []byte, expires bool) error {
			c.report.Keys++
			if expires {
				c.report.Expires++
			}
			return nil
		},
		missing: func(key []byte, _ uint8) error {
			if unknown++; unknown <= 10 {
				c.add(SeverityWarning, disk.TableDir, -1, "key %s has records but no entry in the catalog", quote(key))
			}
			return nil
		},
	}
	if err := w.run(c.plain, c.state, c.opt.NoMmap); err != nil {
		return err
	}
	if unknown > 10 {
		c.add(SeverityWarning, disk.TableDir, -1, "%d keys have records but no entry in the catalog", unknown)
	}
	if c.report.Keys != c.state.Keys {
		c.add(SeverityError, disk.ManifestName, -1, "the catalog has %d keys, the manifest says %d", c.report.Keys, c.state.Keys)
	}
	if c.report.Expires != c.state.Expires {
		c.add(SeverityError, disk.ManifestName, -1, "by the catalog %d keys have an expiry, the manifest says %d", c.report.Expires, c.state.Expires)
	}
	return nil
}

func (w *catalogWalk) run(fsys disk.FS, state *manifest.State, noMmap bool) error {
	tombs := kv.NewTombstones(state.Tombstones)
	var lists [2][]manifest.File // catalog, data
	for _, f := range state.Files {
		if f.Class == compaction.ClassCatalog {
			lists[0] = append(lists[0], f)
		} else {
			lists[1] = append(lists[1], f)
		}
	}
	var its [2]kv.SeriesIterator
	for i, list := range lists {
		tables, err := openTables(fsys, list, noMmap)
		if err != nil {
			return err
		}
		defer closeTables(tables)
		w.data = tables // of the second list in the end
		its[i] = merged(tables, tombs)
		defer its[i].Close()
	}
	return w.join(its[0], its[1])
}

// join walks both in key order, the catalog one step ahead.
func (w *catalogWalk) join(catalog, data kv.SeriesIterator) error {
	entry, err := w.nextLiving(catalog)
	if err != nil {
		return err
	}
	for {
		key, err := data.Next()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if key[0] != spaceData {
			continue // what the engine keeps beside
		}
		for entry != nil && bytes.Compare(entry, key[1:]) < 0 {
			if entry, err = w.nextLiving(catalog); err != nil {
				return err
			}
		}
		if bytes.Equal(entry, key[1:]) {
			continue
		}
		seen, err := visible(data)
		if err == nil && seen {
			err = w.missing(key[1:], w.classOf(key))
		}
		if err != nil {
			return err
		}
	}
	for entry != nil {
		if entry, err = w.nextLiving(catalog); err != nil {
			return err
		}
	}
	return nil
}

// nextLiving returns the next key of the catalog that was not deleted.
func (w *catalogWalk) nextLiving(catalog kv.SeriesIterator) ([]byte, error) {
	for {
		key, err := catalog.Next()
		if err != nil || key == nil {
			return nil, err
		}
		if key[0] != spaceCatalog {
			continue
		}
		seen, expires, err := readEntry(catalog)
		if err != nil {
			return nil, err
		}
		if seen {
			return key[1:], w.living(key[1:], expires)
		}
	}
}

// classOf returns the class of the newest table that has a key.
func (w *catalogWalk) classOf(key []byte) uint8 {
	for _, t := range w.data {
		if _, ok, err := t.SeriesStats(key); ok && err == nil {
			return t.file.Class
		}
	}
	return compaction.ClassData
}

// A changed entry of the catalog is raw bytes of this length, with the key's expiry
// at this place, 0 for none; see docs/formats.md.
const (
	entryBytes  = 43
	entryExpiry = 27
)

// readEntry reads the row of the current key of a catalog: whether the key lives, and
// whether it has an expiry.
func readEntry(it kv.SeriesIterator) (seen, expires bool, err error) {
	src, err := it.Rows(kv.Everything)
	if err != nil {
		return false, false, err
	}
	src = kv.DropDeletes(src)
	defer src.Close()
	rows, err := src.Next()
	if rows == nil || err != nil {
		return false, false, err
	}
	row := rows.Row(0)
	expires = row.Form == kv.FormRaw && len(row.Raw) == entryBytes && binary.LittleEndian.Uint64(row.Raw[entryExpiry:]) != 0
	return true, expires, nil
}
