package engine

import (
	"tskv/kv"
	"tskv/sstable"
)

// KeyIterator walks the catalog in ascending key order. It belongs to one
// goroutine and must be closed before its snapshot is released.
type KeyIterator struct {
	it    kv.SeriesIterator
	w     view
	after []byte // the first key to leave out, if the start is exclusive
	key   []byte
}

// Keys walks the keys that exist, from the first key >= from (or > from).
func (s *Snapshot) Keys(from []byte, inclusive bool) (*KeyIterator, error) {
	start := internalKey(nil, spaceCatalog, from)
	k := &KeyIterator{w: s.view}
	if !inclusive {
		k.after = start
	}
	var tombs []kv.Tombstone
	var iters []kv.SeriesIterator
	for _, m := range s.v.mem {
		var it kv.SeriesIterator = m.Iterator(start, s.seq)
		iters = append(iters, hideSeries(it, tombs))
		tombs = m.Covering(catalogStart, s.seq, tombs)
	}
	stored := s.v.tombs.Covering(catalogStart, nil)
	for _, t := range s.v.catalog {
		older := append(tombs[:len(tombs):len(tombs)], above(stored, t.file.MaxSeq)...)
		iters = append(iters, hideSeries(t.Iterator(start), older))
	}
	k.it = kv.MergeSeries(iters)
	return k, nil
}

// catalogStart finds the tombstones over the catalog: only those of Clear reach
// it, and they reach all of it. Those of single keys may be millions.
var catalogStart = []byte{spaceCatalog}

// above returns the tombstones that hide rows of a file with this last sequence.
func above(tombs []kv.Tombstone, seq uint64) []kv.Tombstone {
	var out []kv.Tombstone
	for _, t := range tombs {
		if t.Seq > seq {
			out = append(out, t)
		}
	}
	return out
}

// Next returns the next key, or false at the end. The key stays valid until the
// following Next.
func (k *KeyIterator) Next() (KeyInfo, bool, error) {
	if err := k.w.stale(); err != nil {
		return KeyInfo{}, false, err
	}
	for {
		key, err := k.it.Next()
		if err != nil {
			return KeyInfo{}, false, k.w.db.readError(err)
		}
		if key == nil || key[0] != spaceCatalog {
			return KeyInfo{}, false, nil
		}
		if k.after != nil && string(key) == string(k.after) {
			continue
		}
		k.key = append(k.key[:0], key[1:]...)
		entry, ok, err := k.entry()
		if err != nil {
			return KeyInfo{}, false, k.w.db.readError(err)
		}
		if ok && !entry.expired(k.w.now) {
			return entry.info(k.key), true, nil
		}
	}
}

func (k *KeyIterator) entry() (catalogEntry, bool, error) {
	src, err := k.it.Rows(kv.Everything)
	if err != nil {
		return catalogEntry{}, false, err
	}
	defer src.Close()
	rows, err := src.Next()
	if err != nil || rows == nil {
		return catalogEntry{}, false, err
	}
	row := rows.Row(0)
	entry, ok := decodeCatalog(&row)
	return entry, ok, nil
}

// Close releases what the iterator holds.
func (k *KeyIterator) Close() { k.it.Close() }

// hideSeries leaves out the rows that tombstones of later sources cover.
func hideSeries(it kv.SeriesIterator, tombs []kv.Tombstone) kv.SeriesIterator {
	if len(tombs) == 0 {
		return it
	}
	return &hiddenSeries{SeriesIterator: it, tombs: kv.NewTombstones(tombs)}
}

type hiddenSeries struct {
	kv.SeriesIterator
	tombs *kv.Tombstones
	key   []byte
}

// Next implements kv.SeriesIterator.
func (h *hiddenSeries) Next() ([]byte, error) {
	key, err := h.SeriesIterator.Next()
	h.key = append(h.key[:0], key...)
	return key, err
}

// Rows implements kv.SeriesIterator.
func (h *hiddenSeries) Rows(r kv.Range) (kv.Source, error) {
	src, err := h.SeriesIterator.Rows(r)
	if err != nil {
		return nil, err
	}
	if hides := h.tombs.Hidden(h.key, 0, nil); len(hides) > 0 {
		return kv.Hide(src, hides), nil
	}
	return src, nil
}

// catalogEntry looks a key up in the catalog; false if it does not exist. A key has
// one ID there, so the newest source that has a row, or a tombstone over it,
// decides, and older ones need not be read.
func (w view) catalogEntry(catalogKey []byte) (catalogEntry, bool, error) {
	for _, m := range w.v.mem {
		if s := m.Find(catalogKey); s != nil {
			if row, _, ok := m.Newest(s, kv.MaxID, w.seq); ok {
				entry, ok := decodeCatalog(&row)
				return entry, ok, nil
			}
		}
		if m.HasTombstones() && len(m.Covering(catalogKey, w.seq, nil)) > 0 {
			return catalogEntry{}, false, nil
		}
	}
	if len(w.v.catalog) == 0 {
		return catalogEntry{}, false, nil
	}
	hash := sstable.KeyHash(catalogKey)
	var row kv.Row
	for _, t := range w.v.catalog {
		if !w.mayHold(t, catalogKey, &hash) {
			continue
		}
		ok, _, err := t.Newest(catalogKey, kv.MaxID, &row, nil)
		if err != nil {
			return catalogEntry{}, false, w.db.readError(err)
		}
		if !ok {
			continue
		}
		if len(w.v.tombs.Hidden(catalogKey, t.file.MaxSeq, nil)) > 0 {
			return catalogEntry{}, false, nil
		}
		entry, ok := decodeCatalog(&row)
		return entry, ok, nil
	}
	return catalogEntry{}, false, nil
}
