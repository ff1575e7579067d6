package compaction

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// gauges is an iterator over series of a random walk with 2 decimals, 10 s
// apart with up to 5 ms of jitter.
type gauges struct {
	series, rows int
	start, step  uint64
	at           int
	key          []byte
	batch        kv.Rows
}

func (g *gauges) Next() ([]byte, error) {
	if g.at == g.series {
		return nil, nil
	}
	g.key = fmt.Appendf(g.key[:0], "host%05d.cpu.load.average", g.at)
	g.at++
	return g.key, nil
}

func (g *gauges) Rows(kv.Range) (kv.Source, error) {
	return &gaugeSource{g: g, rng: rand.New(rand.NewPCG(uint64(g.at), g.start))}, nil
}
func (g *gauges) Close() {}

type gaugeSource struct {
	g    *gauges
	rng  *rand.Rand
	done int
}

func (s *gaugeSource) Next() (*kv.Rows, error) {
	if s.done == s.g.rows {
		return nil, nil
	}
	b := &s.g.batch
	b.Reset()
	value := int64(2000)
	for ; s.done < s.g.rows && b.Len() < 8192; s.done++ {
		value += s.rng.Int64N(21) - 10
		b.Append(kv.Row{
			ID:   kv.ID{Time: s.g.start + uint64(s.done)*s.g.step + s.rng.Uint64N(5)},
			Form: 2, Num: value,
		})
	}
	return b, nil
}
func (s *gaugeSource) Close() {}

// cpuSeconds is the processor time of the process so far: on a machine that
// others use too it says more than the wall clock.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// reportRows reports rows per second of the clock and of the processor.
func reportRows(b *testing.B, rows int, cpu float64) {
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	b.ReportMetric(float64(rows)/(cpuSeconds(b)-cpu)/1e6, "Mrows/cpu-s")
}

// benchMerge merges files of series*rows rows each; start and step say how the rows of
// file i lie to those of the others.
func benchMerge(b *testing.B, inputs, series, rows int, start func(i int) uint64, step uint64) {
	fs, err := disk.NewOS(b.TempDir())
	if err == nil {
		err = fs.MkdirAll(disk.TableDir)
	}
	if err != nil {
		b.Fatal(err)
	}
	out := outputOn(fs)
	var files []manifest.File
	for i := range inputs {
		out.MinSeq, out.MaxSeq = uint64(i*10+1), uint64(i*10+10)
		made, err := Build(&gauges{series: series, rows: rows, start: start(i), step: step}, dataClass, out)
		if err != nil || len(made) != 1 {
			b.Fatal(len(made), err)
		}
		files = append(files, made...)
	}
	out.Codec = sstable.CodecZstd
	opened := openInputs(b, fs, files)
	defer closeInputs(b, opened)
	merged, size, cpu := 0, int64(0), cpuSeconds(b)
	for b.Loop() {
		made, err := Merge(opened, nil, Plan{Class: ClassData}, out)
		if err != nil {
			b.Fatal(err)
		}
		size = 0
		for _, f := range made {
			size += f.Size
			if err := fs.Remove(disk.TableName(f.ID)); err != nil {
				b.Fatal(err)
			}
		}
		merged += inputs * series * rows
	}
	reportRows(b, merged, cpu)
	b.ReportMetric(float64(size)/float64(inputs*series*rows), "B/row")
}

func BenchmarkMerge(b *testing.B) {
	const interval = 10_000
	b.Run("disjoint/series=100", func(b *testing.B) {
		benchMerge(b, 4, 100, 15_000, func(i int) uint64 { return uint64(i) * 15_000 * interval }, interval)
	})
	b.Run("disjoint/series=5000", func(b *testing.B) {
		benchMerge(b, 4, 5000, 400, func(i int) uint64 { return uint64(i) * 400 * interval }, interval)
	})
	b.Run("short/series=100000", func(b *testing.B) {
		benchMerge(b, 4, 100_000, 20, func(i int) uint64 { return uint64(i) * 20 * interval }, interval)
	})
	b.Run("interleaved/series=100", func(b *testing.B) {
		benchMerge(b, 2, 100, 20_000, func(i int) uint64 { return uint64(i) * interval }, 2*interval)
	})
	b.Run("overwritten/series=100", func(b *testing.B) {
		benchMerge(b, 2, 100, 20_000, func(int) uint64 { return 0 }, interval)
	})
}

