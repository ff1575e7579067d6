package sstable

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"tskv/disk"
	"tskv/kv"
)

// mappedBytes returns what the maps of files below dir take in this process.
func mappedBytes(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("no /proc/self/smaps: ", err)
	}
	defer func() { _ = f.Close() }()
	var total int64
	mine := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var kib int64
		switch name, rest, _ := strings.Cut(line, " "); {
		case !strings.HasSuffix(name, ":"):
			mine = strings.Contains(rest, dir)
		case name == "Rss:" && mine:
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			total += kib << 10
		}
	}
	return total
}

// TestMapBudget reads files of many times the budget of mapped pages at random, from
// several goroutines, while the budget is given back now and then: the maps
// never take more than the budget in the process, and everything read is right.
func TestMapBudget(t *testing.T) {
	dir := t.TempDir()
	fs, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	const n = 60_000
	rows := eventRows(n)
	if err := fs.MkdirAll(disk.TableDir); err != nil {
		t.Fatal(err)
	}
	const limit = 9 << 20
	maps := NewMapBudget(limit)
	var readers []*Reader
	for id := range uint64(3) {
		p := build(t, fs, WriterOptions{FileID: id, Codec: CodecNone}, []series{{key: []byte("k"), rows: allRows(rows)}}, n)
		readers = append(readers, openTable(t, fs, p, ReaderOptions{Maps: maps}))
	}
	base := mappedBytes(t, dir)
	if used := maps.Used(); base > used {
		t.Errorf("%d bytes of the maps are in memory after Open, %d were taken", base, used)
	}
	for round := range 8 {
		var wg sync.WaitGroup
		for g := range 3 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				var row kv.Row
				for range 3000 {
					i := rng.IntN(n)
					ok, _, err := readers[rng.IntN(3)].Newest([]byte("k"), rows.ID(i), &row, nil)
					if err != nil || !ok || string(row.Raw) != string(rows.Raw[i]) {
						t.Errorf("row %d: %v, %v", i, ok, err)
						return
					}
				}
			})
		}
		wg.Wait()
		used, got := maps.Used(), mappedBytes(t, dir)
		if used > limit || got > used {
			t.Fatalf("round %d: %d bytes mapped, %d taken from a budget of %d", round, got, used, limit)
		}
		if round == 0 {
			t.Logf("files of %d bytes: %d mapped, %d taken", 3*readers[0].Properties().Size, got, used)
		}
		if got < limit/8 || !maps.WasExhausted() {
			t.Fatalf("round %d: only %d bytes mapped, %d taken", round, got, used)
		}
		if round%2 == 1 {
			continue
		}
		for _, r := range readers {
			r.ForgetResidency()
		}
		if used, got := maps.Used(), mappedBytes(t, dir); used != 0 || got != 0 {
			t.Fatalf("%d bytes mapped, %d taken after all was given back", got, used)
		}
	}
}

// TestMapBudgetRaces sets and forgets at the same time: what is taken always comes
// back.
func TestMapBudgetRaces(t *testing.T) {
	maps := NewMapBudget(5 << 20)
	s := newResidency(20<<20+5000, maps)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 20_000 {
				length := 1 + rng.IntN(200<<10)
				at := place{rng.Int64N(20<<20 + 5000 - int64(length)), length}
				if s.set(at); i%100 == 0 {
					maps.giveBack(s.forget())
				}
				if used := maps.Used(); used < 0 {
					t.Errorf("%d bytes taken", used)
				}
			}
		})
	}
	wg.Wait()
	maps.giveBack(s.forget())
	if maps.Used() != 0 {
		t.Errorf("%d bytes are lost", maps.Used())
	}
	for _, at := range []place{{0, 1}, {65535, 2}, {2<<20 - 1, 2}, {0, 4 << 20}, {20 << 20, 5000}} {
		if s.has(at) {
			t.Errorf("%v is resident", at)
		}
		if !s.set(at) || !s.has(at) || s.set(at) {
			t.Errorf("%v is not resident after set", at)
		}
		maps.giveBack(s.forget())
	}
}

// TestFilterWithoutMap: with an exhausted budget, filters are asked by pread.
func TestFilterWithoutMap(t *testing.T) {
	d := newDisk()
	p := buildRows(t, d, gaugeRows(2), 20_000)
	for _, limit := range []int64{0, 1 << 20} {
		for _, noMmap := range []bool{false, true} {
			maps := NewMapBudget(limit)
			r := openTable(t, d, p, ReaderOptions{NoMmap: noMmap, Maps: maps})
			if r.FilterDamaged() {
				t.Fatal("damaged")
			}
			wrong := 0
			for i := range 20_000 {
				there, absent := KeyHash(fmt.Appendf(nil, "series:%08d", i)), KeyHash(fmt.Appendf(nil, "other:%d", i))
				if !r.MayContain(&there) {
					t.Fatalf("the filter denies key %d", i)
				}
				if r.MayContain(&absent) {
					wrong++
				}
			}
			if wrong > 400 || maps.Used() > limit || limit > 0 && maps.Used() == 0 {
				t.Errorf("limit %d, no map %v: %d false positives, %d bytes taken", limit, noMmap, wrong, maps.Used())
			}
		}
	}
}
