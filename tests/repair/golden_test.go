package repair

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/inspect"
	"tskv/kv"
)

// updateVariable names a new golden store to write: the format of today.
const updateVariable = "TSKV_GOLDEN_STORE"

// TestGoldenStores opens, checks, dumps and salvages the stores in testdata, one
// for each combination of formats that was ever written. With the variable set to
// a name it first writes one more.
func TestGoldenStores(t *testing.T) {
	if name := os.Getenv(updateVariable); name != "" {
		writeGolden(t, filepath.Join("testdata", name))
	}
	dirs, err := filepath.Glob("testdata/*/want.json")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no golden stores", err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			d, want := loadGolden(t, dir)
			if r := check(t, d); !r.Sound || r.Warnings+r.Notes > 1 { // the lock file is not kept
				t.Errorf("%+v", r)
			}
			dumpAll(t, d)
			to, r := salvage(t, dir, d, false)
			if !r.Complete {
				t.Errorf("%+v", r)
			}
			compare(t, "salvaged", read(t, to), want)
			compare(t, "opened", read(t, d), want)
			compare(t, "opened again", read(t, d), want)
			if r := check(t, d); !r.Sound {
				t.Errorf("after it was opened: %+v", r)
			}
		})
	}
}

// dumpAll dumps all files, a line for each thing in them; none may be damaged.
func dumpAll(t *testing.T, d *disktest.Disk) string {
	t.Helper()
	var text strings.Builder
	lines := 0
	emit := func(v fmt.Stringer) error {
		lines++
		if _, err := json.Marshal(v); err != nil || v.String() == "" {
			t.Errorf("%T: %v", v, err)
		}
		fmt.Fprintln(&text, v)
		return nil
	}
	damaged, err := inspect.DumpLog(d, inspect.DumpLogOptions{Ops: true}, emit)
	if err != nil || damaged {
		t.Error(damaged, err)
	}
	for _, name := range d.Files() {
		switch kind, _, _ := disk.ParseName(name); kind {
		case disk.KindTable:
			if damaged, err := inspect.DumpTable(d, name, true, emit); err != nil || damaged {
				t.Error(name, damaged, err)
			}
		case disk.KindManifest, disk.KindPrevManifest:
			if err := inspect.DumpManifest(d, name, emit); err != nil {
				t.Error(name, err)
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d things were shown", lines)
	}
	return text.String()
}

// goldenRow is a record in want.json.
type goldenRow struct {
	Key   string `json:"key"`
	ID    string `json:"id"`
	Value string `json:"value"`
}

func loadGolden(t *testing.T, dir string) (*disktest.Disk, contents) {
	t.Helper()
	d, want := disktest.New(), contents{}
	err := filepath.WalkDir(dir, func(file string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if rel != "want.json" {
			d.WriteFile(filepath.ToSlash(rel), b)
			return nil
		}
		var rows []goldenRow
		if err := json.Unmarshal(b, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			id, err := kv.ParseID([]byte(r.ID), 0)
			if err != nil {
				return err
			}
			want.put(r.Key, id, r.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, want
}

// writeGolden writes a store with a bit of everything: tables of several classes and
// windows, range deletes, expiries, retention rules, and a log that was not closed.
func writeGolden(t *testing.T, dir string) {
	t.Helper()
	s := retained(t, 1)
	s.kill()
	_, _, end := lastOfLog(t, s.disk)
	for _, name := range s.disk.Files() {
		kind, _, _ := disk.ParseName(name)
		if kind == disk.KindLock || kind == disk.KindTemp || kind == disk.KindReserve {
			continue
		}
		b, err := s.disk.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if kind == disk.KindSegment {
			b = b[:(end+7)&^7]
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(path.Dir(file), 0o750), os.WriteFile(file, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	rows := []goldenRow{}
	for key, list := range s.want {
		for id, value := range list {
			rows = append(rows, goldenRow{key, id.String(), value})
		}
	}
	sortRows(rows)
	b, err := json.Marshal(rows)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "want.json"), append(b, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNewerIsRefused: each tool says that a file is of a newer version, and
// nobody takes it for damage.
func TestNewerIsRefused(t *testing.T) {
	s := small(t, 4)
	s.kill()
	for _, name := range s.disk.Files() {
		kind, _, _ := disk.ParseName(name)
		d := s.disk.Clone()
		var err error
		none := func(fmt.Stringer) error { return nil }
		switch kind {
		case disk.KindManifest, disk.KindPrevManifest:
			d.Corrupt(name, newerManifest)
			err = inspect.DumpManifest(d, name, none)
		case disk.KindSegment:
			d.Corrupt(name, newerSegment)
			_, err = inspect.DumpLog(d, inspect.DumpLogOptions{}, none)
		case disk.KindTable:
			d.Corrupt(name, newerTable)
			_, err = inspect.DumpTable(d, name, true, none)
		default:
			continue
		}
		if !errors.Is(err, inspect.ErrVersion) {
			t.Errorf("dump %s: %v", name, err)
		}
		if kind == disk.KindPrevManifest {
			continue // nobody reads it where there is a later one
		}
		if _, err := inspect.Salvage(d, disktest.New(), inspect.SalvageOptions{Replay: replay}); !errors.Is(err, inspect.ErrVersion) {
			t.Errorf("salvage of %s: %v", name, err)
		}
		_, err = engine.Open("test", options(d, nil))
		if err == nil || errors.Is(err, disk.ErrCorrupt) || !strings.Contains(err.Error(), "newer") {
			t.Errorf("open %s: %v", name, err)
		}
	}
}

func sortRows(rows []goldenRow) {
	slices.SortFunc(rows, func(a, b goldenRow) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID)) })
}