// BenchmarkBuild includes the making of the rows; see BenchmarkGauges for it.
func BenchmarkBuild(b *testing.B) {
	for _, series := range []int{100, 100_000} {
		b.Run(fmt.Sprint("series=", series), func(b *testing.B) {
			fs, err := disk.NewOS(b.TempDir())
			if err == nil {
				err = fs.MkdirAll(disk.TableDir)
			}
			if err != nil {
				b.Fatal(err)
			}
			out := outputOn(fs)
			total, cpu := 0, cpuSeconds(b)
			for b.Loop() {
				made, err := Build(&gauges{series: series, rows: 2_000_000 / series, step: 10_000}, dataClass, out)
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range made {
					if err := fs.Remove(disk.TableName(f.ID)); err != nil {
						b.Fatal(err)
					}
				}
				total += 2_000_000
			}
			reportRows(b, total, cpu)
		})
	}
}

func BenchmarkGauges(b *testing.B) {
	total, cpu := 0, cpuSeconds(b)
	for b.Loop() {
		g := &gauges{series: 100, rows: 20_000, step: 10_000}
		for key, _ := g.Next(); key != nil; key, _ = g.Next() {
			src, _ := g.Rows(kv.Everything)
			for rows, _ := src.Next(); rows != nil; rows, _ = src.Next() {
				total += rows.Len()
			}
		}
	}
	reportRows(b, total, cpu)
}

// manyFiles is a database of years: windows of up to 4 files, and no work to do.
func manyFiles(n int) []manifest.File {
	return shaped(n, func(i int, f *manifest.File) {
		window, tier := i/4, i%4
		f.Window, f.Size = int64(window)*7*dayMS, 512<<20>>(2*tier)
		f.MinSeq = uint64(window*1000 + tier*100)
	})
}

// shaped returns n files of 100 sequences each, one after the other in window 0
// unless shape says otherwise.
func shaped(n int, shape func(i int, f *manifest.File)) []manifest.File {
	files := make([]manifest.File, n)
	for i := range files {
		f := &files[i]
		*f = manifest.File{
			ID: uint64(i + 1), Class: ClassData, Size: 10 << 20, MinSeq: uint64(i * 100),
			MinKey: []byte("a"), MaxKey: []byte("z"), Rows: 100, Series: 1,
		}
		shape(i, f)
		f.MaxSeq = f.MinSeq + 99
		f.MinTime, f.MaxTime = uint64(max(f.Window, 0)), uint64(max(f.Window, 0))+1
		if f.Window == Mixed {
			f.MaxTime = 100 * 7 * dayMS
		}
	}
	return files
}

// BenchmarkPick is the cost of a decision, and of the check of the order at each
// install, with 10,000 files of several shapes.
func BenchmarkPick(b *testing.B) {
	const n = 10_000
	var tombs []kv.Tombstone
	for i := range 100_000 {
		tombs = append(tombs, kv.Tombstone{Key: fmt.Appendf(nil, "key%07d", i), To: kv.MaxID, Seq: 1 << 40})
	}
	for _, c := range []struct {
		name  string
		files []manifest.File
		opt   PickOptions
	}{
		{"years", manyFiles(n), PickOptions{Now: 1 << 60}},
		{"tombstones", manyFiles(n), PickOptions{Tombstones: kv.NewTombstones(tombs), Hidden: func(uint64) uint64 { return 1 }}},
		{"one window", shaped(n, func(int, *manifest.File) {}), PickOptions{}},
		{"full", shaped(n, func(_ int, f *manifest.File) { f.Size = 1 << 30 }), PickOptions{Now: 1 << 60}},
		{"siblings", shaped(n, func(i int, f *manifest.File) {
			f.MinSeq, f.MinKey, f.MaxKey = 1, fmt.Appendf(nil, "%06d", i), fmt.Appendf(nil, "%06d", i)
		}), PickOptions{Now: 1 << 60}},
		{"mixed between", shaped(n, func(i int, f *manifest.File) {
			if i%2 == 0 {
				f.Window, f.Size = Mixed, 1
			}
		}), PickOptions{SplitBytes: 1 << 40}},
		{"deletes", shaped(n, func(_ int, f *manifest.File) { f.Size, f.Deletes = 1<<30, 90 }), PickOptions{}},
	} {
		b.Run("pick/"+c.name, func(b *testing.B) {
			for b.Loop() {
				Pick(c.files, c.opt)
			}
		})
		b.Run("check/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if err := CheckOrder(c.files); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
