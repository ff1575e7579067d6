package sstable

import (
	"fmt"
	"iter"
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
	for key, rows := range series {
		var batch kv.Rows
		for row := range rows {
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
