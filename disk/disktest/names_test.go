package disktest_test

import (
	"fmt"
	"testing"

	"tskv/disk/disktest"
)

// TestCrashNames: what survives of the names is a prefix of the operations of a
// directory; with Reorder any of them.
func TestCrashNames(t *testing.T) {
	d := disktest.New()
	must(t, d.MkdirAll("d"))
	const files = 12
	for i := range files {
		write(t, d, fmt.Sprintf("d/%02d", i), 0, []byte{'0' + byte(i)}, true)
	}
	lengths, subsets := map[int]bool{}, map[string]bool{}
	for seed := range uint64(300) {
		opt := disktest.CrashOptions{Seed: seed, Names: 50}
		names, _ := d.Crash(opt).List("d")
		for i, name := range names {
			if want := fmt.Sprintf("%02d", i); name != want {
				t.Fatalf("%v: names %q, not a prefix", opt, names)
			}
		}
		lengths[len(names)] = true
		opt.Reorder = true
		names, _ = d.Crash(opt).List("d")
		subsets[fmt.Sprint(names)] = true
	}
	if len(lengths) < files/2 || len(subsets) < 200 {
		t.Errorf("300 seeds found %d prefixes and %d subsets", len(lengths), len(subsets))
	}
}

// TestCrashRenames: a file that walks through directories has exactly one name
// after every crash, wherever it was synced on its way.
func TestCrashRenames(t *testing.T) {
	way := []string{"a", "d/a", "e/a", "e/b", "b", "d/b", "c"}
	for synced := range way {
		for _, dir := range []string{"", ".", "d", "e"} {
			d := disktest.New()
			must(t, d.MkdirAll("d"), d.MkdirAll("e"))
			d.WriteFile(way[0], []byte("m"))
			for i, to := range way[1:] {
				if i == synced && dir != "" {
					must(t, d.SyncDir(dir))
				}
				must(t, d.Rename(way[i], to))
			}
			places := map[string]bool{}
			for seed := range uint64(100) {
				opt := disktest.CrashOptions{Seed: seed, Names: 50}
				names := d.Crash(opt).Files()
				if len(names) != 1 {
					t.Fatalf("sync of %q before step %d, %v: names %q, want one", dir, synced, opt, names)
				}
				places[names[0]] = true
			}
			if dir == "" && len(places) < 4 {
				t.Errorf("100 seeds found the file in %d places only", len(places))
			}
		}
	}
}
