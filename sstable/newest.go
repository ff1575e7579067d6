package sstable

import (
	"tskv/disk"
	"tskv/kv"
)

// query is the memory of a point read; it is recycled.
type query struct {
	entry  entry
	ref    blockRef
	reader blockReader
	ids    batch
	page   []byte
	list   []byte
	block  []byte
	word   [8]byte
}

// find looks a series up under Guard.
func (q *query) find(r *Reader, key []byte, e *entry) (found bool, err error) {
	err = disk.Guard(r.name, func() error {
		var err error
		found, err = r.find(key, e, &q.page)
		return err
	})
	return found && err == nil, err
}

// Newest finds the row of a series with the highest ID at or before at, a
// FormDelete row included. Raw values are copied behind buf's content, which is
// returned with its new length; Tags is the caller's to read, not to change.
func (r *Reader) Newest(key []byte, at kv.ID, row *kv.Row, buf []byte) (found bool, buf2 []byte, err error) {
	q := r.queries.Get().(*query)
	err = disk.Guard(r.name, func() error {
		var err error
		found, buf, err = q.newest(r, key, at, row, buf)
		return err
	})
	q.release()
	r.queries.Put(q)
	if err != nil {
		*row = kv.Row{}
		return false, buf, err
	}
	return found, buf, nil
}

// release lets go of what is not the query's own, and of giants.
func (q *query) release() {
	d := &q.reader
	d.b.data, d.payload, d.exceptions.data, d.ownSets = nil, nil, nil, nil
	d.cached = cachedBlock{}
	if cap(q.block)+cap(d.unpacked) > 1<<20 {
		q.block, d.unpacked = nil, nil
	}
}

func (q *query) newest(r *Reader, key []byte, at kv.ID, row *kv.Row, buf []byte) (bool, []byte, error) {
	e := &q.entry
	found, err := r.find(key, e, &q.page)
	if err != nil || !found || at.Less(e.minID) {
		return false, buf, err
	}
	where, err := q.blockFor(r, at)
	if err != nil {
		return false, buf, err
	}
	data, mapped, err := r.view(where, &q.block)
	if err != nil {
		return false, buf, err
	}
	q.reader.trusted = mapped && r.checked.has(where)
	q.reader.cached = r.cached(where)
	buf, err = q.read(r, data, at, row, buf)
	if mapped && err == nil && !q.reader.trusted {
		r.checked.set(where)
	}
	return err == nil, buf, r.corrupt(where, err)
}

// blockFor returns the block with the newest row at or before at.
func (q *query) blockFor(r *Reader, at kv.ID) (place, error) {
	e := &q.entry
	where := e.place()
	if e.kind != entryList {
		q.ref = blockRef{rows: int(e.rows), minID: e.minID, maxID: e.maxID}
		return where, nil
	}
	for level := listRoot; level >= listLeaf; level-- {
		data, mapped, err := r.view(where, &q.list)
		if err != nil {
			return where, err
		}
		var list blockList
		if mapped && r.checked.has(where) {
			err = list.parseTrusted(data, r.footer.index.offset)
		} else if err = list.parse(data, r.seed, r.footer.index.offset); mapped && err == nil {
			r.checked.set(where)
		}
		if err != nil {
			return where, r.corrupt(where, err)
		}
		i := list.last(at)
		if i < 0 || level == listLeaf && list.kind != listLeaf {
			return where, r.corrupt(where, errIndex)
		}
		if err := list.at(i, &q.ref); err != nil {
			return where, r.corrupt(where, err)
		}
		where = q.ref.place
		if list.kind == listLeaf {
			break
		}
	}
	return where, nil
}

// read finds and decodes the row in its block.
func (q *query) read(r *Reader, data []byte, at kv.ID, row *kv.Row, buf []byte) ([]byte, error) {
	r.opened()
	d := &q.reader
	if err := d.open(data, r.seed, r.tagSets, &r.decompressor); err != nil {
		return buf, err
	}
	w, err := d.windowOf(&q.entry, &q.ref)
	if err != nil {
		return buf, err
	}
	i, err := q.rowAt(&w, at)
	if err != nil {
		return buf, err
	}
	if err := d.openValue(&r.decompressor); err != nil {
		return buf, err
	}
	return d.row(i, &w, row, buf)
}

// rowAt returns the last row at or before at and narrows the window to it. It
// sets the row's ID.
func (q *query) rowAt(w *window, at kv.ID) (int, error) {
	d := &q.reader
	if d.b.packed() {
		d.ids(&q.ids, w)
		rows := kv.Rows{Time: q.ids.rows.Time, Seq: q.ids.rows.Seq}
		i := len(rows.Time)
		for i > 0 && at.Less(rows.ID(i-1)) {
			i--
		}
		w.lo, w.hi = w.lo+i-1, w.lo+i
		if i == 0 {
			return 0, errBlock
		}
		return w.lo, nil
	}
	i := d.b.rows
	if after, more := at.Next(); more && !q.ref.maxID.Less(after) {
		i = d.search(after)
	}
	if i == 0 {
		return 0, errBlock
	}
	w.lo, w.hi = i-1, i
	return i - 1, nil
}
