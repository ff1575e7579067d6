// Package server carries RESP over TCP, unix sockets and TLS: it accepts, reads,
// has complete commands served, writes the replies and closes, within limits of
// memory, number and time that no client can break.
//
// It owns connections, their buffers and their deadlines. It refuses to know
// what a command means: a Handler of the layer above does.
//
// One goroutine per connection reads, serves and writes it, so a slow storage or
// a slow reader pushes back through TCP by itself. While a connection is idle it
// holds no buffer: its goroutine waits for the socket to become readable and
// takes buffers only then (wait.go). Buffers grow with the bytes that arrived,
// and what all connections hold together is bounded (budget.go).
//
// Server's methods may be called from any goroutine. A Conn belongs to its own
// goroutine, the one that calls Session; the methods that others may call say so.
package server
