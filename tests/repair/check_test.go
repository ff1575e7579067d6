package repair

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/inspect"
)

func check(t *testing.T, d disk.FS) *inspect.Report {
	t.Helper()
	r, err := inspect.Check(d, inspect.CheckOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCheckSound: stores that were closed, killed or never flushed are sound, and
// the check neither changes anything nor leaves anything open.
func TestCheckSound(t *testing.T) {
	for seed := range uint64(3) {
		s := small(t, seed)
		s.kill()
		before := dump(t, s.disk)
		r := check(t, s.disk)
		if !r.Sound || r.Warnings != 0 || r.Records == 0 || r.Tables == 0 || r.Sealed {
			t.Errorf("killed: %+v", r)
		}
		if after := dump(t, s.disk); after != before {
			t.Error("the check has changed something")
		}
		compare(t, "killed", read(t, s.disk), s.want)
		r = check(t, s.disk) // closed by read
		if !r.Sound || r.Warnings != 0 || r.Ops != 0 || r.Keys != uint64(len(s.want)) || !r.Sealed {
			t.Errorf("closed: %+v, want %d keys", r, len(s.want))
		}
		if n := s.disk.Handles(); n != 0 {
			t.Errorf("%d handles are open", n)
		}
	}
	s := newStore(t, 1)
	if _, err := inspect.Check(s.disk, inspect.CheckOptions{}); !errors.Is(err, inspect.ErrInUse) {
		t.Errorf("open store: %v", err)
	}
	s.close()
	if r := check(t, s.disk); !r.Sound || r.Keys != 0 {
		t.Errorf("empty store: %+v", r)
	}
	if _, err := inspect.Check(disktest.New(), inspect.CheckOptions{}); !errors.Is(err, inspect.ErrNoStore) {
		t.Errorf("no store: %v", err)
	}
}

// dump is all files and their bytes.
func dump(t *testing.T, d *disktest.Disk) string {
	t.Helper()
	var b strings.Builder
	for _, name := range d.Files() {
		data, err := d.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name != disk.LockName {
			b.WriteString(name + "\n" + string(data) + "\n")
		}
	}
	return b.String()
}

// TestCheckFindsEveryFlip flips one bit of each byte of a small store. The check
// says so, or the byte was a zero that belongs to nothing and the store reads as
// before. The one exception is the header of the last record in a recycled file
// of the log: damaged, it looks like what the file held before.
func TestCheckFindsEveryFlip(t *testing.T) {
	s := small(t, 5)
	s.kill()
	silent := map[string]int{}
	lastFile, lastRecord, end := lastOfLog(t, s.disk)
	for _, name := range s.disk.Files() {
		kind, _, _ := disk.ParseName(name)
		if kind == disk.KindLock || kind == disk.KindTemp || kind == disk.KindReserve {
			continue
		}
		data, err := s.disk.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		used := len(data)
		if name == lastFile {
			used = int(end) // what lies behind is of an earlier life of the file
		}
		step := 1
		if testing.Short() {
			step = 7
		}
		for i := 0; i < used; i += step {
			bit := byte(1) << (i % 8)
			s.disk.Corrupt(name, func(b []byte) []byte { b[i] ^= bit; return b })
			r, err := inspect.Check(s.disk, inspect.CheckOptions{Threads: 1})
			inLast := name == lastFile && int64(i) >= lastRecord && int64(i) < lastRecord+32
			if err == nil && r.Errors+r.Warnings == 0 && !inLast {
				silent[name]++
				if data[i] != 0 {
					t.Errorf("%s: bit %#x of byte %d of %d can change silently", name, bit, i, len(data))
				}
				if silent[name]%8 == 1 {
					compare(t, name, read(t, s.disk.Clone()), s.want)
				}
			}
			if err != nil && !errors.Is(err, inspect.ErrVersion) {
				t.Fatalf("%s, byte %d: %v", name, i, err)
			}
			s.disk.Corrupt(name, func(b []byte) []byte { b[i] ^= bit; return b })
		}
		if silent[name] > len(data)/4 && kind == disk.KindTable {
			t.Errorf("%s: %d of %d bytes belong to nothing", name, silent[name], len(data))
		}
	}
	if n := s.disk.Handles(); n != 0 {
		t.Errorf("%d handles are open", n)
	}
}

// lastOfLog returns the place of the last record.
func lastOfLog(t *testing.T, d disk.FS) (file string, offset, end int64) {
	t.Helper()
	_, err := inspect.Log(d, inspect.LogOptions{}, func(s *inspect.Segment) error {
		file = s.File
		return nil
	}, func(r *inspect.LogRecord) error {
		offset, end = r.Offset, r.Offset+32+int64(r.Stored)
		return nil
	})
	if err != nil || offset == 0 {
		t.Fatal(offset, err)
	}
	return file, offset, end
}

// TestCheckNames: what is missing is an error that names it, what is too much a
// note.
func TestCheckNames(t *testing.T) {
	base := small(t, 9)
	base.kill()
	var table, segment string
	for _, name := range base.disk.Files() {
		switch kind, _, _ := disk.ParseName(name); kind {
		case disk.KindTable:
			table = name
		case disk.KindSegment:
			segment = name
		}
	}
	remove := func(name string) func(*disktest.Disk) error {
		return func(d *disktest.Disk) error { return d.Remove(name) }
	}
	write := func(name string) func(*disktest.Disk) error {
		return func(d *disktest.Disk) error { d.WriteFile(name, []byte("x")); return nil }
	}
	cut := func(name string) func(*disktest.Disk) error {
		return func(d *disktest.Disk) error {
			d.Corrupt(name, func(b []byte) []byte { return b[:len(b)/2] })
			return nil
		}
	}
	for _, c := range []struct {
		what     string
		change   func(*disktest.Disk) error
		severity inspect.Severity
		file     string
	}{
		{"missing table", remove(table), inspect.SeverityError, table},
		{"cut table", cut(table), inspect.SeverityError, table},
		{"missing manifest", remove(disk.ManifestName), inspect.SeverityError, disk.ManifestName},
		{"cut manifest", cut(disk.ManifestName), inspect.SeverityError, disk.ManifestName},
		{"missing log", remove(segment), inspect.SeverityWarning, disk.SegmentDir},
		{"stray table", write(disk.TableName(999)), inspect.SeverityNote, disk.TableName(999)},
		{"old segment", write(disk.SegmentName(0)), inspect.SeverityNote, disk.SegmentName(0)},
		{"temporary file", write("sst/x" + disk.TempSuffix), inspect.SeverityNote, "sst/x" + disk.TempSuffix},
		{"foreign file", write("notes.txt"), inspect.SeverityNote, "notes.txt"},
	} {
		d := base.disk.Clone()
		if err := c.change(d); err != nil {
			t.Fatal(c.what, err)
		}
		r := check(t, d)
		found := false
		for _, f := range r.Findings {
			found = found || f.Severity == c.severity && f.File == c.file && f.What != ""
		}
		if !found || r.Sound != (c.severity != inspect.SeverityError) {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
}

// TestCheckNewerVersions: a file of a newer format is refused as such, not called
// damaged.
func TestCheckNewerVersions(t *testing.T) {
	base := small(t, 11)
	base.kill()
	for _, name := range base.disk.Files() {
		d := base.disk.Clone()
		switch kind, _, _ := disk.ParseName(name); kind {
		case disk.KindManifest:
			d.Corrupt(name, newerManifest)
		case disk.KindSegment:
			d.Corrupt(name, newerSegment)
		case disk.KindTable:
			d.Corrupt(name, newerTable)
		default:
			continue
		}
		r, err := inspect.Check(d, inspect.CheckOptions{})
		if !errors.Is(err, inspect.ErrVersion) || r == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func newerManifest(b []byte) []byte {
	b[8]++
	binary.LittleEndian.PutUint32(b[12:], disk.CRC(0, b[:12]))
	return b
}

func newerSegment(b []byte) []byte {
	b[7]++
	binary.LittleEndian.PutUint32(b[60:], disk.CRC(0, b[:60]))
	return b
}

func newerTable(b []byte) []byte {
	f := b[len(b)-128:]
	id := binary.LittleEndian.Uint64(f[8:])
	f[4]++
	binary.LittleEndian.PutUint32(f, disk.CRC(uint32(id)^uint32(id>>32), f[4:]))
	return b
}
