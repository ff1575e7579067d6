package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
)

// FuzzDecode feeds the same bytes whole, byte by byte and cut by a seed; all
// three must give the same commands and the same error. Limits are small so that
// they are met.
func FuzzDecode(f *testing.F) {
	for i, c := range decodeCases() {
		f.Add([]byte(c.in), uint64(i)*0x9e3779b97f4a7c15, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, authenticated bool) {
		want := feed(smallLimits(), authenticated, in).String()
		if len(in) <= 2048 {
			if got := feed(smallLimits(), authenticated, bytewise(in)...).String(); got != want {
				t.Fatalf("byte by byte\n got %s\nwant %s", got, want)
			}
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			seed = seed*6364136223846793005 + 1442695040888963407
			n := min(len(rest), 1+int(seed>>33)%23)
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := feed(smallLimits(), authenticated, pieces...).String(); got != want {
			t.Fatalf("pieces %q\n got %s\nwant %s", pieces, got, want)
		}
	})
}

// FuzzDecodeMemory holds the decoder to 64 bytes of memory per byte of input.
func FuzzDecodeMemory(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add([]byte(c.in))
	}
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		d := NewDecoder(&limits)
		var b Batch
		runtime.ReadMemStats(&before)
		n, err := d.Decode(in, &b)
		runtime.ReadMemStats(&after)
		if n < 0 || n > len(in) {
			t.Fatalf("consumed %d of %d", n, len(in))
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*len(in)+64<<10) {
			t.Fatalf("%d bytes allocated for %d of input (%v)", got, len(in), err)
		}
	})
}

func FuzzReader(f *testing.F) {
	for _, c := range replyCases() {
		f.Add([]byte(c.resp2))
		f.Add([]byte(c.resp3))
	}
	f.Add([]byte("*1\r\n*1\r\n*1\r\n:1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := ReplyLimits{Bulk: 1 << 20, Elements: 1 << 20, Depth: 8}
		r := NewReader(bufio.NewReader(bytes.NewReader(in)), limits)
		for {
			_, err := r.Read()
			if err == nil {
				continue
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrReply) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
	})
}
