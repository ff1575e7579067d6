package sstable

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestFailingDisk fails each call of a build once and for good: an error, and
// no file is left where it could be removed.
func TestFailingDisk(t *testing.T) {
	model := smallModel()
	rng := seeded(t)
	model = append(model, series{key: []byte("z"), rows: (&shape{id: regular, row: anyRow}).rows(rng, 5000)})
	for _, op := range []disktest.Op{disktest.OpCreate, disktest.OpWrite, disktest.OpSync, disktest.OpClose} {
		for _, sticky := range []bool{false, true} {
			for nth := 1; ; nth++ {
				d := newDisk()
				if err := d.MkdirAll(disk.TableDir); err != nil {
					t.Fatal(err)
				}
				d.Fail(disktest.FailRule{Op: op, Nth: nth, Sticky: sticky, Err: syscall.ENOSPC, Short: 1000})
				_, err := tryBuild(d, WriterOptions{FileID: 2}, model, 300)
				if d.Failed() == 0 {
					break
				}
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("%v %d: %v", op, nth, err)
				}
				for _, name := range d.Files() {
					if strings.HasPrefix(name, disk.TableDir+"/") {
						t.Fatalf("%v %d: %s is left", op, nth, name)
					}
				}
				if d.Handles() != 0 {
					t.Fatalf("%v %d: a file is open", op, nth)
				}
			}
		}
	}
}

// TestFailingReads: an error of the disk is no corruption, and passes.
func TestFailingReads(t *testing.T) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 2}, model, 300)
	r := openTable(t, d, p, ReaderOptions{NoMmap: true})
	for nth := 1; nth < 3; nth++ {
		d.Fail(disktest.FailRule{Op: disktest.OpRead, Nth: nth})
		if _, err := collect(r.Source(model[0].key, kv.Everything)); !errors.Is(err, syscall.EIO) || errors.Is(err, disk.ErrCorrupt) {
			t.Fatalf("read %d: %v", nth, err)
		}
		d.Heal()
	}
	answers(t, r, model, "healed")
	for nth := 1; ; nth++ {
		d.Fail(disktest.FailRule{Op: disktest.OpRead, Nth: nth})
		failed := d.Failed()
		opened, err := Open(d, p.Expect(), ReaderOptions{})
		d.Heal()
		if err == nil {
			answers(t, opened, model, "filter unread")
			if err := opened.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if d.Failed() == failed {
			break
		}
	}
	if d.Handles() != 1 {
		t.Fatalf("%d files are open", d.Handles())
	}
}

