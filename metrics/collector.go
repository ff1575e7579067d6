package metrics

import "github.com/prometheus/client_golang/prometheus"

// scale says how a histogram's integers become a Prometheus histogram: the unit
// of one, and the powers of two that are exported as bucket bounds.
type scale struct {
	unit              float64
	first, last, step int
}

// timeScale is 1 us .. 69 s in steps of four; sizeScale 1 .. 65,536 in steps of
// two. Few bounds, because every one is a time series to whoever scrapes.
func timeScale() scale { return scale{unit: 1e-9, first: 10, last: 36, step: 2} }
func sizeScale() scale { return scale{unit: 1, first: 0, last: 16, step: 1} }

// metric returns the histogram as it is now.
func (h *Histogram) metric(desc *prometheus.Desc, s scale, labels ...string) prometheus.Metric {
	bounds := make(map[float64]uint64, (s.last-s.first)/s.step+1)
	var cumulative uint64
	next := 0
	for shift := s.first; shift <= s.last; shift += s.step {
		for end := bucketOf(1 << shift); next <= end; next++ {
			cumulative += h.buckets[next].Load()
		}
		bounds[float64(uint64(1)<<shift)*s.unit] = cumulative
	}
	for ; next < bucketCount; next++ {
		cumulative += h.buckets[next].Load()
	}
	return prometheus.MustNewConstHistogram(desc, cumulative, float64(h.Sum())*s.unit, bounds, labels...)
}

// instruments is a list of named numbers that is one prometheus.Collector.
type instruments struct {
	list []instrument
}

type instrument struct {
	desc *prometheus.Desc
	read func(*prometheus.Desc) prometheus.Metric
}

func (s *instruments) add(name, help string, read func(*prometheus.Desc) prometheus.Metric) {
	s.list = append(s.list, instrument{prometheus.NewDesc("tskv_"+name, help, nil, nil), read})
}

func (s *instruments) counter(name, help string, c *Counter) {
	s.add(name, help, func(d *prometheus.Desc) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(c.Value()))
	})
}

func (s *instruments) gauge(name, help string, g *Gauge) {
	s.add(name, help, func(d *prometheus.Desc) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(g.Value()))
	})
}

// seconds exports a counter of nanoseconds.
func (s *instruments) seconds(name, help string, c *Counter) {
	s.add(name, help, func(d *prometheus.Desc) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(c.Value())/1e9)
	})
}

// ratio exports what fn returns at the moment of the scrape.
func (s *instruments) ratio(name, help string, fn func() float64) {
	s.add(name, help, func(d *prometheus.Desc) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, fn())
	})
}

// labelled adds one gauge of several with the same name, told apart by a fixed
// value of one label.
func (s *instruments) labelled(name, help, label, value string, g *Gauge) {
	s.list = append(s.list, instrument{
		prometheus.NewDesc("tskv_"+name, help, nil, prometheus.Labels{label: value}),
		func(d *prometheus.Desc) prometheus.Metric {
			return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(g.Value()))
		},
	})
}

func (s *instruments) histogram(name, help string, h *Histogram, sc scale) {
	s.add(name, help, func(d *prometheus.Desc) prometheus.Metric { return h.metric(d, sc) })
}

// Describe implements prometheus.Collector.
func (s *instruments) Describe(out chan<- *prometheus.Desc) {
	for i := range s.list {
		out <- s.list[i].desc
	}
}

// Collect implements prometheus.Collector.
func (s *instruments) Collect(out chan<- prometheus.Metric) {
	for i := range s.list {
		out <- s.list[i].read(s.list[i].desc)
	}
}
