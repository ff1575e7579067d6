package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxErrorKinds bounds the error words counted one by one; Redis stops at the
// same number. The rest is counted as OtherErrors.
const maxErrorKinds = 128

// OtherErrors is the word under which errors past the bound are counted.
const OtherErrors = "OTHER"

// Command are the instruments of one command.
type Command struct {
	Calls    Counter   // executed, failed ones included
	Failed   Counter   // executed and answered with an error
	Rejected Counter   // refused before execution: arguments, AUTH, loading
	Latency  Histogram // one observation per call; none of a write whose arguments were refused
}

// Commands are the instruments of a fixed list of commands, so the number of
// time series is bounded whatever clients send.
type Commands struct {
	names     []string
	list      []Command
	quantiles map[int]bool

	mu     sync.Mutex
	errors map[string]uint64

	calls, failed, rejected, latency, quantile, replies *prometheus.Desc
}

// NewCommands returns the instruments of the commands names, all zero; the
// latency quantiles of those in quantiles are exported as gauges.
func NewCommands(names []string, quantiles ...string) *Commands {
	c := &Commands{
		names:     names,
		list:      make([]Command, len(names)),
		quantiles: map[int]bool{},
		errors:    map[string]uint64{},
		calls:     prometheus.NewDesc("tskv_commands_total", "Commands executed.", []string{"command"}, nil),
		failed:    prometheus.NewDesc("tskv_command_errors_total", "Commands executed that answered an error.", []string{"command"}, nil),
		rejected:  prometheus.NewDesc("tskv_commands_rejected_total", "Commands refused before execution.", []string{"command"}, nil),
		latency:   prometheus.NewDesc("tskv_command_seconds", "Duration of a command.", []string{"command"}, nil),
		quantile:  prometheus.NewDesc("tskv_command_quantile_seconds", "Latency quantile since start or CONFIG RESETSTAT.", []string{"command", "quantile"}, nil),
		replies:   prometheus.NewDesc("tskv_error_replies_total", "Error replies by their first word.", []string{"error"}, nil),
	}
	for i, name := range names {
		for _, q := range quantiles {
			if name == q {
				c.quantiles[i] = true
			}
		}
	}
	return c
}

// At returns the instruments of the command names[i] given to NewCommands.
func (c *Commands) At(i int) *Command { return &c.list[i] }

// Names returns the list given to NewCommands.
func (c *Commands) Names() []string { return c.names }

// CountError counts an error reply by its first word.
func (c *Commands) CountError(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.errors[word]; !known && len(c.errors) >= maxErrorKinds {
		word = OtherErrors
	}
	c.errors[word]++
}

// Errors returns the error replies by their first word.
func (c *Commands) Errors() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]uint64, len(c.errors))
	for word, n := range c.errors {
		counts[word] = n
	}
	return counts
}

// Calls returns the number of executed commands.
func (c *Commands) Calls() uint64 {
	var n uint64
	for i := range c.list {
		n += c.list[i].Calls.Value()
	}
	return n
}

// Reset forgets everything counted, as CONFIG RESETSTAT asks.
func (c *Commands) Reset() {
	for i := range c.list {
		m := &c.list[i]
		m.Calls.Reset()
		m.Failed.Reset()
		m.Rejected.Reset()
		m.Latency.Reset()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.errors)
}

// Describe implements prometheus.Collector.
func (c *Commands) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.calls, c.failed, c.rejected, c.latency, c.quantile, c.replies} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A command that was never seen is
// left out.
func (c *Commands) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
	}
	for i := range c.list {
		m, name := &c.list[i], c.names[i]
		if m.Calls.Value() == 0 && m.Rejected.Value() == 0 && !c.quantiles[i] {
			continue
		}
		count(c.calls, m.Calls.Value(), name)
		count(c.failed, m.Failed.Value(), name)
		count(c.rejected, m.Rejected.Value(), name)
		out <- m.Latency.metric(c.latency, timeScale(), name)
		if c.quantiles[i] {
			c.collectQuantiles(out, m, name)
		}
	}
	for word, n := range c.Errors() {
		count(c.replies, n, word)
	}
}

func (c *Commands) collectQuantiles(out chan<- prometheus.Metric, m *Command, name string) {
	for label, q := range map[string]float64{"0.5": 0.5, "0.95": 0.95, "0.99": 0.99} {
		out <- prometheus.MustNewConstMetric(c.quantile, prometheus.GaugeValue,
			m.Latency.Quantile(q)*timeScale().unit, name, label)
	}
}
