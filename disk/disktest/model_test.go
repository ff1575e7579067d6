package disktest_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"tskv/disk/disktest"
)

// model is a file remembered the slow way: every content since the last sync.
type model struct {
	durable []byte
	all     [][]byte // the last one is what processes see
}

func (m *model) now() []byte { return m.all[len(m.all)-1] }

func (m *model) write(p []byte, off int) {
	b := bytes.Clone(m.now())
	if grow := off + len(p) - len(b); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[off:], p)
	m.all = append(m.all, b)
}

func (m *model) truncate(size int) {
	b := append(bytes.Clone(m.now()), make([]byte, size)...)
	m.all = append(m.all, b[:size])
}

// explains says whether a crash may have left b: each sector is the one of some
// content since the last sync, and zero behind the length that content had.
func (m *model) explains(b []byte) bool {
	n := (len(b) + 511) / 512
	got := sectorsOf(b, n)
	versions := [][][]byte{sectorsOf(m.durable, n)}
	for _, content := range m.all {
		versions = append(versions, sectorsOf(content, n))
	}
	for i := range got {
		tail := min(len(b)-i*512, 512)
		found := false
		for _, v := range versions {
			found = found || bytes.Equal(v[i][:tail], got[i][:tail])
		}
		if !found {
			return false
		}
	}
	return true
}

// TestAgainstModel compares a file under random operations with the model: what
// processes read, and that every crash can be explained.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 2))
		d := disktest.New()
		d.WriteFile("f", nil)
		m := &model{all: [][]byte{nil}}
		file, err := d.OpenWrite("f")
		must(t, err)
		for step := range 100 {
			switch random.IntN(12) {
			case 0:
				must(t, file.Sync())
				m.durable = m.now()
				m.all = [][]byte{m.durable}
			case 1, 2:
				size := random.IntN(20_000)
				must(t, file.Truncate(int64(size)))
				m.truncate(size)
			default:
				p := make([]byte, random.IntN(6000))
				if random.IntN(3) > 0 {
					for i := range p {
						p[i] = byte(random.Uint32())
					}
				}
				off := random.IntN(12_000)
				_, err := file.WriteAt(p, int64(off))
				must(t, err)
				if len(p) > 0 {
					m.write(p, off)
				}
			}
			got, err := d.ReadFile("f")
			must(t, err)
			if !bytes.Equal(got, m.now()) {
				t.Fatalf("seed %d step %d: content differs (%s)", seed, step, d.LastOp())
			}
			for _, opt := range []disktest.CrashOptions{
				{Seed: random.Uint64(), Sectors: 10},
				{Seed: random.Uint64(), Sectors: 50},
			} {
				left, err := d.Crash(opt).ReadFile("f")
				must(t, err)
				if !m.explains(left) {
					t.Fatalf("seed %d step %d %v: a sector that never was (%s)", seed, step, opt, d.LastOp())
				}
			}
			least, err := d.Crash(nothing).ReadFile("f")
			must(t, err)
			if !bytes.Equal(least, m.durable) {
				t.Fatalf("seed %d step %d: durable content differs (%s)", seed, step, d.LastOp())
			}
			most, err := d.Crash(everything).ReadFile("f")
			must(t, err)
			if !bytes.Equal(most, m.now()) {
				t.Fatalf("seed %d step %d: 100 %% is not the last content (%s)", seed, step, d.LastOp())
			}
			if random.IntN(10) == 0 { // go on with what a process finds after kill -9
				must(t, file.Close())
				d = d.Clone()
				file, err = d.OpenWrite("f")
				must(t, err)
			}
		}
		must(t, file.Close())
	}
}

func BenchmarkAppendSync(b *testing.B) {
	d := disktest.New()
	file, err := d.Create("f")
	must(b, err)
	p := bytes.Repeat([]byte{1}, 200)
	off := int64(0)
	for b.Loop() {
		if _, err := file.WriteAt(p, off%(64<<20)); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		off += 200
	}
	must(b, file.Close())
}

// BenchmarkZeroFill fills a spare of 64 MiB.
func BenchmarkZeroFill(b *testing.B) {
	d := disktest.New()
	file, err := d.Create("f")
	must(b, err)
	p := make([]byte, 1<<20)
	b.SetBytes(64 << 20)
	for b.Loop() {
		for i := range int64(64) {
			if _, err := file.WriteAt(p, i<<20); err != nil {
				b.Fatal(err)
			}
		}
		must(b, file.Sync())
	}
	must(b, file.Close())
}

// BenchmarkCrash cuts the power of a disk with 4 MiB of synced log, two spares
// and 64 KiB that are not synced.
func BenchmarkCrash(b *testing.B) {
	d := disktest.New()
	write(b, d, "log", 0, bytes.Repeat([]byte{1}, 4<<20), true)
	write(b, d, "log", 4<<20, bytes.Repeat([]byte{2}, 64<<10), false)
	for _, name := range []string{"spare1", "spare2"} {
		file, err := d.Create(name)
		must(b, err, file.Truncate(64<<20), file.Sync(), file.Close())
	}
	must(b, d.SyncDir("."))
	for _, c := range []struct {
		name string
		fn   func() *disktest.Disk
	}{
		{"clone", d.Clone},
		{"none", func() *disktest.Disk { return d.Crash(nothing) }},
		{"half", func() *disktest.Disk { return d.Crash(disktest.CrashOptions{Seed: 1, Sectors: 50, Names: 50}) }},
		{"all", func() *disktest.Disk { return d.Crash(everything) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_ = c.fn()
			}
		})
	}
}
