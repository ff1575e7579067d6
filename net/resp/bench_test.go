package resp

import (
	"bytes"
	"fmt"
	"testing"
)

// pipeline returns n requests as benchmarks and clients send them.
func pipeline(n int, request func(i int) []string) []byte {
	var in []byte
	for i := range n {
		var args [][]byte
		for _, arg := range request(i) {
			args = append(args, []byte(arg))
		}
		in = AppendCommand(in, args...)
	}
	return in
}

func BenchmarkDecode(b *testing.B) {
	const n = 256
	value := string(bytes.Repeat([]byte("v"), 216))
	for _, c := range []struct {
		name    string
		request func(i int) []string
	}{
		{"get", func(i int) []string { return []string{"GET", fmt.Sprintf("series:%012d", i)} }},
		{"put4", func(i int) []string { return []string{"PUT", fmt.Sprintf("series:%012d", i), "*", "12.5"} }},
		{"put4-216B", func(i int) []string { return []string{"PUT", fmt.Sprintf("series:%012d", i), "*", value} }},
		{"set3", func(i int) []string { return []string{"SET", fmt.Sprintf("key:%012d", i), "xxx"} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := pipeline(n, c.request)
			limits := DefaultLimits()
			d := NewDecoder(&limits)
			var batch Batch
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				used, err := d.Decode(in, &batch)
				if used != len(in) || err != nil || len(batch.Commands) != n {
					b.Fatal(used, err, len(batch.Commands))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/command")
		})
	}
}

func BenchmarkWriterBulk(b *testing.B) {
	var w Writer
	w.OnFull(1<<20, w.Reset)
	value := []byte("1700000000000-0")
	b.ReportAllocs()
	for b.Loop() {
		w.Bulk(value)
	}
}