// TestFaultingMap: every read through the map faults.
func TestFaultingMap(t *testing.T) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 2}, model, 300)
	d.FaultMaps("sst/*")
	r, err := Open(d, p.Expect(), ReaderOptions{})
	if err != nil {
		if !errors.Is(err, disk.ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	defer func() { _ = r.Close() }()
	answers(t, r, model, "cold")
	answers(t, r, model, "hot")
}

func TestWriterRefuses(t *testing.T) {
	row := func(ms uint64) *kv.Rows {
		var rows kv.Rows
		rows.Append(kv.Row{ID: kv.ID{Time: ms}})
		return &rows
	}
	badForm := row(9)
	badForm.Form[0] = 99
	wide := row(9)
	wide.Num[0] = maxMantissa
	tagged := row(9)
	tagged.Tags = []kv.TagSet{{5}}
	for _, c := range []struct {
		name string
		key  string
		rows *kv.Rows
		want error
	}{
		{"same row", "b", row(5), ErrOrder},
		{"earlier row", "b", row(4), ErrOrder},
		{"earlier key", "a", row(9), ErrOrder},
		{"empty key", "", row(9), ErrOrder},
		{"long key", strings.Repeat("x", kv.MaxKey+1), row(9), ErrLimit},
		{"form", "c", badForm, ErrLimit},
		{"mantissa", "c", wide, ErrLimit},
		{"tags", "c", tagged, ErrLimit},
	} {
		d := newDisk()
		if err := d.MkdirAll(disk.TableDir); err != nil {
			t.Fatal(err)
		}
		w, err := NewWriter(d, WriterOptions{FileID: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add([]byte("b"), row(5)); err != nil {
			t.Fatal(err)
		}
		if err := w.Add([]byte(c.key), c.rows); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if _, err := w.Finish(); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish: %v, want %v", c.name, err, c.want)
		}
		w.Abort()
		if d.Handles() != 0 {
			t.Errorf("%s: the file is open", c.name)
		}
	}
}

func TestAbort(t *testing.T) {
	d := newDisk()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(d, WriterOptions{FileID: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	if _, err := w.Finish(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := d.Stat(disk.TableName(1)); err == nil {
		t.Fatal("the file is left")
	}
}

// goldenModel is small, fixed and reaches every kind of block.
func goldenModel() []series {
	tags, err := kv.MakeTagSet([][]byte{[]byte("error"), []byte("host=1")})
	if err != nil {
		panic(err)
	}
	long := series{key: []byte("room:temp")}
	for i := range 300 {
		row := kv.Row{ID: kv.ID{Time: 1_700_000_000_000 + uint64(i)*10_000 + uint64(i%7)}, Form: 2, Num: 2150 + int64(i*i%41)}
		switch i {
		case 100:
			row.Form, row.Num = kv.FormDelete, 0
		case 200:
			row.Form, row.Num, row.Raw = kv.FormRaw, 0, []byte("NaN")
		}
		long.rows = append(long.rows, row)
	}
	events := series{key: []byte("events")}
	for i := range 260 {
		row := kv.Row{ID: kv.ID{Time: 1_700_000_000_000, Seq: uint64(i)}, Form: kv.FormRaw, Raw: fmt.Appendf(nil, `{"n":%d}`, i)}
		if i%9 == 0 {
			row.Tags = tags
		}
		events.rows = append(events.rows, row)
	}
	slow := series{key: []byte("room:slow")} // its columns are under zstd
	for i := range 600 {
		slow.rows = append(slow.rows, kv.Row{ID: kv.ID{Time: 1_700_000_000_000 + uint64(i/7)*10_000, Seq: uint64(i)}, Form: 1, Num: 215 + int64(i%50/49)})
	}
	model := []series{long, events, slow}
	for i := range 3 { // entries that lean on the one before
		rows := []kv.Row{{ID: kv.ID{Time: uint64(50 - i)}, Num: int64(i)}, {ID: kv.ID{Time: 90}, Num: 7}}
		model = append(model, series{key: fmt.Appendf(nil, "b%d", i), rows: rows[:2-i/2]})
	}
	return sortModel(append(model, []series{
		{key: []byte("a"), rows: []kv.Row{{ID: kv.MinID, Num: 1}, {ID: kv.MaxID, Form: 1, Num: -25}}},
		{key: []byte("ab"), rows: []kv.Row{{ID: kv.ID{Time: 5, Seq: 1}, Form: kv.FormRaw, Raw: []byte("hello"), Tags: tags}}},
		{key: []byte("abc"), rows: []kv.Row{{ID: kv.ID{Time: 6}, Form: kv.FormDelete}, {ID: kv.ID{Time: 7}, Form: kv.FormRaw}}},
	}...))
}

// TestGolden pins the format: what is written today is what was written then,
// and the bytes of every older version are read.
func TestGolden(t *testing.T) {
	const golden = "testdata/table-v2.hex"
	model := goldenModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 0x1234, MinSeq: 5, MaxSeq: 900, Class: 11, Window: 1_699_999_200_000, Codec: CodecZstd}, model, 1000)
	b, err := d.ReadFile(disk.TableName(0x1234))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(dump(b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || dump(b) != string(want) {
		t.Errorf("the format has changed: %d bytes against %s, %v", len(b), golden, err)
	}
	for version, name := range map[int]string{1: "testdata/table-v1.hex", 2: golden} {
		checkGolden(t, version, name, p)
	}
}

// checkGolden reads an old file. Version 1 held fewer kinds of series.
func checkGolden(t *testing.T, version int, name string, p Properties) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	old, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenUnlisted(diskWith(t, 0x1234, old), disk.TableName(0x1234), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if r.FormatVersion() != version {
		t.Errorf("%s: version %d", name, r.FormatVersion())
	}
	model := goldenModel()
	if version == 1 {
		model = slices.DeleteFunc(model, func(s series) bool { return s.key[0] == 'b' || string(s.key) == "room:slow" })
	}
	answers(t, r, model, name)
	if text := describeColumns(t, r); strings.Contains(text, "DELTA_FOR+ZSTD") != (version > 1) {
		t.Errorf("%s: columns %s", name, text)
	}
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
	got := *r.Properties()
	if version == 1 {
		p.Rows, p.Series, p.Blocks, p.Size = 565, 5, got.Blocks, got.Size
	}
	if got.Rows != p.Rows || got.Deletes != 2 || got.Series != p.Series || got.Class != 11 || got.Window != 1_699_999_200_000 ||
		got.MinSeq != 5 || got.MaxSeq != 900 || !bytes.Equal(got.MinKey, []byte("a")) || !bytes.Equal(got.MaxKey, p.MaxKey) ||
		got.MinTime != 0 || got.MaxTime != kv.MaxID.Time || got.Size != p.Size || got.Blocks != p.Blocks {
		t.Errorf("%s: properties %+v, want %+v", name, got, p)
	}
}

// dump writes bytes as lines of 32.
func dump(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}
