package sstable

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tskv/kv"
	"tskv/tests/samples"
)

// realFiles returns the files of the directory that an environment variable
// names, and skips the test if it names none.
func realFiles(t *testing.T, variable, suffix string) []string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skipf("NOT RUN: set %s to a directory of *%s files to measure real data", variable, suffix)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no *%s files in %s: %v", suffix, dir, err)
	}
	return paths
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestRealSeries reports the size of each CSV file (timestamp,value) as a table.
func TestRealSeries(t *testing.T) {
	var rows, size int64
	for _, path := range realFiles(t, "TSKV_SERIES", ".csv") {
		var series []kv.Row
		for _, line := range readLines(t, path)[1:] {
			stamp, value, _ := strings.Cut(line, ",")
			at, err := time.Parse(time.DateTime, stamp)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			row := kv.Row{ID: kv.ID{Time: uint64(at.UnixMilli())}}
			row.SetValue([]byte(value))
			series = append(series, row)
		}
		slices.SortStableFunc(series, func(a, b kv.Row) int { return a.ID.Compare(b.ID) })
		for i := 1; i < len(series); i++ { // one more row at the same time
			if series[i].ID.Time == series[i-1].ID.Time {
				series[i].ID.Seq = series[i-1].ID.Seq + 1
			}
		}
		d := newDisk()
		p := writeSamples(t, d, CodecZstd, map[string]iter.Seq[kv.Row]{filepath.Base(path): slices.Values(series)})
		r := openTable(t, d, p, ReaderOptions{})
		got, err := collect(r.Source([]byte(filepath.Base(path)), kv.Everything))
		if err == nil {
			err = diffRows(got, series)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Logf("%-45s %6d rows, %.3f bytes a row, %.3f in blocks:%s", filepath.Base(path), p.Rows,
			float64(p.Size)/float64(p.Rows), float64(p.DataBytes)/float64(p.Rows), describeColumns(t, r))
		rows += int64(p.Rows)
		size += p.Size
	}
	t.Logf("all: %d rows, %.3f bytes a row", rows, float64(size)/float64(rows))
}

// TestRealEvents reports how much smaller events become that carry the lines of
// log files, again and again with other fields beside them.
func TestRealEvents(t *testing.T) {
	const n = 200_000
	all := map[string][]string{}
	for _, path := range realFiles(t, "TSKV_EVENTS", ".log") {
		all[filepath.Base(path)] = readLines(t, path)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, codec := range []Codec{CodecS2, CodecZstd} {
			d := newDisk()
			p := writeSamples(t, d, codec, map[string]iter.Seq[kv.Row]{name: wrapped(t, all[name], n)})
			r := openTable(t, d, p, ReaderOptions{})
			t.Logf("%-15s codec %d: %.2f times smaller, %.1f bytes an event:%s", name, codec,
				float64(n*samples.EventBytes)/float64(p.Size), float64(p.Size)/n, describeColumns(t, r))
		}
	}
}

// wrapped makes events of samples.EventBytes bytes out of the lines of a log.
func wrapped(t *testing.T, lines []string, n int) iter.Seq[kv.Row] {
	return func(yield func(kv.Row) bool) {
		for i := range n {
			at := samples.Start + uint64(i)*7
			raw := fmt.Appendf(nil, `{"ts":%d,"host":"node-%02d","pid":%d`, at, i*7919%23, 1000+i*104729%60_000)
			line := lines[i%len(lines)]
			for {
				text, err := json.Marshal(line)
				if err != nil {
					t.Fatal(err)
				}
				if len(raw)+len(text)+len(`,"msg":`)+1 <= samples.EventBytes {
					raw = fmt.Appendf(raw, `,"msg":%s`, text)
					break
				}
				line = line[:len(line)-1]
			}
			if !yield(kv.Row{ID: kv.ID{Time: at}, Form: kv.FormRaw, Raw: samples.Pad(raw)}) {
				return
			}
		}
	}
}
