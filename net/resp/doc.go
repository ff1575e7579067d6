// Package resp is the wire codec of the Redis protocol, RESP2 and RESP3: an
// incremental decoder of requests (decoder.go, inline.go), an encoder of replies
// (writer.go) and a reader of replies for clients (reader.go).
//
// It owns the grammar, its limits and the texts of protocol errors. It refuses
// to know sockets, deadlines and the meaning of commands. It is a leaf.
//
// Decoder, Batch, Writer and Reader each belong to one goroutine at a time;
// Limits may be shared once they no longer change.
package resp
