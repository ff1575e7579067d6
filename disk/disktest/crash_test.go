package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tskv/disk/disktest"
)

// nothing and everything are the two ends of what a crash may leave.
var (
	nothing    = disktest.CrashOptions{}
	everything = disktest.CrashOptions{Sectors: 100, Names: 100}
)

// text describes a disk: "name=content" of all files.
func text(t testing.TB, d *disktest.Disk) string {
	t.Helper()
	var all []string
	for _, name := range d.Files() {
		b, err := d.ReadFile(name)
		must(t, err)
		all = append(all, name+"="+string(b))
	}
	return strings.Join(all, " ")
}

// step is an operation of a test's sequence.
type step func(d *disktest.Disk) error

func putStep(t *testing.T, name, data string, sync bool) step {
	return func(d *disktest.Disk) error { write(t, d, name, 0, []byte(data), sync); return nil }
}

func renameStep(from, to string) step {
	return func(d *disktest.Disk) error { return d.Rename(from, to) }
}

func linkStep(from, to string) step {
	return func(d *disktest.Disk) error { return d.Link(from, to) }
}

func removeStep(name string) step {
	return func(d *disktest.Disk) error { return d.Remove(name) }
}

func syncStep(dir string) step {
	return func(d *disktest.Disk) error { return d.SyncDir(dir) }
}

func cutStep(name string, size int64) step {
	return func(d *disktest.Disk) error {
		file, err := d.OpenWrite(name)
		if err != nil {
			return err
		}
		return errors.Join(file.Truncate(size), file.Close())
	}
}

// crashCase is a sequence on a disk with a durable file a=1 and a directory d.
type crashCase struct {
	what      string
	do        []step
	least     string // with nothing of what is unsynced
	most      string // with all of it
	onlyNames string // with all names only; "" like most
}

// TestCrashEnds checks what survives at both ends of what a crash may leave.
func TestCrashEnds(t *testing.T) {
	put := func(name, data string, sync bool) step { return putStep(t, name, data, sync) }
	type steps = []step
	for _, c := range []crashCase{
		{"write", steps{put("a", "2", false)}, "a=1", "a=2", "a=1"},
		{"write, sync", steps{put("a", "2", true)}, "a=2", "a=2", ""},
		{"append", steps{put("a", "12", false)}, "a=1", "a=12", "a=1"},
		{"sync, write", steps{put("a", "2", true), put("a", "3", false)}, "a=2", "a=3", "a=2"},
		{"create", steps{put("b", "2", false)}, "a=1", "a=1 b=2", "a=1 b="},
		{"create, sync", steps{put("b", "2", true)}, "a=1", "a=1 b=2", ""},
		{"create, sync the directory", steps{put("b", "2", false), syncStep(".")}, "a=1 b=", "a=1 b=2", "a=1 b="},
		{"create, sync both", steps{put("b", "2", true), syncStep(".")}, "a=1 b=2", "a=1 b=2", ""},
		{"create, sync the wrong directory", steps{put("b", "2", true), syncStep("d")}, "a=1", "a=1 b=2", ""},
		{"rename", steps{renameStep("a", "b")}, "a=1", "b=1", ""},
		{"rename, sync", steps{renameStep("a", "b"), syncStep(".")}, "b=1", "b=1", ""},
		{"replace unsynced content", steps{put("b", "2", false), renameStep("b", "a"), syncStep(".")}, "a=", "a=2", "a="},
		{"replace", steps{put("b", "2", true), renameStep("b", "a")}, "a=1", "a=2", ""},
		{"replace, sync", steps{put("b", "2", true), renameStep("b", "a"), syncStep(".")}, "a=2", "a=2", ""},
		{"link", steps{linkStep("a", "b")}, "a=1", "a=1 b=1", ""},
		{"link, write, sync", steps{linkStep("a", "b"), put("b", "2", true)}, "a=2", "a=2 b=2", ""},
		{"remove", steps{removeStep("a")}, "a=1", "", ""},
		{"remove, sync", steps{removeStep("a"), syncStep(".")}, "", "", ""},
		{"remove, create", steps{removeStep("a"), put("a", "2", true)}, "a=1", "a=2", ""},
		{"recycle: the old name has the new content", steps{renameStep("a", "b"), put("b", "2", true)}, "a=2", "b=2", ""},
		{"to another directory", steps{renameStep("a", "d/a")}, "a=1", "d/a=1", ""},
		{"to another directory, sync the old", steps{renameStep("a", "d/a"), syncStep(".")}, "d/a=1", "d/a=1", ""},
		{"to another directory, sync the new", steps{renameStep("a", "d/a"), syncStep("d")}, "d/a=1", "d/a=1", ""},
		{
			"a sync takes along what a rename stands on",
			steps{put("d/b", "2", true), renameStep("d/b", "d/c"), renameStep("d/c", "c"), put("d/e", "3", true), syncStep(".")},
			"a=1 c=2", "a=1 c=2 d/e=3", "",
		},
		{
			"cut and write",
			steps{put("a", "123456", true), cutStep("a", 2)},
			"a=123456", "a=12", "a=123456",
		},
	} {
		c.check(t)
	}
}

