package sstable

import "tskv/kv"

// blockCursor walks the blocks of a series that may hold rows of a range, in
// the range's direction.
type blockCursor struct {
	r        *Reader
	from, to kv.ID
	reverse  bool
	direct   bool     // never through the map
	single   blockRef // of a series without a list
	pending  bool     // single is still to come
	leaf     blockList
	root     blockList
	i, j     int // next record of leaf and root
	leafBuf  []byte
	rootBuf  []byte
}

// start positions the cursor at the first block.
func (c *blockCursor) start(r *Reader, e *entry, rg *kv.Range, direct bool) error {
	c.direct = direct
	c.r, c.from, c.to, c.reverse = r, rg.From, rg.To, rg.Reverse
	c.leaf, c.root, c.pending = blockList{}, blockList{}, false
	if e.kind != entryList {
		c.single = blockRef{
			place: e.place(), rows: int(e.rows), deletes: int(e.deletes),
			minID: e.minID, maxID: e.maxID, tagBits: e.tagBits,
		}
		c.pending = !e.maxID.Less(c.from) && !c.to.Less(e.minID)
		return nil
	}
	list, err := c.fetch(e.place(), &c.leafBuf)
	if err != nil {
		return err
	}
	if list.kind == listRoot {
		c.leafBuf, c.rootBuf = c.rootBuf, c.leafBuf
		c.root = list
		c.j = c.seek(&c.root)
		return nil
	}
	c.leaf = list
	c.i = c.seek(&c.leaf)
	return nil
}

func (c *blockCursor) fetch(at place, buf *[]byte) (list blockList, err error) {
	fetch := c.r.fetch
	if c.direct {
		fetch = c.r.direct
	}
	if *buf, err = fetch(at, *buf); err != nil {
		return list, err
	}
	if err = list.parse(*buf, c.r.seed, c.r.footer.index.offset); err != nil {
		return list, c.r.corrupt(at, err)
	}
	return list, nil
}

// seek returns the record to start with.
func (c *blockCursor) seek(l *blockList) int {
	if c.reverse {
		return l.last(c.to)
	}
	return max(0, l.last(c.from))
}

// next returns the next block of the range; false at the end.
func (c *blockCursor) next(ref *blockRef) (bool, error) {
	if c.pending {
		c.pending = false
		*ref = c.single
		return true, nil
	}
	for {
		ok, err := c.step(&c.leaf, &c.i, ref)
		if ok || err != nil {
			return ok, err
		}
		var leaf blockRef
		if ok, err = c.step(&c.root, &c.j, &leaf); !ok || err != nil {
			return false, err
		}
		if c.leaf, err = c.fetch(leaf.place, &c.leafBuf); err != nil {
			return false, err
		}
		if c.leaf.kind != listLeaf || c.leaf.len() != leaf.blocks {
			return false, c.r.corrupt(leaf.place, errIndex)
		}
		c.i = c.seek(&c.leaf)
	}
}

// step returns the record under i that lies in the range and moves i on.
func (c *blockCursor) step(l *blockList, i *int, ref *blockRef) (bool, error) {
	for *i >= 0 && *i < l.len() {
		if err := l.at(*i, ref); err != nil {
			return false, c.r.corrupt(place{}, err)
		}
		if c.reverse {
			*i--
			if ref.maxID.Less(c.from) {
				*i = -1
				return false, nil
			}
		} else {
			*i++
			if c.to.Less(ref.minID) {
				*i = l.len()
				return false, nil
			}
		}
		if !ref.maxID.Less(c.from) && !c.to.Less(ref.minID) {
			return true, nil
		}
	}
	return false, nil
}
