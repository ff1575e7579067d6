package sstable

import (
	"bytes"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// Verify reads the whole file by pread and checks every checksum and that all
// parts agree: keys and rows ascend, counts, bounds and tag bits are right, the
// filter has every key, and packed blocks name the keys of their runs.
func (r *Reader) Verify() error {
	if err := r.readEnds(r.props.Expect()); err != nil {
		return err
	}
	for _, s := range [...]struct {
		at   place
		what string
	}{{r.footer.props, "properties"}, {r.footer.top, "top index"}, {r.footer.tags, "tag sets"}, {r.footer.filter, "filter"}} {
		b, err := r.direct(s.at, nil)
		if err != nil {
			return err
		}
		if _, err := r.checkSum(s.at, b, s.what); err != nil {
			return err
		}
	}
	if r.FilterDamaged() {
		return disk.Corrupt(r.name, r.footer.filter.offset, "filter")
	}
	v := verifier{r: r, it: r.StreamIterator().(*iterator), blocks: make(map[int64]struct{}), keys: make(map[int64]packedKeys)}
	defer v.it.Close()
	return v.run()
}

// verifier walks a file and adds up what it finds.
type verifier struct {
	r                     *Reader
	it                    *iterator
	prev                  []byte
	rows, deletes, series uint64
	minTime, maxTime      uint64
	blocks                map[int64]struct{} // by offset
	ids                   blockCursor
	keys                  map[int64]packedKeys // by offset of the packed block
}

func (v *verifier) run() error {
	for {
		key, err := v.it.Next()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if err := v.seriesOf(key); err != nil {
			return err
		}
	}
	p := &v.r.props
	if v.rows != p.Rows || v.deletes != p.Deletes || v.series != p.Series || uint64(len(v.blocks)) != p.Blocks {
		return v.bad("%d rows, %d deletes, %d series, %d blocks; the properties say %d, %d, %d, %d",
			v.rows, v.deletes, v.series, len(v.blocks), p.Rows, p.Deletes, p.Series, p.Blocks)
	}
	if v.series > 0 && (v.minTime != p.MinTime || v.maxTime != p.MaxTime) {
		return v.bad("times %d..%d, the footer says %d..%d", v.minTime, v.maxTime, p.MinTime, p.MaxTime)
	}
	if v.series > 0 && !bytes.Equal(v.prev, p.MaxKey) {
		return v.bad("last key is not the one of the properties")
	}
	return nil
}

func (v *verifier) bad(format string, args ...any) error {
	return disk.Corrupt(v.r.name, v.it.entry.offset, format, args...)
}

func (v *verifier) seriesOf(key []byte) error {
	if v.series > 0 && bytes.Compare(v.prev, key) >= 0 {
		return v.bad("keys do not ascend")
	}
	first := v.r.pages[v.it.page-1].first
	if v.series == 0 && !bytes.Equal(key, v.r.props.MinKey) || bytes.Compare(key, first) < 0 {
		return v.bad("key before the bounds of file or page")
	}
	if found, err := v.lookUp(key); err != nil || !found {
		return fmt.Errorf("look up key %q: %w", short(key), v.orMissing(err))
	}
	hash := KeyHash(key)
	if !v.r.MayContain(&hash) {
		return v.bad("the filter does not have key %q", short(key))
	}
	v.prev = append(v.prev[:0], key...)
	e := &v.it.entry
	if v.series == 0 {
		v.minTime = e.minID.Time
	}
	v.minTime, v.maxTime = min(v.minTime, e.minID.Time), max(v.maxTime, e.maxID.Time)
	v.series++
	if err := v.blockRefs(key); err != nil {
		return err
	}
	return v.rowsOf()
}

// lookUp finds the key the way readers do.
func (v *verifier) lookUp(key []byte) (bool, error) {
	var e entry
	found, err := v.r.entry(key, &e)
	if found && e != v.it.entry {
		return false, nil
	}
	return found, err
}

func (v *verifier) orMissing(err error) error {
	if err != nil {
		return err
	}
	return v.bad("key is not found")
}

// blockRefs checks the list of blocks of the current series.
func (v *verifier) blockRefs(key []byte) error {
	e := &v.it.entry
	if e.kind == entryPacked {
		v.blocks[e.offset] = struct{}{}
		return v.packedKey(key)
	}
	if err := v.ids.start(v.r, e, &kv.Everything, true); err != nil {
		return err
	}
	var ref, prev blockRef
	var rows, deletes, blocks, bits uint64
	for {
		ok, err := v.ids.next(&ref)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if rows != ref.before || rows > 0 && !prev.maxID.Less(ref.minID) || ref.maxID.Less(ref.minID) {
			return v.bad("block list: block %d", blocks)
		}
		if rows == 0 && ref.minID != e.minID {
			return v.bad("block list: first ID")
		}
		prev = ref
		rows, deletes, blocks, bits = rows+uint64(ref.rows), deletes+uint64(ref.deletes), blocks+1, bits|ref.tagBits
		v.blocks[ref.offset] = struct{}{}
	}
	if rows != e.rows || deletes != e.deletes || prev.maxID != e.maxID || bits != e.tagBits ||
		e.kind == entryList && blocks != e.blocks {
		return v.bad("block list: %d rows in %d blocks, indexed as %d in %d", rows, blocks, e.rows, e.blocks)
	}
	return nil
}

// packedKey checks that the packed block names the current key.
func (v *verifier) packedKey(key []byte) error {
	e := &v.it.entry
	p, err := v.it.packedBlock()
	if err != nil {
		return err
	}
	if err := p.reader.openKeys(); err != nil {
		return v.r.corrupt(p.at, err)
	}
	keys := p.reader.keys
	k := v.keys[e.offset]
	if k.read > len(keys) || k.runs != e.run {
		return v.bad("run %d of the packed block comes after run %d", e.run, k.runs-1)
	}
	f := fields{b: keys[k.read:]}
	shared := int(f.bounded(uint64(len(k.last))))
	k.last = append(k.last[:shared:shared], f.bytes(kv.MaxKey)...)
	if f.bad || !bytes.Equal(k.last, key) {
		return v.bad("run %d of the packed block is not of key %q", e.run, short(key))
	}
	k.runs++
	k.read = len(keys) - len(f.b)
	v.keys[e.offset] = k
	return nil
}

// packedKeys is how far the keys of a packed block have been compared.
type packedKeys struct {
	runs, read int
	last       []byte
}

// rowsOf reads all rows of the current series.
func (v *verifier) rowsOf() error {
	s, err := v.it.Rows(kv.Everything)
	if err != nil {
		return err
	}
	defer s.Close()
	e := &v.it.entry
	var last kv.ID
	var rows, deletes, bits uint64
	for {
		batch, err := s.Next()
		if err != nil {
			return err
		}
		if batch == nil {
			break
		}
		for i := range batch.Len() {
			id := batch.ID(i)
			if rows == 0 && id != e.minID || rows > 0 && !last.Less(id) {
				return v.bad("rows do not ascend at %v", id)
			}
			last = id
			rows++
			if batch.Form[i] == kv.FormDelete {
				deletes++
			}
			if i < len(batch.Tags) {
				bits |= bitsOf(batch.Tags[i])
			}
		}
	}
	if rows != e.rows || deletes != e.deletes || last != e.maxID || bits != e.tagBits {
		return v.bad("%d rows and %d deletes up to %v, indexed as %d and %d up to %v",
			rows, deletes, last, e.rows, e.deletes, e.maxID)
	}
	v.rows += rows
	v.deletes += deletes
	return nil
}
