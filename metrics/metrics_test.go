package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBucketBounds(t *testing.T) {
	for i := 1; i < bucketCount; i++ {
		top := upperBound(i)
		if top <= upperBound(i-1) {
			t.Fatalf("bucket %d: bound %g is not over %g", i, top, upperBound(i-1))
		}
		if top < math.MaxInt64 && (bucketOf(uint64(top)) != i || bucketOf(uint64(top)+1) != min(i+1, bucketCount-1)) {
			t.Fatalf("bucket %d: the bound %g lies in %d, the next value in %d", i, top, bucketOf(uint64(top)), bucketOf(uint64(top)+1))
		}
	}
	if bucketOf(0) != 0 || bucketOf(1) != 0 || bucketOf(math.MaxUint64) != bucketCount-1 {
		t.Fatal("the ends of the range are in the wrong buckets")
	}
}

func TestQuantile(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var h Histogram
	values := make([]float64, 50_000)
	for i := range values {
		v := uint64(math.Exp(rng.Float64()*20)) + 1
		values[i] = float64(v)
		h.ObserveValue(v)
	}
	slices.Sort(values)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := values[int(q*float64(len(values)-1))]
		if got := h.Quantile(q); got < want*0.87-1 || got > want*1.13+1 {
			t.Errorf("quantile %g: %g, want about %g", q, got, want)
		}
	}
	h.Reset()
	if h.Quantile(0.5) != 0 || h.Count() != 0 {
		t.Error("a reset histogram is not empty")
	}
}

func TestObserveN(t *testing.T) {
	var h Histogram
	h.ObserveN(time.Millisecond, 5)
	h.Observe(-time.Second)
	if h.Count() != 6 || h.Sum() != uint64(5*time.Millisecond) {
		t.Fatalf("count %d, sum %d", h.Count(), h.Sum())
	}
	var bounds, counts []uint64
	h.Octaves(func(b, n uint64) { bounds, counts = append(bounds, b), append(counts, n) })
	if !slices.Equal(counts, []uint64{1, 6}) || bounds[1] != 1<<20 {
		t.Fatalf("octaves %v %v", bounds, counts)
	}
}

func TestErrorKindsAreBounded(t *testing.T) {
	c := NewCommands([]string{"get"})
	for i := range 1000 {
		c.CountError(strings.Repeat("E", i+1))
	}
	if n := len(c.Errors()); n > maxErrorKinds+1 || c.Errors()[OtherErrors] != 1000-maxErrorKinds {
		t.Fatalf("%d kinds, %d other", n, c.Errors()[OtherErrors])
	}
}

func TestCollect(t *testing.T) {
	e := NewEngine()
	e.Fsyncs.Add(3)
	e.FsyncLatency.Observe(100 * time.Microsecond)
	e.GroupOps.ObserveValue(16)
	e.Files.Set(2)
	c := NewCommands([]string{"get", "put", "del"}, "get", "put")
	c.At(0).Calls.Inc()
	c.At(0).Latency.Observe(time.Millisecond)
	c.CountError("ERR")
	n := NewNet(func() NetStats { return NetStats{Open: 7} })
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(e, c, n)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += "," + l.GetValue()
			}
			switch {
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
				for _, b := range m.Histogram.Bucket {
					if b.GetUpperBound() == 16 {
						got["le16"] = float64(b.GetCumulativeCount())
					}
				}
			case m.Gauge != nil:
				got[name] = m.Gauge.GetValue()
			default:
				got[name] = m.Counter.GetValue()
			}
		}
	}
	for name, want := range map[string]float64{
		"tskv_fsyncs_total": 3, "tskv_fsync_seconds": 1, "le16": 1, "tskv_files": 2,
		"tskv_connections_open": 7, "tskv_commands_total,get": 1, "tskv_error_replies_total,ERR": 1,
		"tskv_command_seconds,get": 1, "tskv_commands_total,put": 0,
	} {
		if got[name] != want {
			t.Errorf("%s = %g, want %g", name, got[name], want)
		}
	}
	if q := got["tskv_command_quantile_seconds,get,0.99"]; q < 0.0009 || q > 0.0011 {
		t.Errorf("p99 of get: %g", q)
	}
	if _, there := got["tskv_commands_total,del"]; there {
		t.Error("a command never called is exported")
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.ObserveN(time.Duration(i), 1)
	}
}