func (c *crashCase) check(t *testing.T) {
	t.Helper()
	d := disktest.New()
	d.WriteFile("a", []byte("1"))
	must(t, d.MkdirAll("d"))
	for _, do := range c.do {
		must(t, do(d))
	}
	if c.onlyNames == "" {
		c.onlyNames = c.most
	}
	for _, end := range []struct {
		opt  disktest.CrashOptions
		want string
	}{
		{nothing, c.least},
		{everything, c.most},
		{disktest.CrashOptions{Names: 100}, c.onlyNames},
		{disktest.CrashOptions{Names: 100, Sectors: 100, Reorder: true}, c.most},
		{disktest.CrashOptions{Reorder: true, Torn: true}, c.least},
	} {
		after := d.Crash(end.opt)
		if got := text(t, after); got != end.want {
			t.Errorf("%s, %v: %q, want %q", c.what, end.opt, got, end.want)
		}
		if again := text(t, after.Crash(nothing)); again != end.want {
			t.Errorf("%s, %v: a second crash made %q of %q", c.what, end.opt, again, end.want)
		}
	}
	if got := text(t, d.Clone()); got != c.most {
		t.Errorf("%s: clone %q, want %q", c.what, got, c.most)
	}
	if got := text(t, d.Clone().Crash(nothing)); got != c.least {
		t.Errorf("%s: crash of a clone %q, want %q", c.what, got, c.least)
	}
}

// sectorsOf splits content into sectors, the last one filled with zeros.
func sectorsOf(b []byte, n int) [][]byte {
	b = append(bytes.Clone(b), make([]byte, n*512)...)
	all := make([][]byte, n)
	for i := range all {
		all[i] = b[i*512 : (i+1)*512]
	}
	return all
}

// TestCrashSectors: each sector by itself is durable, last or in between.
func TestCrashSectors(t *testing.T) {
	const sectors = 2000
	d := disktest.New()
	old := bytes.Repeat([]byte{'o'}, 300*512)
	d.WriteFile("f", old)
	var versions [][]byte
	for _, fill := range "abcn" { // n is the last one
		p := bytes.Repeat([]byte{byte(fill)}, sectors*512)
		write(t, d, "f", 0, p, false)
		versions = append(versions, p)
	}
	share := map[int]int{}
	for _, percent := range []int{10, 50} {
		opt := disktest.CrashOptions{Seed: 7, Sectors: percent}
		after, err := d.Crash(opt).ReadFile("f")
		must(t, err)
		seen := map[byte]int{}
		for i, s := range sectorsOf(after, len(after)/512) {
			if bytes.Count(s, s[:1]) != 512 {
				t.Fatalf("%v: sector %d is torn", opt, i)
			}
			if i >= 300 && s[0] == 'o' || i < 300 && s[0] == 0 {
				t.Fatalf("%v: sector %d holds %q", opt, i, s[0])
			}
			seen[s[0]]++
		}
		share[percent] = seen['n']
		if len(after) == sectors*512 && (seen['n'] == 0 || seen['a']+seen['b']+seen['c'] == 0 || seen['o'] == 0) {
			t.Errorf("%v: sectors %v, some kind is missing", opt, seen)
		}
	}
	full, err := d.Crash(everything).ReadFile("f")
	must(t, err)
	if !bytes.Equal(full, versions[3]) {
		t.Error("100 % is not the last content")
	}
	lengths := map[int]bool{}
	torn := 0
	for seed := range uint64(60) {
		after, err := d.Crash(disktest.CrashOptions{Seed: seed, Sectors: 50, Torn: true}).ReadFile("f")
		must(t, err)
		if len(after) < len(old) || len(after) > sectors*512 {
			t.Fatalf("length %d outside of [%d, %d]", len(after), len(old), sectors*512)
		}
		lengths[len(after)] = true
		for _, s := range sectorsOf(after, len(after)/512) {
			if n := bytes.Count(s, s[:1]); n != 512 {
				torn++
				if n+bytes.Count(s, s[511:]) != 512 || s[0] == 'o' || s[0] == 0 {
					t.Fatalf("a torn sector has %q before %q", s[0], s[511])
				}
			}
		}
	}
	if len(lengths) < 10 || !lengths[len(old)] || !lengths[sectors*512] || torn == 0 {
		t.Errorf("60 seeds found %d lengths and %d torn sectors", len(lengths), torn)
	}
}

func TestCrashIsRepeatable(t *testing.T) {
	build := func() *disktest.Disk {
		d := disktest.New()
		must(t, d.MkdirAll("d"))
		for i := range 20 {
			write(t, d, fmt.Sprintf("d/%d", i), int64(i*100), bytes.Repeat([]byte{byte('a' + i)}, 3000), i%3 == 0)
			write(t, d, fmt.Sprintf("d/%d", i), int64(i*10), []byte("more"), false)
		}
		return d
	}
	first, second := build(), build()
	different := map[string]bool{}
	for _, opt := range disktest.CrashMatrix(99) {
		a, b, c := text(t, first.Crash(opt)), text(t, first.Crash(opt)), text(t, second.Crash(opt))
		if a != b || a != c {
			t.Errorf("%v: the same crash left different disks", opt)
		}
		different[a] = true
	}
	if len(different) < 10 {
		t.Errorf("16 crashes left %d different disks", len(different))
	}
}

