package sstable

import (
	"bytes"
	"errors"
	"testing"

	"tskv/disk"
)

// TestBlocks: every block is shown once, with the rows and series of the file.
func TestBlocks(t *testing.T) {
	rng := seeded(t)
	model := randomModel(rng, []int{300, 2*maxBlockRows + 1}, 300)
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 9, Codec: CodecZstd}, model, 5000)
	r, err := OpenUnlisted(d, disk.TableName(9), ReaderOptions{NoMmap: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var rows, blocks, packed, series uint64
	kinds, encodings := map[string]int{}, map[string]int{}
	seen := map[int64]bool{}
	for b, err := range r.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		if seen[b.Offset] || b.Length <= 0 || b.MinTime > b.MaxTime || bytes.Compare(b.FirstKey, b.LastKey) > 0 {
			t.Fatalf("block %+v", b)
		}
		seen[b.Offset] = true
		blocks++
		rows += uint64(b.Rows)
		kinds[b.Kind]++
		if b.Kind == "packed numeric" || b.Kind == "packed raw" {
			packed++
			series += uint64(b.Series)
		} else if !bytes.Equal(b.FirstKey, b.LastKey) {
			t.Fatalf("block of two keys: %+v", b)
		}
		size := blockHeaderSize + loadPad
		for _, c := range b.Columns {
			encodings[c.Encoding]++
			size += directorySize + c.Bytes
			if c.Name == "time" && c.RawBytes != 8*b.Rows {
				t.Fatalf("times of %d rows: %+v", b.Rows, c)
			}
		}
		if size != b.Length {
			t.Fatalf("columns and header of %d bytes, block of %d", size, b.Length)
		}
	}
	if rows != p.Rows || blocks != p.Blocks || packed != p.PackedBlocks || len(kinds) != 4 || series >= p.Series {
		t.Fatalf("%d rows, %d blocks, %d packed of %d series, %v; want %+v", rows, blocks, packed, series, kinds, p)
	}
	for _, e := range []string{"CONST", "CONST_DELTA", "FOR", "DELTA_FOR", "LINEAR_FOR", "BYTES", "ZSTD"} {
		if encodings[e] == 0 {
			t.Errorf("no column is %s: %v", e, encodings)
		}
	}
	if r.FormatVersion() != formatVersion {
		t.Errorf("version %d", r.FormatVersion())
	}
}

// TestBlocksOfDamagedFile: the walk names what is damaged and goes on behind it.
func TestBlocksOfDamagedFile(t *testing.T) {
	rng := seeded(t)
	model := randomModel(rng, []int{300, maxBlockRows + 1}, 300)
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 9}, model, 5000)
	whole := openTable(t, d, p, ReaderOptions{})
	var offsets []int64
	for b, err := range whole.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, b.Offset)
	}
	if len(whole.pages) < 3 {
		t.Fatal("too few index pages for this test")
	}
	for range 200 {
		block, page := rng.IntN(len(offsets)), whole.pages[rng.IntN(len(whole.pages))]
		inPage := rng.IntN(2) == 0
		d := diskOf(t, d, 9, func(b []byte) {
			if inPage {
				b[page.offset+int64(rng.IntN(page.length))] ^= 4
			} else {
				b[offsets[block]+int64(rng.IntN(blockHeaderSize))] ^= 4
			}
		})
		r := openTable(t, d, p, ReaderOptions{})
		good, bad := 0, 0
		for b, err := range r.Blocks() {
			if err == nil {
				good++
				continue
			}
			bad++
			if !errors.Is(err, disk.ErrCorrupt) || !inPage && b.Offset != offsets[block] || inPage != (b.Kind == "index") {
				t.Fatalf("block %+v: %v", b, err)
			}
		}
		if bad != 1 || good >= len(offsets) && !inPage || inPage && good == 0 {
			t.Fatalf("%d good blocks and %d damaged of %d, page %v", good, bad, len(offsets), inPage)
		}
	}
}

// diskOf is a disk with a changed copy of a table.
func diskOf(t *testing.T, d interface{ ReadFile(string) ([]byte, error) }, id uint64, change func([]byte)) disk.FS {
	t.Helper()
	b, err := d.ReadFile(disk.TableName(id))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	change(b)
	return diskWith(t, id, b)
}

func TestOpenUnlistedRefuses(t *testing.T) {
	d := newDisk()
	build(t, d, WriterOptions{FileID: 9}, smallModel(), 100)
	for name, change := range map[string]func(b []byte) []byte{
		"empty":  func([]byte) []byte { return nil },
		"cut":    func(b []byte) []byte { return b[:len(b)-1] },
		"footer": func(b []byte) []byte { b[len(b)-50] ^= 1; return b },
		"longer": func(b []byte) []byte { return append(b[:len(b):len(b)], b[len(b)-footerSize:]...) },
	} {
		b, err := d.ReadFile(disk.TableName(9))
		if err != nil {
			t.Fatal(err)
		}
		bad := diskWith(t, 9, change(bytes.Clone(b)))
		if _, err := OpenUnlisted(bad, disk.TableName(9), ReaderOptions{}); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if bad.Handles() != 0 {
			t.Errorf("%s: a file is open", name)
		}
	}
}
