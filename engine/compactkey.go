package engine

import (
	"tskv/compaction"
)

// CompactKey flushes, and then merges or rewrites the files that hold rows of the
// key, until what was deleted of it is gone from them as far as the order of
// files allows: point deletes go once nothing older lies below them. Files that
// cannot be read are left as they are; if there are any, the error names one.
func (db *DB) CompactKey(key []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := db.Flush(); err != nil {
		return err
	}
	for _, space := range []byte{spaceData, spaceCatalog} {
		internal := internalKey(nil, space, key)
		err := db.compactBy(func(v *version, _ uint64) (compaction.Plan, bool) { return db.chooseForKey(v, internal) })
		if err != nil {
			return err
		}
	}
	return db.damaged.err()
}

// chooseForKey returns the next merge for the sake of an internal key.
func (db *DB) chooseForKey(v *version, key []byte) (compaction.Plan, bool) {
	db.examine(v)
	byID := make(map[uint64]*table)
	for _, t := range v.tables() {
		byID[t.file.ID] = t
	}
	return compaction.PickKey(v.files(), db.pickOptions(v), func(id uint64) (compaction.KeyFile, bool) {
		t := byID[id]
		stats, ok, err := t.series(key)
		if !ok || err != nil {
			return compaction.KeyFile{}, false
		}
		hidden, err := t.hiddenRows(key, v.tombs.Hidden(key, t.file.MaxSeq, nil))
		return compaction.KeyFile{Hidden: err == nil && hidden > 0, Deletes: stats.Deletes > 0}, true
	})
}
