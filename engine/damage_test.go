package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"tskv/compaction"
	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
)

// twoFiles returns a closed store whose keys "a" and "b" lie in files of their
// own, and the names of these data files.
func twoFiles(t *testing.T) (*disktest.Disk, [2]string) {
	t.Helper()
	d := disktest.New()
	db := open(t, testOptions(d))
	var names [2]string
	for i, key := range []string{"a", "b"} {
		for n := range 100 {
			// Two windows, so that no compaction puts them together.
			mustPut(t, db, key, uint64(i)*1e12+uint64(n), fmt.Sprint("value ", n))
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range db.state.Load().Files {
		if f.Class == compaction.ClassData {
			names[f.MinKey[1]-'a'] = disk.TableName(f.ID)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return d, names
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[(at+len(b))%len(b)] ^= 0x40
		return b
	}
}

// TestDamagedBlock: a damaged block is an error that names its file, never a
// wrong value; other keys go on, for readers and for writers.
func TestDamagedBlock(t *testing.T) {
	for _, noMmap := range []bool{false, true} {
		d, names := twoFiles(t)
		d.Corrupt(names[0], flip(120)) // inside the first block
		opt := testOptions(d)
		opt.NoMmap = noMmap
		db := open(t, opt)
		for range 2 {
			_, _, err := db.Get([]byte("a"), kv.ID{Time: 50}, nil)
			if !errors.Is(err, disk.ErrCorrupt) || !strings.Contains(err.Error(), names[0]) {
				t.Fatalf("get: %v", err)
			}
		}
		rec, ok, err := db.Get([]byte("b"), kv.MaxID, nil)
		if err != nil || !ok || string(rec.Value) != "value 99" {
			t.Fatal(string(rec.Value), ok, err)
		}
		mustPut(t, db, "b", 2e12, "new")
		mustPut(t, db, "a", 3, "new")
		wantNewest(t, db, "b", 2e12, "new")
		rec, ok, err = db.Get([]byte("a"), kv.ID{Time: 3}, nil)
		if err == nil && (!ok || string(rec.Value) != "new") {
			t.Fatal("a wrong value beside damage", string(rec.Value), ok)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDamageAtOpen: what is damaged or missing is named, and nothing is touched.
func TestDamageAtOpen(t *testing.T) {
	for _, c := range []struct {
		what   string
		damage func(t *testing.T, d *disktest.Disk, names [2]string) (file string)
		want   error
	}{
		{"footer", func(_ *testing.T, d *disktest.Disk, n [2]string) string { d.Corrupt(n[0], flip(-20)); return n[0] }, disk.ErrCorrupt},
		{"cut", func(_ *testing.T, d *disktest.Disk, n [2]string) string {
			d.Corrupt(n[1], func(b []byte) []byte { return b[:len(b)/2] })
			return n[1]
		}, disk.ErrCorrupt},
		{"empty", func(_ *testing.T, d *disktest.Disk, n [2]string) string {
			d.Corrupt(n[1], func([]byte) []byte { return nil })
			return n[1]
		}, disk.ErrCorrupt},
		{"swapped", func(t *testing.T, d *disktest.Disk, n [2]string) string {
			a, err := d.ReadFile(n[0])
			if err != nil {
				t.Fatal(err)
			}
			d.WriteFile(n[1], a)
			return n[1]
		}, disk.ErrCorrupt},
		{"missing table", func(t *testing.T, d *disktest.Disk, n [2]string) string { return remove(t, d, n[0]) }, fs.ErrNotExist},
		{"manifest", func(_ *testing.T, d *disktest.Disk, _ [2]string) string {
			d.Corrupt(disk.ManifestName, flip(40))
			return disk.ManifestName
		}, disk.ErrCorrupt},
		{"missing manifest", func(t *testing.T, d *disktest.Disk, _ [2]string) string {
			return remove(t, d, disk.ManifestName)
		}, disk.ErrCorrupt},
		{"no manifest at all", func(t *testing.T, d *disktest.Disk, _ [2]string) string {
			remove(t, d, disk.PrevManifestName)
			return remove(t, d, disk.ManifestName)
		}, disk.ErrCorrupt},
	} {
		d, names := twoFiles(t)
		file := c.damage(t, d, names)
		before := strings.Join(d.Files(), " ")
		_, err := Open("test", testOptions(d))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %v naming %s", c.what, err, c.want, file)
		}
		if after := strings.Join(d.Files(), " "); strings.Count(after, "sst/") != strings.Count(before, "sst/") {
			t.Errorf("%s: files %s became %s", c.what, before, after)
		}
		if n := d.Handles(); n != 0 {
			t.Errorf("%s: %d handles left", c.what, n)
		}
	}
}

func remove(t *testing.T, d *disktest.Disk, name string) string {
	t.Helper()
	if err := d.Remove(name); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestNewerManifest: a directory of a newer version is refused as such.
func TestNewerManifest(t *testing.T) {
	d, _ := twoFiles(t)
	d.Corrupt(disk.ManifestName, func(b []byte) []byte {
		b[8]++ // magic 8 B, version, checksum of both: every version keeps them
		binary.LittleEndian.PutUint32(b[12:], disk.CRC(0, b[:12]))
		return b
	})
	if _, err := Open("test", testOptions(d)); !errors.Is(err, manifest.ErrVersion) || errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
}

// TestStrayFiles: tables that the manifest does not name and temporary files go;
// files that are not tskv's stay.
func TestStrayFiles(t *testing.T) {
	d, names := twoFiles(t)
	strays := []string{disk.TableName(9999), disk.ManifestName + disk.TempSuffix, "wal/spare-77.tmp"}
	foreign := []string{"README", "sst/notes.txt"}
	for _, name := range append(strays, foreign...) {
		d.WriteFile(name, []byte("x"))
	}
	db := open(t, testOptions(d))
	files := " " + strings.Join(d.Files(), " ") + " "
	for _, name := range strays {
		if data, err := d.ReadFile(name); err == nil && string(data) == "x" {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range append(foreign, names[:]...) {
		if !strings.Contains(files, " "+name+" ") {
			t.Errorf("%s is gone", name)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestSecondOpen: a directory belongs to one store at a time.
func TestSecondOpen(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	mustPut(t, db, "k", 1, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if err := put(db, "k", 2, "b"); !errors.Is(err, ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if db, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	wantNewest(t, db, "k", 1, "a")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
