package server

import "sync/atomic"

// Stats counts what the server does. Every field may be read at any time from
// any goroutine; only the server writes them.
type Stats struct {
	ConnectionsOpen     atomic.Int64  // now
	ConnectionsTotal    atomic.Uint64 // accepted, the rejected ones not included
	ConnectionsRejected atomic.Uint64 // over MaxClients
	AcceptErrors        atomic.Uint64

	BytesRead    atomic.Uint64 // after TLS
	BytesWritten atomic.Uint64 // before TLS
	InputBytes   atomic.Int64  // memory of all input buffers now
	HeldBytes    atomic.Int64  // replies that wait for slow clients now

	InputWaits     atomic.Uint64 // back-pressure: a large command waited for input memory
	OutputWaits    atomic.Uint64 // back-pressure: a client did not take its replies at once
	ProtocolErrors atomic.Uint64 // malformed requests, HTTP included
	Panics         atomic.Uint64 // in sessions

	HandshakeTimeouts atomic.Uint64
	AuthTimeouts      atomic.Uint64
	CommandTimeouts   atomic.Uint64 // inside a command, also while waiting for input memory
	WriteTimeouts     atomic.Uint64
	HeldCuts          atomic.Uint64 // clients cut because too much waited for slow ones
}
