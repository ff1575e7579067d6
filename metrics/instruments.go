package metrics

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Counter is a number that only grows. The padding keeps two busy counters off
// one cache line.
type Counter struct {
	n atomic.Uint64
	_ [56]byte
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Reset starts again from zero.
func (c *Counter) Reset() { c.n.Store(0) }

// Gauge is a number that goes up and down.
type Gauge struct {
	n atomic.Int64
	_ [56]byte
}

// Set stores n.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Value returns the number.
func (g *Gauge) Value() int64 { return g.n.Load() }

// A histogram has 8 buckets per power of two, so a quantile is at most 12.5 %
// off before interpolation.
const (
	subBits     = 3
	subBuckets  = 1 << subBits
	bucketCount = (64 - subBits + 1) * subBuckets
)

// Histogram counts values in log-spaced buckets. Durations are counted in
// nanoseconds. The zero value is ready.
type Histogram struct {
	buckets [bucketCount]atomic.Uint64
	sum     atomic.Uint64
}

// bucketOf returns the bucket of v: bucket i holds the values over
// upperBound(i-1) and up to upperBound(i), so the bounds are inclusive like
// Prometheus' "le"; 0 shares a bucket with 1.
func bucketOf(v uint64) int {
	if v > 0 {
		v--
	}
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - subBuckets
}

// upperBound returns the largest value of bucket i.
func upperBound(i int) float64 {
	if i < subBuckets {
		return float64(i + 1)
	}
	shift := i>>subBits - 1
	return float64(uint64(i&(subBuckets-1))+subBuckets+1) * float64(uint64(1)<<shift)
}

// Observe counts one duration; a negative one counts as zero.
func (h *Histogram) Observe(d time.Duration) { h.ObserveN(d, 1) }

// ObserveN counts n events that took d each.
func (h *Histogram) ObserveN(d time.Duration, n uint64) {
	v := uint64(max(d, 0))
	h.buckets[bucketOf(v)].Add(n)
	h.sum.Add(v * n)
}

// ObserveValue counts one value.
func (h *Histogram) ObserveValue(v uint64) {
	h.buckets[bucketOf(v)].Add(1)
	h.sum.Add(v)
}

// Count returns the number of observations.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Sum returns the sum of all observed values (nanoseconds for durations).
func (h *Histogram) Sum() uint64 { return h.sum.Load() }

// Quantile returns the value below which the fraction q (0..1) of the
// observations lies, interpolated inside its bucket; 0 without observations.
func (h *Histogram) Quantile(q float64) float64 {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(total)
	var below float64
	for i := range h.buckets {
		n := float64(h.buckets[i].Load())
		if n > 0 && below+n >= rank {
			lower := 0.0
			if i > 0 {
				lower = upperBound(i - 1)
			}
			return lower + (upperBound(i)-lower)*max(rank-below, 0)/n
		}
		below += n
	}
	return upperBound(bucketCount - 1)
}

// Octaves calls fn with each power of two up to which values were counted and
// the number of values up to it, in ascending order, from the first non-empty
// to the last one.
func (h *Histogram) Octaves(fn func(bound, cumulative uint64)) {
	var below uint64
	total := h.Count()
	for shift := range 64 {
		before := below
		below = h.upTo(shift)
		if below > before {
			fn(1<<shift, below)
		}
		if below >= total {
			return
		}
	}
}

// upTo counts the values up to 1<<shift.
func (h *Histogram) upTo(shift int) uint64 {
	var n uint64
	for i := range bucketOf(1<<shift) + 1 {
		n += h.buckets[i].Load()
	}
	return n
}

// Reset forgets everything observed.
func (h *Histogram) Reset() {
	for i := range h.buckets {
		h.buckets[i].Store(0)
	}
	h.sum.Store(0)
}
