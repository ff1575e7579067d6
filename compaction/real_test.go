package compaction

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

func dataClass([]byte) uint8 { return ClassData }

func newDisk(t testing.TB) *disktest.Disk {
	d := disktest.New()
	if err := d.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	return d
}

func openTable(t testing.TB, d disk.FS, f *manifest.File) *sstable.Reader {
	t.Helper()
	r, err := sstable.Open(d, sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openInputs(t testing.TB, d disk.FS, files []manifest.File) []Input {
	t.Helper()
	inputs := make([]Input, len(files))
	for i, f := range files {
		inputs[i] = Input{Reader: openTable(t, d, &f), File: f}
	}
	return inputs
}

func closeInputs(t testing.TB, inputs []Input) {
	t.Helper()
	for _, in := range inputs {
		if err := in.Reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// readRows returns all rows of a file and compares its bounds with them.
func readRows(t testing.TB, d disk.FS, f *manifest.File) []memRow {
	t.Helper()
	r := openTable(t, d, f)
	defer func() {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	it := r.Iterator(nil)
	defer it.Close()
	var rows []memRow
	series, deletes := 0, 0
	for {
		key, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		if key == nil {
			break
		}
		series++
		src, err := it.Rows(kv.Everything)
		if err != nil {
			t.Fatal(err)
		}
		for {
			batch, err := src.Next()
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
			for i := range batch.Len() {
				m := memRow{key: string(key), row: batch.Row(i)}
				m.row.Raw, m.row.Tags = bytes.Clone(m.row.Raw), slices.Clone(m.row.Tags)
				if m.row.Form == kv.FormDelete {
					deletes++
				}
				rows = append(rows, m)
			}
		}
		src.Close()
	}
	if len(rows) == 0 || f.Rows != uint64(len(rows)) || f.Deletes != uint64(deletes) || f.Series != uint64(series) ||
		string(f.MinKey) != rows[0].key || string(f.MaxKey) != rows[len(rows)-1].key {
		t.Fatalf("file %+v does not describe its %d rows", f, len(rows))
	}
	for _, m := range rows {
		if m.row.ID.Time < f.MinTime || m.row.ID.Time > f.MaxTime {
			t.Fatalf("row %s %v outside of file %+v", m.key, m.row.ID, f)
		}
	}
	return rows
}

// tables is a store of real files.
type tables struct {
	t       *testing.T
	disk    *disktest.Disk
	nextID  uint64
	maxSize int64
}

func (s *tables) output() Output {
	return Output{
		FS: s.disk, MaxFileBytes: s.maxSize, Split: true,
		NextID: func() uint64 { s.nextID++; return s.nextID },
	}
}

func (s *tables) flush(rows []memRow, minSeq, maxSeq uint64) []manifest.File {
	s.t.Helper()
	out := s.output()
	out.MinSeq, out.MaxSeq = minSeq, maxSeq
	files, err := Build(&rowsIterator{rows: rows, batch: 3}, dataClass, out)
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

func (s *tables) merge(plan Plan, tombs *kv.Tombstones) []manifest.File {
	s.t.Helper()
	inputs := openInputs(s.t, s.disk, plan.Inputs)
	files, err := Merge(inputs, tombs, plan, s.output())
	if err != nil {
		s.t.Fatal(err)
	}
	closeInputs(s.t, inputs)
	for _, in := range inputs {
		if err := s.disk.Remove(disk.TableName(in.File.ID)); err != nil {
			s.t.Fatal(err)
		}
	}
	if n := s.disk.Handles(); n != 0 {
		s.t.Fatalf("%d handles left open", n)
	}
	return files
}

func (s *tables) read(f *manifest.File) []memRow { return readRows(s.t, s.disk, f) }

// TestRandomFiles is TestRandomHistories with real files, some of them mixed.
func TestRandomFiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	worlds := 24
	if testing.Short() {
		worlds = 4
	}
	plans := make(map[string]int)
	for n := range worlds {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		s := &tables{t: t, disk: newDisk(t), maxSize: 2000 + rng.Int64N(50_000)}
		spread := []int{1, 3, 50, 90}[n%4]
		w := newWorld(t, rng.Uint64(), s, func(rng *rand.Rand) uint64 {
			return uint64(rng.IntN(spread))*7*dayMS + rng.Uint64N(10)
		})
		w.opt = PickOptions{MaxFileBytes: s.maxSize, SplitBytes: 1000 + rng.Int64N(20_000)}
		w.play(10, 300)
		for reason, n := range w.plans {
			plans[reason] += n
		}
	}
	t.Log(plans)
	if plans["tiered"] == 0 || plans["split"] == 0 {
		t.Error("the histories are too dull")
	}
}
