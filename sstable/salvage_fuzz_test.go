package sstable

import (
	"encoding/binary"
	"errors"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// FuzzSalvage overwrites parts of a sound file and makes checksums right again, so
// that what lies behind them is reached: salvage never panics, and keys and rows
// ascend in what it gives.
func FuzzSalvage(f *testing.F) {
	d := disktest.New()
	build(f, d, WriterOptions{FileID: 9, MinSeq: 1, MaxSeq: 2}, smallModel(), 100)
	content, err := d.ReadFile(disk.TableName(9))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(100), uint32(0), []byte{1, 2, 3}, false)
	f.Add(uint32(len(content)-60), uint32(128), []byte{0xff}, true)
	f.Fuzz(func(t *testing.T, at, section uint32, change []byte, known bool) {
		b := append([]byte(nil), content...)
		from := int(at) % len(b)
		copy(b[from:], change)
		if section > 4 { // a checksum at the end of so many bytes
			if end := from + int(section%8192); end+4 <= len(b) {
				binary.LittleEndian.PutUint32(b[end:], disk.CRC(seed(9), b[from:end]))
			}
		}
		if from+blockHeaderSize < len(b) { // or at the start, as blocks have it
			if n := int(binary.LittleEndian.Uint32(b[from+4:])); n >= 8 && n <= len(b)-from {
				binary.LittleEndian.PutUint32(b[from:], disk.CRC(seed(9), b[from+4:from+n]))
			}
		}
		var p *Properties
		if known {
			p = &Properties{MinSeq: 1, MaxSeq: 2, MinKey: []byte("a"), MaxKey: []byte("z")}
		}
		s, err := OpenSalvage(diskWith(t, 9, b), disk.TableName(9), 9, p, func(Lost) {})
		if err != nil {
			if !errors.Is(err, disk.ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		got := salvaged{rows: make(map[string]map[kv.ID]string)}
		it := s.Iterator()
		prev := ""
		for {
			key, err := it.Next()
			if err != nil {
				t.Fatal(err)
			}
			if key == nil {
				break
			}
			if string(key) <= prev {
				t.Fatalf("key %q after %q", key, prev)
			}
			prev = string(key)
			got.series(t, "fuzz", it, prev)
		}
		it.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
