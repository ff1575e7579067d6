package metrics

import "github.com/prometheus/client_golang/prometheus"

// NetStats are the numbers of a network front. The totals only grow.
type NetStats struct {
	Open           uint64 // connections now
	Accepted       uint64 // connections since start
	Rejected       uint64 // connections refused: too many clients, out of memory
	AcceptErrors   uint64
	BytesIn        uint64
	BytesOut       uint64
	Backpressure   uint64 // times a connection stopped reading commands
	ProtocolErrors uint64
	Panics         uint64 // command handlers that panicked
	Timeouts       uint64 // connections closed by a deadline
	InputBytes     uint64 // memory of input buffers now
}

// NewNet returns a collector that reads the numbers whenever it is asked. read
// must be safe to call from any goroutine.
func NewNet(read func() NetStats) prometheus.Collector {
	n := &network{read: read}
	n.add("connections_open", "Open connections.", prometheus.GaugeValue, func(s *NetStats) uint64 { return s.Open })
	n.add("connections_total", "Accepted connections.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.Accepted })
	n.add("connections_rejected_total", "Refused connections.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.Rejected })
	n.add("accept_errors_total", "Failed accepts.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.AcceptErrors })
	n.add("rx_bytes_total", "Bytes received.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.BytesIn })
	n.add("tx_bytes_total", "Bytes sent.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.BytesOut })
	n.add("backpressure_events_total", "Times that a connection stopped reading commands.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.Backpressure })
	n.add("protocol_errors_total", "Protocol errors.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.ProtocolErrors })
	n.add("handler_panics_total", "Command handlers that panicked.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.Panics })
	n.add("connection_timeouts_total", "Connections closed by a deadline.", prometheus.CounterValue, func(s *NetStats) uint64 { return s.Timeouts })
	n.add("input_buffer_bytes", "Memory of input buffers.", prometheus.GaugeValue, func(s *NetStats) uint64 { return s.InputBytes })
	return n
}

type network struct {
	read func() NetStats
	list []netNumber
}

type netNumber struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*NetStats) uint64
}

func (n *network) add(name, help string, kind prometheus.ValueType, value func(*NetStats) uint64) {
	n.list = append(n.list, netNumber{prometheus.NewDesc("tskv_"+name, help, nil, nil), kind, value})
}

// Describe implements prometheus.Collector.
func (n *network) Describe(out chan<- *prometheus.Desc) {
	for i := range n.list {
		out <- n.list[i].desc
	}
}

// Collect implements prometheus.Collector. All numbers come from one reading.
func (n *network) Collect(out chan<- prometheus.Metric) {
	s := n.read()
	for i := range n.list {
		m := &n.list[i]
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value(&s)))
	}
}
