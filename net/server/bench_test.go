package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
)

// BenchmarkEcho measures requests of one client over loopback, client included.
func BenchmarkEcho(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("pipeline=%d", depth), func(b *testing.B) {
			r := start(b, Options{})
			nc, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			in := []byte(repeat(command("ECHO", "0123456789abcdef"), depth))
			out := make([]byte, depth*len(bulk("0123456789abcdef")))
			rd := bufio.NewReaderSize(nc, 64<<10)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if _, err := nc.Write(in); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(rd, out); err != nil {
					b.Fatal(err)
				}
				n += depth
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}

// BenchmarkEchoClients is 50 clients with pipelines of 16, as redis-benchmark -c 50 -P 16.
func BenchmarkEchoClients(b *testing.B) {
	const clients, depth = 50, 16
	r := start(b, Options{})
	in := []byte(repeat(command("ECHO", "0123456789abcdef"), depth))
	size := depth * len(bulk("0123456789abcdef"))
	b.SetParallelism(clients / 2)
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = nc.Close() }()
		out := make([]byte, size)
		for pb.Next() {
			if _, err := nc.Write(in); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(nc, out); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)*depth/b.Elapsed().Seconds(), "commands/s")
}
