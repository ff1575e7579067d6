package disktest

import (
	"bytes"
	"slices"
)

const (
	sectorBytes = 512 // what a disk writes whole, unless it is torn
	pageBytes   = 4096
	pageSectors = pageBytes / sectorBytes
	maxFile     = 16 << 30 // bytes; keeps the page table of a hostile offset small
	keepMap     = 64       // entries of a map that is cleared instead of made anew
)

// page is a page's content. A page of zeros is a nil *page.
type page [pageBytes]byte

// zeroPage is what a nil page reads as. It never changes.
var zeroPage = page{}

// inode is a file. Its tables of pages end at the last page that ever was not
// zero, whatever the length, so that a zero-filled file costs nothing.
type inode struct {
	id     uint64
	links  int // names that processes see
	opened int // handles
	locked bool

	size  int64
	pages []*page
	owned []bool // by page: nothing else points at it, so it is written in place
	// dirty has a bit per sector that was written since the last sync, by page.
	dirty map[int]uint8
	// between has, by sector, a content that a dirty sector had after the last
	// sync and before the last write: one of them, each as likely as the others.
	between map[int64]version

	durable     []*page
	durableSize int64
}

// version is an earlier content of a sector.
type version struct {
	data *[sectorBytes]byte
	seen uint64 // how many contents it was chosen from
}

func newInode(id uint64) *inode {
	return &inode{id: id, dirty: map[int]uint8{}, between: map[int64]version{}}
}

// at is page i of a table.
func at(table []*page, i int) *page {
	if i < len(table) {
		return table[i]
	}
	return nil
}

// put stores page i in a table and returns the table.
func put(table []*page, i int, p *page) []*page {
	if i >= len(table) {
		if p == nil {
			return table
		}
		table = append(table, make([]*page, i+1-len(table))...)
	}
	table[i] = p
	return table
}

// bytesOf is a page's content, read-only.
func bytesOf(p *page) *page {
	if p == nil {
		return &zeroPage
	}
	return p
}

// isZero says whether at most a page of bytes is all zeros.
func isZero(p []byte) bool { return bytes.Equal(p, zeroPage[:len(p)]) }

// read fills p from off on, as far as the file goes.
func (n *inode) read(p []byte, off int64) int {
	if off >= n.size {
		return 0
	}
	p = p[:min(int64(len(p)), n.size-off)]
	for done := 0; done < len(p); {
		i, start := int((off+int64(done))/pageBytes), int((off+int64(done))%pageBytes)
		done += copy(p[done:], bytesOf(at(n.pages, i))[start:])
	}
	return len(p)
}

// write puts p at off. Nothing written leaves the length as it is.
func (n *inode) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	for len(p) > 0 {
		i, start := int(off/pageBytes), int(off%pageBytes)
		k := min(pageBytes-start, len(p))
		n.writePage(i, start, p[:k])
		p, off = p[k:], off+int64(k)
	}
	n.size = max(n.size, off)
}

// writePage puts p into page i. Zeros over zeros that are durable change
// nothing that a crash could tell, so they leave no trace.
func (n *inode) writePage(i, start int, p []byte) {
	zero := isZero(p)
	if zero && at(n.pages, i) == nil && at(n.durable, i) == nil {
		return
	}
	n.mark(i, start, start+len(p))
	if zero && len(p) == pageBytes {
		n.store(i, nil, false)
		return
	}
	if i >= len(n.owned) || !n.owned[i] {
		own := *bytesOf(at(n.pages, i))
		n.store(i, &own, true)
	}
	copy(n.pages[i][start:], p)
}

// store replaces page i.
func (n *inode) store(i int, p *page, owned bool) {
	n.pages = put(n.pages, i, p)
	for len(n.owned) < len(n.pages) {
		n.owned = append(n.owned, false)
	}
	if i < len(n.owned) {
		n.owned[i] = owned
	}
}

// mark notes that bytes [from, to) of page i are about to change.
func (n *inode) mark(i, from, to int) {
	mask := n.dirty[i]
	for s := from / sectorBytes; s*sectorBytes < to; s++ {
		if mask&(1<<s) != 0 {
			n.remember(i, s)
		}
		mask |= 1 << s
	}
	n.dirty[i] = mask
}

// remember may take the content of a dirty sector for its earlier version.
func (n *inode) remember(i, s int) {
	sector := int64(i)*pageSectors + int64(s)
	v := n.between[sector]
	v.seen++
	if mix(n.id, uint64(sector), v.seen)%v.seen == 0 {
		if v.data == nil {
			v.data = new([sectorBytes]byte)
		}
		copy(v.data[:], bytesOf(at(n.pages, i))[s*sectorBytes:])
	}
	n.between[sector] = v
}

// truncate sets the length; what is cut off reads as zeros if it comes back.
func (n *inode) truncate(size int64) {
	if size < n.size {
		first := int(size / pageBytes)
		if start := int(size % pageBytes); start > 0 {
			n.writePage(first, start, zeroPage[start:])
			first++
		}
		for i := first; i < max(len(n.pages), len(n.durable)); i++ {
			n.writePage(i, 0, zeroPage[:])
		}
	}
	n.size = size
}

// sync makes content and length durable: whole dirty pages.
func (n *inode) sync() {
	for i := range n.dirty {
		n.durable = put(n.durable, i, at(n.pages, i))
		if i < len(n.owned) {
			n.owned[i] = false
		}
	}
	n.clean()
	for i := int((n.size + pageBytes - 1) / pageBytes); i < len(n.durable); i++ {
		n.durable[i] = nil // pages that were cut off while a sync failed
	}
	n.durableSize = n.size
}

// clean forgets what is dirty: after a sync, and after a failed one.
func (n *inode) clean() {
	if len(n.dirty) > keepMap {
		n.dirty = map[int]uint8{}
	}
	if len(n.between) > keepMap {
		n.between = map[int64]version{}
	}
	clear(n.dirty)
	clear(n.between)
}

// dropCache lets clean pages be read from the disk again.
func (n *inode) dropCache() {
	for i := range max(len(n.pages), len(n.durable)) {
		if _, dirty := n.dirty[i]; !dirty && at(n.pages, i) != at(n.durable, i) {
			n.store(i, at(n.durable, i), false)
		}
	}
}

// replace sets content and length, durably and at once.
func (n *inode) replace(b []byte) {
	n.pages, n.owned = nil, nil
	n.durable = nil
	n.size = 0
	n.clean()
	n.write(b, 0)
	n.sync()
}

// clone is a copy that shares the pages.
func (n *inode) clone() *inode {
	clear(n.owned)
	c := newInode(n.id)
	c.links = n.links
	c.size, c.durableSize = n.size, n.durableSize
	c.pages, c.durable = slices.Clone(n.pages), slices.Clone(n.durable)
	c.owned = make([]bool, len(c.pages))
	for i, mask := range n.dirty {
		c.dirty[i] = mask
	}
	for sector, v := range n.between {
		if v.data != nil {
			data := *v.data
			v.data = &data
		}
		c.between[sector] = v
	}
	return c
}
