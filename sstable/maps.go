package sstable

import (
	"math"
	"sync/atomic"

	"tskv/disk"
)

// MapBudget bounds the memory that the maps of any number of readers take in the
// process. What does not fit is read with pread.
//
// All methods may be called from any goroutine. A nil MapBudget has no bound.
type MapBudget struct {
	limit     int64
	free      atomic.Int64
	exhausted atomic.Bool
}

// NewMapBudget returns a budget of limit bytes.
func NewMapBudget(limit int64) *MapBudget {
	b := &MapBudget{limit: max(limit, 0)}
	b.free.Store(b.limit)
	return b
}

// Used returns the bytes taken.
func (b *MapBudget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.limit - b.free.Load()
}

// WasExhausted reports whether a reader has asked in vain since the last call.
// Whoever keeps the readers then calls ForgetResidency on them.
func (b *MapBudget) WasExhausted() bool { return b != nil && b.exhausted.Swap(false) }

func (b *MapBudget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	if !b.exhausted.Load() {
		b.exhausted.Store(true)
	}
	return false
}

func (b *MapBudget) giveBack(n int64) {
	if b != nil {
		b.free.Add(n)
	}
}

// granuleShift is the size of what one residency bit speaks for: 64 KiB.
const granuleShift = 16

const (
	regionGranules = disk.MapRegion >> granuleShift
	regionPaid     = 1 << 63
)

// residency remembers which parts of a file were read lately and are therefore
// likely to be in memory. A page fault in a map stops a whole processor of the
// scheduler, a pread only its goroutine; so what is not known to be in memory
// is read with pread first.
//
// Each region of the file has a word: a bit per granule, and one that says that
// the region was taken from the budget, which the first granule does for all,
// because the kernel may map the whole region at the first touch.
type residency struct {
	words []atomic.Uint64
	size  int64
	maps  *MapBudget
}

func newResidency(size int64, maps *MapBudget) residency {
	return residency{words: make([]atomic.Uint64, (size+disk.MapRegion-1)/disk.MapRegion), size: size, maps: maps}
}

// granules calls fn with each region of a place and its granules there, until fn
// returns false.
func (at place) granules(fn func(region int64, mask uint64) bool) bool {
	first, last := at.offset>>granuleShift, (at.offset+int64(at.length)-1)>>granuleShift
	for g := first; g <= last; {
		region := g / regionGranules
		end := min(last, (region+1)*regionGranules-1)
		mask := uint64(math.MaxUint64) >> (63 - (end - g)) << (g % regionGranules)
		if !fn(region, mask) {
			return false
		}
		g = end + 1
	}
	return true
}

// has reports whether all of a place is resident.
func (s *residency) has(at place) bool {
	g := at.offset >> granuleShift
	if last := (at.offset + int64(at.length) - 1) >> granuleShift; g == last { // nearly always
		return s.words[g/regionGranules].Load()&(1<<(g%regionGranules)) != 0
	}
	return at.granules(func(region int64, mask uint64) bool { return s.words[region].Load()&mask == mask })
}

// set marks a place as resident as far as the budget allows; true if some of it
// was not before and now is.
func (s *residency) set(at place) (fresh bool) {
	at.granules(func(region int64, mask uint64) bool {
		ok, set := s.setRegion(region, mask)
		fresh = fresh || set
		return ok
	})
	return fresh
}

func (s *residency) setRegion(region int64, mask uint64) (ok, fresh bool) {
	word := &s.words[region]
	taken := false
	for {
		old := word.Load()
		paid := old&regionPaid != 0
		if !paid && !taken {
			if taken = s.maps.take(s.charge(region)); !taken {
				return false, false
			}
		}
		if !word.CompareAndSwap(old, old|mask|regionPaid) {
			continue
		}
		if paid && taken { // by two at once
			s.maps.giveBack(s.charge(region))
		}
		return true, old&mask != mask
	}
}

// charge is what a region takes from the budget.
func (s *residency) charge(region int64) int64 {
	const page = 4 << 10
	n := min(disk.MapRegion, s.size-region*disk.MapRegion)
	return (n + page - 1) &^ (page - 1)
}

// forget makes nothing resident and returns what has to be given back once the
// map's pages are gone.
func (s *residency) forget() (bytes int64) {
	for i := range s.words {
		if s.words[i].Load() != 0 && s.words[i].Swap(0)&regionPaid != 0 {
			bytes += s.charge(int64(i))
		}
	}
	return bytes
}
