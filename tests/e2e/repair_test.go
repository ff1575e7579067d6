package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tskv/tests/harness"
)

// TestTableCutShort is the second half of goal G6: a table is cut short under a
// running server that reads it through a map. Reads of what is gone say so, the
// process lives, all else goes on. Then the offline tools find the damage, and
// save the rest.
func TestTableCutShort(t *testing.T) {
	dir := t.TempDir()
	s, c := startOn(t, dir)
	fill(t, c, "cut", 100_000, 0)
	want(t, c, "OK", "SAVE")
	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s, c = startOn(t, dir)
	fill(t, c, "other", 1000, 0)
	want(t, c, "100000", "COUNT", "cut")
	for range 2 { // now its pages are in memory and are read through the map
		want(t, c, "0", "COUNT", "cut", "TAG", "none")
		c.Must(t, "GET", "cut")
	}
	if err := os.Truncate(largest(t, dir), 512); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"GET", "cut"}, {"COUNT", "cut", "TAG", "none"}, {"GET", "cut"}} {
		reply, err := c.Do(command...)
		if err != nil || !strings.HasPrefix(string(reply.Text), "CORRUPT file=sst/") {
			t.Errorf("%v: %s %v\n%s", command, harness.Text(reply), err, s.Log())
		}
	}
	want(t, c, "PONG", "PING")
	want(t, c, "1000", "COUNT", "other")
	c.Must(t, "PUT", "other", "9999999", "1")
	s.Kill()
	newDir := dir + "-new"
	bin := harness.Binary(t)
	if out, errOut, code := run(t, "", nil, bin, "check", dir); code != 1 || !strings.Contains(out, "error   sst/") {
		t.Errorf("check: code %d\n%s%s", code, out, errOut)
	}
	if out, errOut, code := run(t, "", nil, bin, "check", dir, "--salvage", newDir); code != 1 || !strings.Contains(out, "SOMETHING IS LOST") {
		t.Errorf("salvage: code %d\n%s%s", code, out, errOut)
	}
	_, c = startOn(t, newDir)
	want(t, c, "1001", "COUNT", "other")
}

// largest returns the largest table of a store.
func largest(t *testing.T, dir string) (file string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "sst", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	best := int64(0)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Size() > best {
			file, best = f, info.Size()
		}
	}
	return file
}
