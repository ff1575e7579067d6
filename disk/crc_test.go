package disk_test

import (
	"fmt"
	"testing"

	"tskv/disk"
)

func TestCRC(t *testing.T) {
	// The check value of CRC-32C, and two vectors of RFC 3720 §B.4.
	for _, c := range []struct {
		in   []byte
		want uint32
	}{
		{nil, 0},
		{[]byte("123456789"), 0xe3069283},
		{make([]byte, 32), 0x8a9136aa},
		{[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
			"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 0x62a8ab43},
	} {
		if got := disk.CRC(0, c.in); got != c.want {
			t.Errorf("CRC(0, %q) = %#x, want %#x", c.in, got, c.want)
		}
	}
	text := []byte("a checksum may be continued at any byte")
	for i := range text {
		if got, want := disk.CRC(disk.CRC(0, text[:i]), text[i:]), disk.CRC(0, text); got != want {
			t.Errorf("continued at %d: %#x, want %#x", i, got, want)
		}
	}
	if disk.CRC(1, text) == disk.CRC(2, text) {
		t.Error("the seed makes no difference")
	}
}

func BenchmarkCRC(b *testing.B) {
	for _, size := range []int{32, 256, 4096, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := make([]byte, size)
			b.SetBytes(int64(size))
			sum := uint32(0)
			for b.Loop() {
				sum = disk.CRC(sum, p)
			}
		})
	}
}
