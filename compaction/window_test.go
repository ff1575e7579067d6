package compaction

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestWindowStart(t *testing.T) {
	const last7d = math.MaxInt64 / (7 * dayMS) * (7 * dayMS)
	f := func(class uint8, tm uint64, want int64) {
		t.Helper()
		if got := WindowStart(class, tm); got != want {
			t.Errorf("WindowStart(%d, %d) = %d, want %d", class, tm, got, want)
		}
	}
	widths := []uint64{
		10 * minuteMS, 15 * minuteMS, hourMS, 3 * hourMS, 7 * hourMS, 14 * hourMS,
		30 * hourMS, 90 * hourMS, 7 * dayMS, 7 * dayMS, 7 * dayMS, 7 * dayMS,
	}
	for class, w := range widths {
		c := uint8(class)
		f(c, 0, 0)
		f(c, w-1, 0)
		f(c, w, int64(w))
		f(c, 5*w+1, int64(5*w))
		f(c, math.MaxUint64, int64(math.MaxInt64/w*w))
	}
	f(ClassData, math.MaxInt64, last7d)
	f(ClassData, math.MaxInt64+1, last7d)
	f(ClassData, last7d, last7d)
	f(ClassData, last7d-1, last7d-7*dayMS)
	f(ClassCatalog, 0, 0)
	f(ClassCatalog, math.MaxUint64, 0)
	f(100, 7*dayMS, 7*dayMS) // an unknown class
}

// TestWindowsTile: every time lies in the window that it is said to be in, and
// windows neither overlap nor leave gaps.
func TestWindowsTile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	times := []uint64{0, 1, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64 - 1, math.MaxUint64}
	for range 2000 {
		times = append(times, rng.Uint64()>>rng.UintN(64))
	}
	for _, class := range []uint8{0, 1, 2, 5, 7, 8, ClassData, 77, ClassCatalog} {
		for _, tm := range times {
			start := WindowStart(class, tm)
			end := windowEnd(class, start)
			if start < 0 || uint64(start) > tm || end < tm {
				t.Fatalf("class %d: time %d in window %d..%d", class, tm, start, end)
			}
			if WindowStart(class, uint64(start)) != start || WindowStart(class, end) != start {
				t.Fatalf("class %d: window %d..%d does not hold its own ends", class, start, end)
			}
			if end != math.MaxUint64 && WindowStart(class, end+1) != int64(end)+1 {
				t.Fatalf("class %d: gap after window %d..%d", class, start, end)
			}
		}
	}
}

func TestClassOf(t *testing.T) {
	f := func(ageMS uint64, want uint8) {
		t.Helper()
		if got := ClassOf(ageMS); got != want {
			t.Errorf("ClassOf(%d) = %d, want %d", ageMS, got, want)
		}
	}
	f(0, ClassData)
	f(1, 0)
	f(hourMS, 0)
	f(hourMS+1, 1)
	f(dayMS, 2)
	f(7*dayMS, 4)
	f(100*dayMS, 8)
	f(730*dayMS, 10)
	f(730*dayMS+1, ClassData)
	f(math.MaxUint64, ClassData)
}
