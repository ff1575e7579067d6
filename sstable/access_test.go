package sstable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/bits-and-blooms/bloom/v3"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// TestResidency: the first read of a place is a pread, the next ones are not,
// until the residency is forgotten; without a map every read is one.
func TestResidency(t *testing.T) {
	model := smallModel()
	s := &model[0]
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1}, model, 100)
	for _, noMmap := range []bool{false, true} {
		r := openTable(t, d, p, ReaderOptions{NoMmap: noMmap})
		r.ForgetResidency()
		reads := func(fn func()) int {
			before := d.Calls(disktest.OpRead)
			fn()
			return d.Calls(disktest.OpRead) - before
		}
		for _, read := range []func(){
			func() { checkNewest(t, r, s, kv.MaxID) },
			func() {
				if _, err := collect(r.Source(s.key, kv.Everything)); err != nil {
					t.Fatal(err)
				}
			},
		} {
			if n := reads(read); n == 0 {
				t.Fatal("a cold read went through the map")
			}
			if n := reads(read); (n == 0) == noMmap {
				t.Fatalf("a warm read made %d preads, without map %v", n, noMmap)
			}
			r.ForgetResidency()
		}
	}
}

// TestManyReaders reads from several goroutines at once; the race detector looks on.
func TestManyReaders(t *testing.T) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1, Codec: CodecZstd}, model, 100)
	r := openTable(t, d, p, ReaderOptions{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for round := range 10 {
				if g == 0 && round%3 == 0 {
					r.ForgetResidency()
				}
				for i := range model {
					s := &model[i]
					got, err := collect(r.Source(s.key, kv.Everything))
					if err == nil {
						err = diffRows(got, s.rows)
					}
					var row kv.Row
					last := &s.rows[len(s.rows)-1]
					if found, _, err := r.Newest(s.key, kv.MaxID, &row, nil); err != nil || !found || !sameRow(&row, last) {
						t.Errorf("newest: %v, %v", found, err)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestCloseTwice: sources may be closed more than once, and in any order.
func TestCloseTwice(t *testing.T) {
	model := smallModel()
	d := newDisk()
	p := build(t, d, WriterOptions{FileID: 1}, model, 100)
	r := openTable(t, d, p, ReaderOptions{})
	a, err := r.Source(model[0].key, kv.Everything)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	b, err := r.Source(model[1].key, kv.Everything)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if rows, err := a.Next(); rows != nil || err != nil {
		t.Fatal(rows, err)
	}
	got, err := collect(b, nil)
	if err == nil {
		err = diffRows(got, model[1].rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	if src, err := r.Source([]byte("absent"), kv.Everything); src != nil || err != nil {
		t.Fatal(src, err)
	}
}

// TestFilter has no false negatives and few false positives.
func TestFilter(t *testing.T) {
	d := newDisk()
	p := buildRows(t, d, gaugeRows(2), 20_000)
	for _, noMmap := range []bool{false, true} {
		r := openTable(t, d, p, ReaderOptions{NoMmap: noMmap})
		key := []byte("series:00000000")
		wrong := 0
		for i := range 40_000 {
			n := i
			for k := len(key) - 1; k > 6; k-- {
				key[k] = byte('0' + n%10)
				n /= 10
			}
			hash := KeyHash(key)
			maybe := r.MayContain(&hash)
			if i < 20_000 && !maybe {
				t.Fatalf("the filter denies %s", key)
			}
			if i >= 20_000 && maybe {
				wrong++
			}
		}
		if wrong > 400 {
			t.Errorf("%d false positives in 20000", wrong)
		}
	}
}

// TestKeyHash: the hash is that of the library that adds the keys.
func TestKeyHash(t *testing.T) {
	rng := seeded(t)
	for n := range 300 {
		key := randomBytes(rng, n)
		want, got := bloom.Locations(key, filterHashes), KeyHash(key)
		if !slices.Equal(got.locations[:], want) {
			t.Fatalf("%q: %x, want %x", key, got.locations, want)
		}
	}
	key := []byte("series:00012345")
	if n := testing.AllocsPerRun(100, func() { _ = KeyHash(key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCheckedBlocks: a block read through the map is not checked again, until the
// residency is forgotten; Verify always checks.
func TestCheckedBlocks(t *testing.T) {
	dir := t.TempDir()
	fs, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	rng := seeded(t)
	s := series{key: []byte("k")}
	for i := range 20 * maxBlockRows { // so that index and first block are far from each other
		s.rows = append(s.rows, kv.Row{ID: kv.ID{Time: uint64(i)}, Num: rng.Int64N(1000)})
	}
	p := build(t, fs, WriterOptions{FileID: 1}, []series{s}, 1000)
	r := openTable(t, fs, p, ReaderOptions{})
	newest := func(at int) error {
		var row kv.Row
		found, _, err := r.Newest(s.key, s.rows[at].ID, &row, nil)
		if err == nil && (!found || !sameRow(&row, &s.rows[at])) {
			t.Fatalf("row %d: %v, %+v", at, found, row)
		}
		return err
	}
	first := place{headerSize, 0}
	r.ForgetResidency()
	for i, want := range []bool{false, true, true} { // pread, map, map
		if err := newest(5); err != nil || r.checked.has(first) != want {
			t.Fatalf("read %d: checked %v, %v", i, r.checked.has(first), err)
		}
	}
	var last int64
	for b, err := range r.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		last = b.Offset + int64(b.Length)
	}
	if last < 2<<granuleShift {
		t.Fatalf("%d bytes of blocks", last)
	}
	file, err := os.OpenFile(filepath.Join(dir, disk.TableName(1)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, off := range []int64{headerSize + 1000, last - 1} { // of the first block and of the last one, which was not read yet
		var b [1]byte
		if _, err := file.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := file.WriteAt(b[:], off); err != nil {
			t.Fatal(err)
		}
	}
	if err := newest(len(s.rows) - 1); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("a block that was never checked: %v", err)
	}
	if err := newest(len(s.rows) - 1); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("a block whose check failed: %v", err)
	}
	if err := r.Verify(); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("Verify: %v", err)
	}
	r.ForgetResidency()
	if err := newest(5); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatalf("after the residency was forgotten: %v", err)
	}
}
