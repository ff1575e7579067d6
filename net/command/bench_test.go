package command

import (
	"io"
	"strconv"
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

// BenchmarkScan streams a series of a million rows to a client that only reads.
func BenchmarkScan(b *testing.B) {
	const rows, group = 1 << 20, 1 << 12
	h := newHost(b, Options{})
	c := h.dial(b)
	for i := 0; i < rows; i += group {
		var packet []byte
		for j := i; j < i+group; j++ {
			id := strconv.Itoa(fixedNow + 1000*j)
			value := strconv.FormatFloat(float64(20_000+j%5000)/100, 'f', 2, 64)
			packet = resp.AppendCommand(packet, []byte("PUT"), []byte("s"), []byte(id), []byte(value))
		}
		if _, err := c.conn.Write(packet); err != nil {
			b.Fatal(err)
		}
		for range group {
			if r := c.reply(); r.IsError() {
				b.Fatal(string(r.Text))
			}
		}
	}
	size := len("*2\r\n$1\r\n0\r\n*1048576\r\n") + rows*len("*2\r\n$15\r\n1704164645678-0\r\n$6\r\n200.00\r\n")
	buf := make([]byte, 1<<20)
	ask := resp.AppendCommand(nil, []byte("SCAN"), []byte("s"), []byte("-"), []byte("+"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(ask); err != nil {
			b.Fatal(err)
		}
		for got := 0; got < size; {
			n, err := c.buf.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
