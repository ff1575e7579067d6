package sstable

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// smallModel reaches every kind of block, list and entry in few bytes.
func smallModel() []series {
	rng := rand.New(rand.NewPCG(3, 4))
	var model []series
	for _, s := range shapes() {
		n := 20
		switch s.name {
		case "gauge", "json", "trimmed", "exceptions":
			n = 257
		case "slow", "levels": // columns under zstd, in the right codec
			n = 500
		}
		model = append(model, series{key: []byte(s.name + ":a"), rows: s.rows(rng, 3)}, series{key: []byte(s.name + ":b"), rows: s.rows(rng, n)})
	}
	return sortModel(model)
}

// answers compares every read with the model; each is right or ErrCorrupt.
func answers(t *testing.T, r *Reader, model []series, what string) {
	t.Helper()
	right := func(err error, same bool) {
		t.Helper()
		if err != nil && !errors.Is(err, disk.ErrCorrupt) || err == nil && !same {
			t.Fatalf("%s: wrong answer, error %v", what, err)
		}
	}
	for i := range model {
		s := &model[i]
		hash := KeyHash(s.key)
		if !r.MayContain(&hash) {
			t.Fatalf("%s: the filter denies a key", what)
		}
		got, err := collect(r.Source(s.key, kv.Everything))
		right(err, err != nil || diffRows(got, s.rows) == nil)
		at := s.rows[len(s.rows)/2]
		var row kv.Row
		found, _, err := r.Newest(s.key, at.ID, &row, nil)
		right(err, found && sameRow(&row, &at))
		n, _, err := r.Count(s.key, s.rows[len(s.rows)/2].ID, kv.MaxID)
		right(err, n == uint64(len(s.rows)-len(s.rows)/2))
		stats, found, err := r.SeriesStats(s.key)
		right(err, found && stats.Rows == uint64(len(s.rows)))
	}
	it := r.StreamIterator()
	defer it.Close()
	for i := range model {
		key, err := it.Next()
		right(err, err != nil || string(key) == string(model[i].key))
		if err != nil {
			return
		}
		got, err := collect(it.Rows(kv.Everything))
		right(err, err != nil || diffRows(got, model[i].rows) == nil)
	}
}

// TestEveryByte is goal G6: one bit of every byte flipped, and every cut.
func TestEveryByte(t *testing.T) {
	for _, codec := range []Codec{CodecS2, CodecZstd} {
		t.Run(fmt.Sprint("codec=", codec), func(t *testing.T) { everyByte(t, codec) })
	}
}

