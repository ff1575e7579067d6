package sstable

import (
	"math/bits"
	"sync/atomic"
)

const (
	checkedBytes    = 16 << 10 // of the file for each slot
	maxCheckedSlots = 512      // 4 KiB of memory
)

// checkedBlocks remembers blocks whose bytes in the map had the right checksum
// since the residency was forgotten last, so that a point read need not go over
// the whole block each time. A slot has the place of one block; when another one
// takes it, the first is checked again.
type checkedBlocks struct {
	slots []atomic.Uint64
	shift uint
}

func newCheckedBlocks(size int64) checkedBlocks {
	n := uint(bits.Len64(uint64(min(max(size/checkedBytes, 1), maxCheckedSlots-1))))
	return checkedBlocks{slots: make([]atomic.Uint64, 1<<n), shift: 64 - n}
}

func (c *checkedBlocks) slot(at place) *atomic.Uint64 {
	return &c.slots[uint64(at.offset)*0x9e3779b97f4a7c15>>c.shift]
}

func (c *checkedBlocks) has(at place) bool { return c.slot(at).Load() == uint64(at.offset)+1 }
func (c *checkedBlocks) set(at place)      { c.slot(at).Store(uint64(at.offset) + 1) }

func (c *checkedBlocks) forget() {
	for i := range c.slots {
		c.slots[i].Store(0)
	}
}
