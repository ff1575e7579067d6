package compaction

import (
	"math"
	"sort"
)

const (
	// ClassData is the class of data that is kept for ever.
	ClassData uint8 = 11
	// ClassExpiry is the class of the engine's index of expiries, whose times lie in
	// the future.
	ClassExpiry uint8 = 254
	// ClassCatalog is the class of the catalog, which has a single window, 0.
	ClassCatalog uint8 = 255
	// Mixed is the window of a file that holds rows of many windows.
	Mixed int64 = math.MinInt64
)

const (
	minuteMS = 60_000
	hourMS   = 60 * minuteMS
	dayMS    = 24 * hourMS

	// A window is retention/windowsPerRetention, so that dropping whole files
	// keeps at most 1/24 more than asked for; the bounds keep the number of
	// files per flush and the size of a file reasonable.
	windowsPerRetention = 24
	minWindowMS         = 10 * minuteMS
	maxWindowMS         = 7 * dayMS
)

// retentionsMS are the retention classes 0..10; class 11 is without end.
var retentionsMS = [ClassData]uint64{
	1 * hourMS, 6 * hourMS, 1 * dayMS, 3 * dayMS, 7 * dayMS, 14 * dayMS,
	30 * dayMS, 90 * dayMS, 180 * dayMS, 365 * dayMS, 730 * dayMS,
}

// ClassOf returns the class of a key whose rows are kept for ageMS
// milliseconds, 0 = for ever: the age rounded up to the next class.
func ClassOf(ageMS uint64) uint8 {
	if ageMS == 0 {
		return ClassData
	}
	return uint8(sort.Search(len(retentionsMS), func(i int) bool { return retentionsMS[i] >= ageMS }))
}

// width returns the length of the class's windows in milliseconds. A class
// that this build does not know has the windows of ClassData.
func width(class uint8) uint64 {
	if int(class) >= len(retentionsMS) {
		return maxWindowMS
	}
	return min(max(retentionsMS[class]/windowsPerRetention, minWindowMS), maxWindowMS)
}

// WindowStart returns the first time, in milliseconds, of the window that time
// t belongs to. Windows are aligned to 0. Starts are int64: the last window
// that begins at or before math.MaxInt64 has no end and takes all later times.
// The catalog has the one window 0.
func WindowStart(class uint8, t uint64) int64 {
	if class == ClassCatalog {
		return 0
	}
	w := width(class)
	last := math.MaxInt64 / w * w
	return int64(min(t/w*w, last))
}

// windowEnd returns the last time of the window that begins at start.
func windowEnd(class uint8, start int64) uint64 {
	if class == ClassCatalog || start == Mixed {
		return math.MaxUint64
	}
	w := width(class)
	if last := math.MaxInt64 / w * w; uint64(start) >= last {
		return math.MaxUint64
	}
	return uint64(start) + w - 1
}