func everyByte(t *testing.T, codec Codec) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 5, Window: math.MinInt64, Codec: codec}, model, 100)
	if text := describeColumns(t, openTable(t, d, p, ReaderOptions{})); (codec == CodecZstd) != strings.Contains(text, " num:FOR+ZSTD") ||
		(codec == CodecZstd) != strings.Contains(text, " time:DELTA_FOR+ZSTD") {
		t.Fatalf("columns %s", text)
	}
	name := disk.TableName(5)
	whole, err := d.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(whole))
	damaged := make([]byte, len(whole))
	step := 1
	if codec == CodecS2 {
		step = 3 // most is the same in both
	}
	if testing.Short() {
		step = 13
	}
	unnoticed := 0
	for i := 0; i < len(whole); i += step {
		copy(damaged, whole)
		damaged[i] ^= 1 << (i % 8)
		if !sweep(t, p, damaged, model, i) {
			unnoticed++
		}
	}
	t.Logf("%d flips in gaps", unnoticed)
	if unnoticed > len(whole)/20 {
		t.Errorf("%d of %d flips were not noticed by Verify", unnoticed, len(whole))
	}
	for n := 0; n < len(whole); n += step {
		if _, err := Open(diskWith(t, 5, whole[:n]), p.Expect(), ReaderOptions{}); !errors.Is(err, disk.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// sweep reads a damaged file; it reports whether Open or Verify saw the damage.
func sweep(t *testing.T, p Properties, damaged []byte, model []series, at int) bool {
	t.Helper()
	r, err := Open(diskWith(t, p.FileID, damaged), p.Expect(), ReaderOptions{NoMmap: at%2 == 0})
	if err != nil {
		if !errors.Is(err, disk.ErrCorrupt) {
			t.Fatalf("byte %d: %v", at, err)
		}
		return true
	}
	defer func() { _ = r.Close() }()
	answers(t, r, model, fmt.Sprintf("byte %d", at))
	err = r.Verify()
	if err != nil && !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("byte %d: %v", at, err)
	}
	return err != nil
}

// TestEveryByteOfLists sweeps the block lists of a series of 70 blocks.
func TestEveryByteOfLists(t *testing.T) {
	s := series{key: []byte("k")}
	for i := range 70 {
		s.rows = append(s.rows, kv.Row{ID: kv.ID{Time: uint64(i)}, Form: kv.FormRaw, Raw: make([]byte, maxBlockPayload+i)})
	}
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 5}, []series{s}, 100)
	whole, err := d.ReadFile(disk.TableName(5))
	if err != nil {
		t.Fatal(err)
	}
	list := openTable(t, d, p, ReaderOptions{})
	var e entry
	if found, err := list.entry(s.key, &e); !found || err != nil || e.kind != entryList {
		t.Fatal(found, err, e)
	}
	for i := e.offset - maxPageSize; i < e.offset+int64(e.length)-4; i++ { // the last four bytes are a gap
		d.Corrupt(disk.TableName(5), func(b []byte) []byte { copy(b, whole); b[i] ^= 1 << (i % 8); return b })
		r, err := Open(d, p.Expect(), ReaderOptions{NoMmap: i%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		var row kv.Row
		for _, k := range []int{0, 62, 63, 69} {
			found, _, err := r.Newest(s.key, s.rows[k].ID, &row, nil)
			if err != nil && !errors.Is(err, disk.ErrCorrupt) || err == nil && (!found || !sameRow(&row, &s.rows[k])) {
				t.Fatalf("byte %d: row %d: %v, %v", i, k, found, err)
			}
			n, _, err := r.Count(s.key, s.rows[k].ID, kv.MaxID)
			if err != nil && !errors.Is(err, disk.ErrCorrupt) || err == nil && n != uint64(70-k) {
				t.Fatalf("byte %d: count from %d: %d, %v", i, k, n, err)
			}
		}
		if i > e.offset {
			if _, _, err := r.Newest(s.key, kv.MaxID, &row, nil); !errors.Is(err, disk.ErrCorrupt) {
				t.Fatalf("byte %d of the root: %v", i-e.offset, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func diskWith(t testing.TB, id uint64, content []byte) *disktest.Disk {
	t.Helper()
	d := newDisk()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	d.WriteFile(disk.TableName(id), content)
	return d
}

// TestSwappedFile: the right bytes under the wrong number are refused.
func TestSwappedFile(t *testing.T) {
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 5}, smallModel(), 100)
	b, err := d.ReadFile(disk.TableName(5))
	if err != nil {
		t.Fatal(err)
	}
	want := p.Expect()
	want.FileID = 6
	if _, err := Open(diskWith(t, 6, b), want, ReaderOptions{}); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
	want = p.Expect()
	want.FooterCRC++
	if _, err := Open(d, want, ReaderOptions{}); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
}

// TestDamagedFilter: a damaged filter means maybe, and is reported.
func TestDamagedFilter(t *testing.T) {
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 5}, smallModel(), 100)
	r := openTable(t, d, p, ReaderOptions{})
	absent := KeyHash([]byte("absent key"))
	if r.FilterDamaged() || r.MayContain(&absent) {
		t.Fatal("filter says maybe")
	}
	at := r.footer.filter.offset
	d.Corrupt(disk.TableName(5), func(b []byte) []byte { b[at] ^= 1; return b })
	r = openTable(t, d, p, ReaderOptions{})
	if !r.FilterDamaged() || !r.MayContain(&absent) {
		t.Fatal("a damaged filter must mean maybe")
	}
	if err := r.Verify(); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
}

// TestLiveTruncation cuts a mapped file on the real disk: an error, no death.
func TestLiveTruncation(t *testing.T) {
	dir := t.TempDir()
	fs, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	rng := seeded(t)
	var model []series
	for _, s := range shapes() {
		model = append(model, series{key: []byte(s.name), rows: s.rows(rng, 3000)})
	}
	model = sortModel(model)
	p := build(t, fs, WriterOptions{FileID: 1}, model, 500)
	r := openTable(t, fs, p, ReaderOptions{})
	answers(t, r, model, "whole") // everything is resident now
	if err := os.Truncate(filepath.Join(dir, disk.TableName(1)), 4096); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i := range model {
		s := &model[i]
		var row kv.Row
		if _, _, err := r.Newest(s.key, kv.MaxID, &row, nil); errors.Is(err, disk.ErrCorrupt) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
		hash := KeyHash(s.key)
		if !r.MayContain(&hash) {
			t.Fatal("a cut filter must mean maybe")
		}
	}
	if failed == 0 {
		t.Fatal("no read noticed that the file was cut")
	}
	answers(t, r, model, "cut")
	r.ForgetResidency()
	answers(t, r, model, "cut and cold")
	if err := r.Verify(); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
}