// TestFailedSyncLies: what a failed sync could not write looks written, and a
// later sync that says OK does not change that.
func TestFailedSyncLies(t *testing.T) {
	d := disktest.New()
	d.WriteFile("f", bytes.Repeat([]byte{'o'}, 3*4096))
	file, err := d.OpenWrite("f")
	must(t, err)
	put := func(off int64, c byte) {
		_, err := file.WriteAt(bytes.Repeat([]byte{c}, 512), off)
		must(t, err)
	}
	put(0, 'a')
	put(4096, 'b')
	d.Fail(disktest.FailRule{Op: disktest.OpSync})
	if err := file.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	put(4096+512, 'c') // dirties the page of b again
	put(8192, 'd')
	must(t, file.Sync())
	pick := func(d *disktest.Disk) string {
		b, err := d.ReadFile("f")
		must(t, err)
		return string([]byte{b[0], b[4096], b[4096+512], b[8192], b[len(b)-1]})
	}
	if got := pick(d); got != "abcdo" {
		t.Errorf("processes read %q, want abcdo", got)
	}
	for _, opt := range []disktest.CrashOptions{nothing, everything} {
		if got := pick(d.Crash(opt)); got != "obcdo" {
			t.Errorf("after a crash %q, want obcdo", got)
		}
	}
	d.DropCaches()
	if got := pick(d); got != "obcdo" {
		t.Errorf("without caches %q, want obcdo", got)
	}
	must(t, file.Close())
}

// TestFailedSyncAfterCut: what was cut off never comes back, whatever failed.
func TestFailedSyncAfterCut(t *testing.T) {
	d := disktest.New()
	d.WriteFile("f", bytes.Repeat([]byte{'o'}, 2*4096))
	file, err := d.OpenWrite("f")
	must(t, err, file.Truncate(0))
	d.Fail(disktest.FailRule{Op: disktest.OpSync})
	if err := file.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	must(t, file.Sync(), file.Truncate(4096), file.Sync(), file.Close())
	b, err := d.Crash(nothing).ReadFile("f")
	must(t, err)
	if !bytes.Equal(b, make([]byte, 4096)) {
		t.Errorf("%d bytes, not 4096 zeros", len(b))
	}
}

func TestFailedSyncDirLies(t *testing.T) {
	d := disktest.New()
	must(t, d.MkdirAll("d"))
	write(t, d, "a", 0, []byte("1"), true)
	d.Fail(disktest.FailRule{Op: disktest.OpSyncDir})
	if err := d.SyncDir("."); err == nil {
		t.Fatal("the sync did not fail")
	}
	write(t, d, "b", 0, []byte("2"), true)
	must(t, d.SyncDir("."))
	if got := text(t, d); got != "a=1 b=2" {
		t.Errorf("processes see %q", got)
	}
	if got := text(t, d.Crash(everything)); got != "b=2" {
		t.Errorf("after a crash %q, want b=2", got)
	}
}

// TestCopiesAreApart: a disk, its clones and what crashes leave share memory,
// never content.
func TestCopiesAreApart(t *testing.T) {
	for what, twin := range map[string]func(d *disktest.Disk) *disktest.Disk{
		"clone":            (*disktest.Disk).Clone,
		"crash":            func(d *disktest.Disk) *disktest.Disk { return d.Crash(everything) },
		"torn crash":       func(d *disktest.Disk) *disktest.Disk { o := everything; o.Torn = true; return d.Crash(o) },
		"clone of a clone": func(d *disktest.Disk) *disktest.Disk { return d.Clone().Clone() },
		"crash of a clone": func(d *disktest.Disk) *disktest.Disk { return d.Clone().Crash(everything) },
	} {
		for _, sync := range []bool{false, true} {
			d := disktest.New()
			write(t, d, "f", 0, bytes.Repeat([]byte{'1'}, 10_000), sync)
			first := twin(d)
			before := text(t, first)
			write(t, d, "f", 5000, []byte("2"), false)
			second := twin(d)
			between := text(t, second)
			write(t, d, "f", 5000, []byte("3"), true)
			third := twin(d)
			write(t, third, "f", 9000, []byte("4"), true)
			want := text(t, d)
			for i, e := range []*disktest.Disk{first, second} {
				if got := text(t, e); got != []string{before, between}[i] {
					t.Errorf("%s, sync=%t: copy %d changed with its original", what, sync, i)
				}
				write(t, e, "f", 100, []byte("5"), i == 0)
				e.DropCaches()
			}
			if got := text(t, d); got != want {
				t.Errorf("%s, sync=%t: the original changed with its copies", what, sync)
			}
		}
	}
}
