package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tskv/engine"
	"tskv/kv"
)

// tskv runs the program with arguments.
func tskv(args ...string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	root := newRoot()
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(args)
	code = exitCode(root.Execute(), &stderr)
	return code, stdout.String(), stderr.String()
}

// makeStore makes a closed store of 1000 records of one key and one of another.
func makeStore(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	db, err := engine.Open(dir, engine.Options{MinFreeBytes: 1, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var b engine.Batch
	for i := range 1000 {
		b.Put([]byte("k\x01"), kv.ID{Time: uint64(i)}, []byte("12.5"))
	}
	b.Put([]byte("other"), kv.ID{Time: 1}, []byte("some text\n"))
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// damage flips a bit in a file of a store.
func damage(t *testing.T, file string, offset int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		b[offset] ^= 8
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dataTable is the table with the records: the largest.
func dataTable(t *testing.T, dir string) (file string) {
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

// TestCheckCommand walks through a store's troubles: sound, damaged, salvaged.
func TestCheckCommand(t *testing.T) {
	dir := makeStore(t)
	if code, out, errOut := tskv("check", dir); code != 0 || !strings.HasPrefix(out, "sound: 2 tables, 1003 rows") || errOut != "" {
		t.Errorf("sound: code %d\n%s%s", code, out, errOut)
	}
	damage(t, dataTable(t, dir), 100)
	code, out, _ := tskv("check", dir)
	if code != 1 || !strings.Contains(out, "error   sst/") || !strings.Contains(out, ` (key "k\x01")`) || !strings.Contains(out, "NOT SOUND") || !strings.Contains(out, "--salvage NEWDIR") {
		t.Errorf("damaged: code %d\n%s", code, out)
	}
	code, out, _ = tskv("check", dir, "--json")
	var report struct {
		Dir      string
		Sound    bool
		Findings []struct {
			Severity, File, What string
			Offset               int64
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || report.Sound || report.Dir != dir ||
		len(report.Findings) != 2 || report.Findings[0].Offset != 64 || report.Findings[0].Severity != "error" {
		t.Errorf("json: code %d, %v\n%s", code, err, out)
	}
	newDir := dir + "-new"
	code, out, errOut := tskv("check", dir, "--salvage", newDir)
	if code != 1 || !strings.Contains(out, "lost    sst/") || !strings.Contains(out, `1000 records of "k\x01" from 0-0 to 999-0`) || errOut != "" {
		t.Errorf("salvage: code %d\n%s%s", code, out, errOut)
	}
	if code, out, _ := tskv("check", newDir); code != 0 || !strings.Contains(out, "2 keys") {
		t.Errorf("salvaged: code %d\n%s", code, out)
	}
	if code, _, errOut := tskv("check", dir, "--salvage", newDir); code != 2 || !strings.Contains(errOut, "is there already") {
		t.Errorf("again: code %d\n%s", code, errOut)
	}
	if code, _, errOut := tskv("check", dir, "--salvage", filepath.Join(dir, "new")); code != 2 || !strings.Contains(errOut, "inside") {
		t.Errorf("inside: code %d\n%s", code, errOut)
	}
	code, out, _ = tskv("check", dir, "--salvage", newDir+"2", "--json")
	if code != 1 || !strings.Contains(out, `"complete":false`) || !strings.Contains(out, `"min_key":{"space":"data","key":"k\\x01"}`) {
		t.Errorf("salvage as json: code %d\n%s", code, out)
	}
	if left, err := filepath.Glob(filepath.Dir(dir) + "/*.tmp"); err != nil || len(left) > 0 {
		t.Error("left over:", left, err)
	}
}

// TestCheckRefusals: what cannot be checked gets exit code 2 and a reason.
func TestCheckRefusals(t *testing.T) {
	for what, dir := range map[string]string{"not there": filepath.Join(t.TempDir(), "none"), "no store": t.TempDir()} {
		if code, out, errOut := tskv("check", dir); code != 2 || out != "" || !strings.Contains(errOut, dir) {
			t.Errorf("%s: code %d\n%s%s", what, code, out, errOut)
		}
		if code, _, errOut := tskv("check", dir, "--salvage", dir+"-new"); code != 2 || !strings.Contains(errOut, dir) {
			t.Errorf("salvage, %s: code %d\n%s", what, code, errOut)
		}
		if left, err := filepath.Glob(filepath.Dir(dir) + "/*new*"); err != nil || len(left) > 0 {
			t.Error("left over:", left, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "open")
	db, err := engine.Open(dir, engine.Options{MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", dir}, {"check", dir, "--salvage", dir + "-new"}} {
		if code, _, errOut := tskv(args...); code != 2 || !strings.Contains(errOut, "stop the server first") {
			t.Errorf("%v on an open store: code %d\n%s", args, code, errOut)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCheckReadOnly checks a store whose directory cannot be written, and has no
// lock file.
func TestCheckReadOnly(t *testing.T) {
	dir := makeStore(t)
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o500, 0o700} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		code, out, _ := tskv("check", dir)
		if code != 0 || !strings.Contains(out, "note    LOCK - there is no lock file") {
			t.Errorf("mode %v: code %d\n%s", mode, code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); !os.IsNotExist(err) {
		t.Error("the check made a lock file")
	}
}

// TestDumpCommands shows each kind of file, for people and as JSON, sound and
// damaged.
func TestDumpCommands(t *testing.T) {
	dir := makeStore(t)
	table := dataTable(t, dir)
	segments, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	for _, c := range []struct {
		args string
		want string
	}{
		{"manifest " + dir, `class 11 window 0`},
		{"manifest " + filepath.Join(dir, "MANIFEST.prev"), "manifest generation"},
		{"wal " + dir, "closed in order"},
		{"wal " + segments[0] + " --ops", "seal"},
		{"sst " + table, `CONST`},
		{"sst " + table + " --rows", `"other" 1-0 "some text\n"`},
	} {
		args := append([]string{"dump"}, strings.Fields(c.args)...)
		code, out, errOut := tskv(args...)
		if code != 0 || !strings.Contains(out, c.want) || errOut != "" {
			t.Errorf("%s: code %d\n%s%s", c.args, code, out, errOut)
		}
		if strings.ContainsAny(out, "\x00\x01") {
			t.Errorf("%s: bytes that are not quoted", c.args)
		}
		code, out, _ = tskv(append(args, "--json")...)
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			var v struct{ Type string }
			if err := json.Unmarshal([]byte(line), &v); err != nil || v.Type == "" || code != 0 {
				t.Errorf("%s: code %d, %v: %s", c.args, code, err, line)
			}
		}
	}
	damage(t, table, 100)
	damage(t, segments[0], 10)
	damage(t, filepath.Join(dir, "MANIFEST"), 40)
	for args, want := range map[string]string{
		"sst " + table:             `DAMAGE sst/`,
		"sst " + table + " --rows": `"other" 1-0`,
		"manifest " + dir:          "corrupt file=MANIFEST",
		"wal " + segments[0]:       "no segment header",
		"sst " + dir:               "is a directory",
		"wal " + dir + "/none":     "no such file",
	} {
		code, out, errOut := tskv(append([]string{"dump"}, strings.Fields(args)...)...)
		if code == 0 || !strings.Contains(out+errOut, want) {
			t.Errorf("%s: code %d\n%s%s", args, code, out, errOut)
		}
	}
	damage(t, table, len(readFile(t, table))-20)
	if code, out, _ := tskv("dump", "sst", table, "--rows"); code != 1 || !strings.Contains(out, `"other" 1-0`) {
		t.Errorf("without a footer: code %d\n%s", code, out)
	}
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestServeNamesTheWay: a damaged store is refused with the commands that help.
func TestServeNamesTheWay(t *testing.T) {
	dir := makeStore(t)
	damage(t, filepath.Join(dir, "MANIFEST"), 40)
	code, _, errOut := tskv("serve", "--dir", dir, "--addr", "127.0.0.1:0", "--http", "")
	if code == 0 || !strings.Contains(errOut, "corrupt file=MANIFEST") || !strings.Contains(errOut, "tskv check "+dir+" --salvage NEWDIR") {
		t.Errorf("code %d\n%s", code, errOut)
	}
}
