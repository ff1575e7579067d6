package sstable

import "encoding/binary"

// packer collects short runs of many series for a packed block.
type packer struct {
	run     run
	runs    []uint64 // rows of each
	keys    []byte   // front-coded
	last    []byte
	ordinal int // of the block among the packed ones
}

// fits reports whether the block has room for one more run.
func (p *packer) fits(r *run, key []byte) bool {
	return p.run.rows() == 0 || len(p.runs) < maxPackedRun && p.run.rows()+r.rows() <= maxBlockRows &&
		p.run.bytes()+r.bytes()+len(p.keys)+len(key) <= maxBlockPayload
}

func (p *packer) add(r *run, key []byte) {
	p.run.appendRun(r)
	p.runs = append(p.runs, uint64(r.rows()))
	shared := commonPrefix(p.last, key)
	p.keys = binary.AppendUvarint(p.keys, uint64(shared))
	p.keys = binary.AppendUvarint(p.keys, uint64(len(key)-shared))
	p.keys = append(p.keys, key[shared:]...)
	p.last = append(p.last[:0], key...)
}

func (p *packer) reset() {
	p.run.reset()
	p.runs, p.keys, p.last = p.runs[:0], p.keys[:0], p.last[:0]
}
