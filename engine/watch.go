package engine

import (
	"tskv/kv"
	"tskv/sstable"
)

// Changed reports whether a key was written, deleted or changed in any other way
// after the sequence since, which a snapshot gave. It may say yes for a key that
// did not change, if the key is not among the hot ones: when a file that was written
// since holds the key and reaches back before it, when a write to the key was
// refused by the log, and when flushes and merges have left out something that was
// written since, of whatever key. It never says no for one that did.
func (t *Tx) Changed(key []byte, since uint64) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	if t.c.nextSeq-1 <= since {
		return false, nil
	}
	if st := t.c.hot.find(key); st != nil && st.since <= since {
		return st.changed > since, nil
	}
	if t.c.db.untold.Load() > since {
		return true, nil
	}
	w := t.c.writerView()
	return w.changed(internalKey(nil, spaceData, key), since) || w.changed(internalKey(nil, spaceCatalog, key), since), nil
}

// leaveUntold notes, before it happens, that deletes and records up to a sequence may
// leave tables without a trace: because of that Changed cannot say no any more.
func (db *DB) leaveUntold(seq uint64) {
	for old := db.untold.Load(); seq > old && !db.untold.CompareAndSwap(old, seq); old = db.untold.Load() {
	}
}

// changed is Tx.Changed for an internal key. Only the commit goroutine calls it.
func (w view) changed(key []byte, since uint64) bool {
	for _, m := range w.v.mem {
		if s := m.Find(key); s != nil && m.Changed(s, since) {
			return true
		}
		if m.HasTombstones() && anyAfter(m.Covering(key, w.seq, nil), since) {
			return true
		}
	}
	if anyAfter(w.v.tombs.Covering(key, nil), since) {
		return true
	}
	tables := w.tables(key)
	var hash sstable.Hash
	for i, t := range tables {
		if i == 0 {
			hash = sstable.KeyHash(key)
		}
		if t.file.MaxSeq <= since {
			break // the rest is older
		}
		if !w.mayHold(t, key, &hash) {
			continue
		}
		if _, there, err := t.SeriesStats(key); there || err != nil {
			return true
		}
	}
	return false
}

func anyAfter(list []kv.Tombstone, since uint64) bool {
	for i := range list {
		if list[i].Seq > since {
			return true
		}
	}
	return false
}
