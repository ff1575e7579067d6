package sstable

import (
	"bytes"
	"encoding/binary"
	"testing"

	"tskv/disk"
	"tskv/kv"
)

// resum gives a section mutated by the fuzzer a right checksum, so that what
// lies behind it is reached.
func resumBlock(b []byte) []byte {
	b = bytes.Clone(b) // the fuzzer's bytes are not to be changed
	if len(b) >= blockHeaderSize {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b, disk.CRC(0, b[4:]))
	}
	return b
}

// FuzzBlock decodes blocks in every way: no panic, bounded memory.
func FuzzBlock(f *testing.F) {
	for _, b := range sampleBlocks(f) {
		f.Add(b, uint16(0), uint16(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, lo, n uint16) {
		data = resumBlock(data)
		var d blockReader
		var z decompressor
		defer z.close()
		if err := d.open(data, 0, nil, &z); err != nil {
			return
		}
		var out batch
		w := window{lo: int(lo) % d.b.rows}
		w.hi = min(d.b.rows, w.lo+int(n)+1)
		if d.b.packed() {
			w.run, w.start = int(n)%d.b.series, w.lo
		} else {
			d.search(kv.ID{Time: uint64(lo), Seq: uint64(n)})
		}
		if err := d.openValues(&z, false); err != nil {
			return
		}
		_ = d.decode(&out, &w, false) // an error is as good as rows
		var row kv.Row
		one := window{run: w.run, start: w.start, lo: w.lo, hi: w.lo + 1}
		_, _ = d.row(one.lo, &one, &row, nil)
		if whole, err := d.openRuns(); err == nil {
			_ = d.decode(&out, &whole, false)
		}
	})
}

// sampleBlocks returns blocks of every kind with seed 0.
func sampleBlocks(f testing.TB) [][]byte {
	d := newDisk()
	p := build(f, d, WriterOptions{FileID: 0, Codec: CodecZstd}, smallModel(), 1000)
	r := openTable(f, d, p, ReaderOptions{})
	seen := make(map[place]bool)
	var blocks [][]byte
	it := r.StreamIterator().(*iterator)
	defer it.Close()
	for {
		key, err := it.Next()
		if err != nil {
			f.Fatal(err)
		}
		if key == nil {
			return blocks
		}
		at := it.entry.place()
		if it.entry.kind == entryList || seen[at] {
			continue
		}
		seen[at] = true
		b, err := r.direct(at, nil)
		if err != nil {
			f.Fatal(err)
		}
		blocks = append(blocks, b)
	}
}

// FuzzIndex parses pages, block lists, top indexes, tag sets and properties.
func FuzzIndex(f *testing.F) {
	var b pageBuilder
	for _, key := range []string{"a", "ab", "abc", "b"} {
		b.add([]byte(key), &entry{rows: 3, maxID: kv.ID{Time: 9, Seq: 1}, offset: 64, length: 100}, 0)
	}
	f.Add(b.finish(0), []byte("abc"))
	ref := blockRef{place: place{64, 100}, rows: 5}
	f.Add(finishList(nil, listLeaf, ref.append(nil, false), 0), []byte("k"))
	f.Add(appendTop(nil, []pageRef{{place{64, 8}, []byte("a")}}, 0), []byte("a"))
	f.Add(appendTagSets(nil, []kv.TagSet{{1, 'a'}, {1, 'b', 1, 'c'}}), []byte("a"))
	f.Add(appendProperties(nil, &Properties{MinKey: []byte("a"), MaxKey: []byte("b")}, 0), []byte("a"))
	f.Add((&footer{size: 1000}).append(nil), []byte("a"))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		data = bytes.Clone(data)
		var p page
		if err := p.parse(data, 0, false); err == nil {
			var e entry
			if found, err := p.find(key, 1, 1<<20, &e); found != (err == nil && e.rows > 0) {
				t.Fatalf("found %v, %v: %+v", found, err, e)
			}
		}
		if len(data) >= 8 {
			binary.LittleEndian.PutUint32(data[len(data)-8:], disk.CRC(0, data[:len(data)-8]))
		}
		var list blockList
		if err := list.parse(data, 0, 1<<20); err == nil {
			var ref blockRef
			for i := range list.len() {
				_ = list.at(i, &ref)
			}
			list.last(kv.ID{Time: 5})
		}
		if pages, err := parseTop(data, place{64, 1 << 20}); err == nil {
			pageFor(pages, key)
		}
		_, _ = parseTagSets(data)
		var props Properties
		_ = parseProperties(data, &props)
		var foot footer
		_ = foot.parse(data, 0, 1000)
		_, _ = parseFilter(data[max(0, len(data)-filterTrailer):], len(data), 0)
	})
}

// FuzzColumn round-trips integers.
func FuzzColumn(f *testing.F) {
	f.Add([]byte("12345678abcdefgh12345678"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, repeat uint8) {
		var values []uint64
		for range int(repeat)%64 + 1 {
			for i := 0; i+8 <= len(data) && len(values) < maxBlockRows; i += 8 {
				values = append(values, load64(data, i)>>(data[i]&63))
			}
		}
		if len(values) > 0 {
			checkColumn(t, values)
		}
	})
}
