package sstable

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"tskv/disk"
	"tskv/kv"
	"tskv/tests/samples"
)

// sampleRows is a million rows of a kind, which is what tskv's sizes are said for.
const sampleRows = 1_000_000

// writeSamples writes series as a compaction does and returns the file.
func writeSamples(t testing.TB, d disk.FS, codec Codec, series map[string]iter.Seq[kv.Row]) Properties {
	t.Helper()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(d, WriterOptions{FileID: 1, Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, key := range slices.Sorted(maps.Keys(series)) {
		var batch kv.Rows
		for row := range series[key] {
			if batch.Append(row); batch.Len() == batchRows {
				if err := w.Add([]byte(key), &batch); err != nil {
					t.Fatal(err)
				}
				batch.Reset()
			}
		}
		if err := w.Add([]byte(key), &batch); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// describeColumns sums up the columns of a file by name and encoding.
func describeColumns(t testing.TB, r *Reader) string {
	t.Helper()
	type column struct{ name, encoding string }
	bytes, blocks := map[column]int{}, map[column]int{}
	var order []column
	for b, err := range r.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b.Columns {
			k := column{c.Name, c.Encoding}
			if blocks[k]++; blocks[k] == 1 {
				order = append(order, k)
			}
			bytes[k] += c.Bytes
		}
	}
	text := ""
	for _, k := range order {
		text += fmt.Sprintf(" %s:%s %dx%.3f", k.name, k.encoding, blocks[k], float64(bytes[k])/float64(r.props.Rows))
	}
	return text
}

// TestBytesPerSample holds the sizes that the documentation promises: of a whole
// file, index and filter included, as a compaction writes it.
func TestBytesPerSample(t *testing.T) {
	for _, k := range samples.Kinds() {
		d := newDisk()
		p := writeSamples(t, d, CodecZstd, map[string]iter.Seq[kv.Row]{"series": k.Rows(11, sampleRows)})
		r := openTable(t, d, p, ReaderOptions{})
		got := float64(p.Size) / float64(p.Rows)
		t.Logf("%s: %.3f bytes a sample, target %.2f:%s", k.Name, got, k.Target, describeColumns(t, r))
		if p.Rows != sampleRows || got > k.Target {
			t.Errorf("%s: %.3f bytes for each of %d rows, want at most %.2f", k.Name, got, p.Rows, k.Target)
		}
	}
}

// TestBytesPerEvent: events become 4.5 times smaller, index and filter included.
func TestBytesPerEvent(t *testing.T) {
	const n = 300_000
	for _, c := range []struct {
		codec Codec
		least float64
	}{{CodecZstd, 4.5}, {CodecS2, 2.5}} {
		d := newDisk()
		p := writeSamples(t, d, c.codec, map[string]iter.Seq[kv.Row]{"events": samples.Events(11, n)})
		r := openTable(t, d, p, ReaderOptions{})
		got := float64(n*samples.EventBytes) / float64(p.Size)
		t.Logf("codec %d: %.2f times smaller, %.1f bytes an event:%s", c.codec, got, float64(p.Size)/n, describeColumns(t, r))
		if p.Rows != n || got < c.least {
			t.Errorf("codec %d: %.2f times smaller, want %.1f", c.codec, got, c.least)
		}
	}
}

// TestBytesPerSeries: what series of few rows take, keys, index and filter included.
func TestBytesPerSeries(t *testing.T) {
	gauge := samples.Kinds()[1]
	for _, c := range []struct {
		key        string
		codec      Codec
		rows, keys int
		most       float64 // bytes a row
	}{
		{"host%05d.cpu.load", CodecZstd, 1, 50_000, 22},
		{"host%05d.cpu.load", CodecZstd, 5, 50_000, 6},
		{"host%05d.cpu.load", CodecZstd, 20, 50_000, 2.4},
		{"series:%08d", CodecZstd, 20, 100_000, 1.9},
		{"series:%08d", CodecS2, 20, 100_000, 2},
		{"host%05d.cpu.load", CodecZstd, 100, 10_000, 1.6},
		{"host%05d.cpu.load", CodecZstd, 300, 3000, 1.7},
		{"host%05d.cpu.load", CodecZstd, 1000, 1000, 1.4},
	} {
		series := make(map[string]iter.Seq[kv.Row], c.keys)
		for k := range c.keys {
			series[fmt.Sprintf(c.key, k)] = gauge.Rows(uint64(k), c.rows)
		}
		d := newDisk()
		p := writeSamples(t, d, c.codec, series)
		got := float64(p.Size) / float64(p.Rows)
		t.Logf("%s, codec %d: %d series of %d rows: %.2f bytes a row, %.1f a series, of which %.1f index, %.2f filter",
			c.key, c.codec, c.keys, c.rows, got, float64(p.Size)/float64(c.keys), float64(p.IndexBytes)/float64(c.keys), float64(p.FilterBytes)/float64(c.keys))
		if got > c.most {
			t.Errorf("series of %d rows: %.2f bytes a row, want at most %.2f", c.rows, got, c.most)
		}
	}
	d := newDisk()
	p := writeSamples(t, d, CodecZstd, map[string]iter.Seq[kv.Row]{"k": gauge.Rows(1, 1)})
	t.Logf("a file of one row: %d bytes", p.Size)
	if p.Size > 700 {
		t.Errorf("a file of one row takes %d bytes", p.Size)
	}
}
