// Package command owns what the server understands: the command table, one row
// per command, and the translation between RESP and the engine.
//
// It refuses to know files and sockets. A Handler may be used from any
// goroutine. A session belongs to its connection's goroutine; only what CLIENT
// LIST shows of it is read by others.
//
// Writes of a pipeline are collected in one engine.Batch per connection and
// applied together when a read comes, when the pipeline ends or when a bound is
// reached (write.go); their replies are then written in order.
package command
