package e2e

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tskv/tests/harness"
)

// record is one row of a file: an ID and the value as it is written there.
type record struct {
	time  int64
	seq   uint64
	value string
}

func (r record) id() string { return fmt.Sprintf("%d-%d", r.time, r.seq) }

// TestLoader loads CSV files (timestamp,value), one key per file, reads each key
// back by SCAN and compares every value, before and after kill -9.
func TestLoader(t *testing.T) {
	dir := os.Getenv("TSKV_SERIES")
	if dir == "" {
		dir = generateSeries(t)
	}
	series := readSeries(t, dir)
	data := t.TempDir()
	s, c := startOn(t, data, "--memtable-bytes", "1048576") // so that files, flushes and the log are all in it
	begin, rows := time.Now(), 0
	for _, name := range sortedNames(series) {
		load(t, c, name, series[name])
		rows += len(series[name])
	}
	t.Logf("loaded %d rows of %d files in %.2f s", rows, len(series), time.Since(begin).Seconds())
	begin = time.Now()
	compareAll(t, c, series)
	t.Logf("read back and compared in %.2f s", time.Since(begin).Seconds())
	s.Kill()
	begin = time.Now()
	_, c = startOn(t, data)
	t.Logf("restarted after kill -9 in %.3f s", time.Since(begin).Seconds())
	compareAll(t, c, series)
}

// generateSeries writes files of the kinds of numbers and times that real ones
// hold: repeated and backward timestamps, gaps, zeros, exponents, words.
func generateSeries(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed(t), 3))
	values := []func() string{
		func() string { return fmt.Sprint(rng.IntN(200)) },
		func() string { return fmt.Sprintf("%.3f", rng.Float64()*100) },
		func() string { return fmt.Sprint(rng.NormFloat64()) },
		func() string { return fmt.Sprintf("%g", rng.ExpFloat64()*1e-9) },
		func() string {
			return []string{"0", "-0", "0.0", "-1.50", "007", "NaN", "", "1e5", "off, \"half\"", "999999999999999999999"}[rng.IntN(10)]
		},
	}
	dir := t.TempDir()
	for i, value := range values {
		at := time.Date(2014, 3, 30, 1, 0, 0, 0, time.UTC)
		var b strings.Builder
		w := csv.NewWriter(&b)
		_ = w.Write([]string{"timestamp", "value"}) // a builder takes everything
		for range 3000 {
			_ = w.Write([]string{at.Format(time.DateTime), value()})
			at = at.Add([]time.Duration{5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 0, time.Second, -time.Hour, 40 * time.Hour}[min(rng.IntN(40), 6)])
		}
		w.Flush()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("made %d.csv", i)), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readSeries reads the CSV files of a directory. Rows with the same timestamp get
// ascending sequences, so that none of them replaces another.
func readSeries(t *testing.T, dir string) map[string][]record {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CSV files in %s: %v", dir, err)
	}
	series := map[string][]record{}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(file).ReadAll()
		_ = file.Close()
		if err != nil || len(rows) < 2 {
			t.Fatalf("%s: %d rows, %v", path, len(rows), err)
		}
		seen := map[int64]uint64{}
		var list []record
		for _, row := range rows[1:] {
			at, err := time.Parse(time.DateTime, row[0])
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			ms := at.UnixMilli()
			list = append(list, record{ms, seen[ms], row[1]})
			seen[ms]++
		}
		series[filepath.Base(path)] = list
	}
	return series
}

func sortedNames(series map[string][]record) []string {
	var names []string
	for name := range series {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// load writes records in the order of the file, in pipelines of 500.
func load(t *testing.T, c *harness.Conn, key string, list []record) {
	t.Helper()
	for part := range slices.Chunk(list, 500) {
		for _, r := range part {
			c.Queue("PUT", key, r.id(), r.value)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, r := range part {
			reply, err := c.Read()
			if err != nil || string(reply.Text) != r.id() {
				t.Fatalf("PUT %s %s: %s %v", key, r.id(), reply.Text, err)
			}
		}
	}
}

func compareAll(t *testing.T, c *harness.Conn, series map[string][]record) {
	t.Helper()
	want(t, c, fmt.Sprint(len(series)), "DBSIZE")
	for name, list := range series {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b record) int {
			if a.time != b.time {
				return int(a.time - b.time)
			}
			return int(a.seq) - int(b.seq)
		})
		reply := c.Must(t, "SCAN", name, "-", "+")
		rows := reply.Elems[1].Elems
		if string(reply.Elems[0].Text) != "0" || len(rows) != len(list) {
			t.Fatalf("%s: %d rows, want %d", name, len(rows), len(list))
		}
		for i, r := range list {
			if id, value := string(rows[i].Elems[0].Text), string(rows[i].Elems[1].Text); id != r.id() || value != r.value {
				t.Fatalf("%s, row %d: %s %q, want %s %q", name, i, id, value, r.id(), r.value)
			}
		}
		last := list[len(list)-1]
		want(t, c, last.value, "GET", name)
	}
}
