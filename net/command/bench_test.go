package command

import (
	"io"
	"testing"

	"tskv/net/resp"
)

// pipelined measures one command, many in one packet, through TCP and the
// engine. replySize is the length of one reply.
func pipelined(b *testing.B, replySize int, args ...string) {
	const depth = 64
	h := newHost(b, Options{})
	c := h.dial(b)
	if got := c.line("SET seed 12.5"); got != "+OK" {
		b.Fatal(got)
	}
	raw := make([][]byte, len(args))
	for i, arg := range args {
		raw[i] = []byte(arg)
	}
	var packet []byte
	for range depth {
		packet = resp.AppendCommand(packet, raw...)
	}
	replies := make([]byte, depth*replySize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(packet); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.buf, replies); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/depth, "ns/command")
}

func BenchmarkPut(b *testing.B) {
	pipelined(b, len("$5\r\n500-0\r\n"), "PUT", "series:1", "500", "12.5")
}

func BenchmarkSet(b *testing.B)  { pipelined(b, len("+OK\r\n"), "SET", "key", "12.5") }
func BenchmarkGet(b *testing.B)  { pipelined(b, len("$4\r\n12.5\r\n"), "GET", "seed") }
func BenchmarkPing(b *testing.B) { pipelined(b, len("+PONG\r\n"), "PING") }
func BenchmarkIncr(b *testing.B) { pipelined(b, len("$4\r\n12.5\r\n"), "INCRBYFLOAT", "seed", "0") }
