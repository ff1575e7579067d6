package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// opens checks that a checkpoint is a store that holds exactly a prefix of the
// history, of least operations or more, and returns how many.
func (h history) opens(t *testing.T, fsys disk.FS, name string, states []*model, least int) int {
	t.Helper()
	db, err := Open(name, testOptions(disk.Sub(fsys, path.Join(disk.CheckpointDir, name))))
	if err != nil {
		t.Fatalf("open checkpoint %s: %v", name, err)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n, err := snap.Count([]byte("log"), ScanOptions{To: kv.MaxID})
	if err != nil || int(n) < least || int(n) >= len(states) {
		t.Fatalf("checkpoint %s: %d operations, at least %d were acknowledged: %v", name, n, least, err)
	}
	states[n].check(t, snap, rand.New(rand.NewPCG(h.seed, n)))
	if db.Keys() != uint64(len(states[n].keys)) {
		t.Errorf("checkpoint %s: %d keys, want %d", name, db.Keys(), len(states[n].keys))
	}
	snap.Release()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestCheckpoint takes checkpoints while another goroutine writes and files are
// merged: each holds the state at one position.
func TestCheckpoint(t *testing.T) {
	h := history{seed: 31, ops: 400}
	states := h.states()
	d := disktest.New()
	db := open(t, testOptions(d))
	var acked []int
	var mu sync.Mutex
	progress := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	var writer sync.WaitGroup
	writer.Go(func() { // ends with the history
		for i := range h.ops {
			b, _ := h.op(i)
			if err := errors.Join(db.Apply(b), firstError(b)); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			acked = append(acked, i)
			mu.Unlock()
		}
	})
	least := map[string]int{}
	for i := 0; progress() < h.ops && i < 50; i++ {
		name := fmt.Sprint("c-", i)
		least[name] = progress()
		c, err := db.Checkpoint(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Database != db.state.Load().DBID || c.Dir != "" {
			t.Errorf("%+v", c)
		}
		if i%5 == 4 {
			if err := db.Compact(); err != nil {
				t.Fatal(err)
			}
		}
	}
	writer.Wait()
	names, err := db.Checkpoints()
	if err != nil || len(names) != len(least) || len(least) == 0 {
		t.Fatalf("%d checkpoints are listed, %d were made: %v", len(names), len(least), err)
	}
	for _, name := range names {
		h.opens(t, d, name, states, least[name])
	}
	if err := db.RemoveCheckpoint(names[0]); err != nil {
		t.Error(err)
	}
	if err := db.RemoveCheckpoint(names[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove again: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, testOptions(d)) // recovery leaves them alone
	if again, err := db.Checkpoints(); err != nil || !slices.Equal(again, names[1:]) {
		t.Errorf("after a restart: %q %v", again, err)
	}
	if _, err := db.Checkpoint(t.Context(), names[1]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Checkpoint(t.Context(), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCheckpointNames(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	for _, name := range []string{"", ".", "..", ".x", "a/b", "../x", "x.tmp", "ä", "a b", strings.Repeat("a", 101), "/", "/x/y.tmp"} {
		if _, err := db.Checkpoint(t.Context(), name); !errors.Is(err, errBadCheckpoint) {
			t.Errorf("%q: %v", name, err)
		}
		if err := db.RemoveCheckpoint(name); !errors.Is(err, errBadCheckpoint) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	if err := db.RemoveCheckpoint("/x/y"); !errors.Is(err, errBadCheckpoint) {
		t.Errorf("remove outside: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	mustPut(t, db, "k", 1, "v")
	cancel()
	if _, err := db.Checkpoint(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := db.Checkpoint(t.Context(), "x"); err != nil {
		t.Errorf("after one that was given up: %v", err)
	}
}

// TestCheckpointKeepsFiles merges files away while their links are made.
func TestCheckpointKeepsFiles(t *testing.T) {
	h := history{seed: 32, ops: 60}
	d := disktest.New()
	db := open(t, testOptions(d))
	db.compactMu.Lock() // the background leaves the files alone
	for i := range h.ops {
		b, _ := h.op(i)
		if err := errors.Join(db.Apply(b), firstError(b)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var once sync.Once
	before := len(db.state.Load().Files)
	d.Before(func(op disktest.Op, name string) {
		if op == disktest.OpLink && strings.HasPrefix(name, disk.TableDir) {
			once.Do(func() {
				db.compactMu.Unlock()
				if err := db.Compact(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	if _, err := db.Checkpoint(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	d.Before(nil)
	if after := len(db.state.Load().Files); after >= before {
		t.Fatalf("void: %d files before, %d after", before, after)
	}
	h.opens(t, d, "c", h.states(), h.ops)
	if names, _ := d.List(disk.TableDir); len(names) != len(db.state.Load().Files) {
		t.Errorf("%d table files are left of %d", len(names), len(db.state.Load().Files))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkpoints runs the history with a checkpoint now and then, until something
// fails, and returns the least operations that each finished one holds.
func (h history) checkpoints(fsys *disktest.Disk) (db *DB, acked int, least map[string]int) {
	least = map[string]int{}
	db, err := Open("test", testOptions(fsys))
	if err != nil {
		return nil, 0, least
	}
	for acked < h.ops {
		b, _ := h.op(acked)
		if errors.Join(db.Apply(b), firstError(b)) != nil {
			break
		}
		acked++
		if acked%25 == 0 {
			name := fmt.Sprint("c", acked)
			if _, err := db.Checkpoint(context.Background(), name); err == nil {
				least[name] = acked
			}
		}
		if acked == 60 {
			_ = db.RemoveCheckpoint("c25") // it may be there or not from here on
			delete(least, "c25")
		}
	}
	return db, acked, least
}

// TestCheckpointCrash cuts the power after every disk operation of a run with
// checkpoints: afterwards each name below checkpoints/ is a whole checkpoint, and
// those that had been finished are there.
func TestCheckpointCrash(t *testing.T) {
	h := history{seed: 33, ops: 80}
	states := h.states()
	count := disktest.New()
	db, acked, least := h.checkpoints(count)
	if acked != h.ops || len(least) != 2 {
		t.Fatalf("%d operations, %d checkpoints", acked, len(least))
	}
	db.stop(0)
	step := 5
	if testing.Short() {
		step = 20
	}
	tried := 0
	for stop := 1; stop < count.Ops(); stop += step {
		d := disktest.New()
		d.StopAfter(stop)
		db, acked, least := h.checkpoints(d)
		if db != nil {
			db.stop(0)
		}
		matrix := disktest.CrashMatrix(uint64(stop))
		for _, how := range []disktest.CrashOptions{matrix[0], matrix[stop%len(matrix)], matrix[len(matrix)-1]} {
			after := d.Crash(how)
			again, _ := h.prefix(t, after, states, acked)
			names, err := again.Checkpoints()
			if err != nil {
				t.Fatal(err)
			}
			all, _ := after.List(disk.CheckpointDir)
			if len(all) != len(names) {
				t.Errorf("unfinished checkpoints are left: %q", all)
			}
			for _, name := range names {
				h.opens(t, after, name, states, least[name])
				tried++
			}
			again.stop(0)
			for name := range least {
				if !slices.Contains(names, name) {
					t.Errorf("the finished checkpoint %s is gone", name)
				}
			}
			if t.Failed() {
				t.Fatalf("power cut after disk operation %d (%s), seed %d, %s", stop, d.LastOp(), h.seed, how)
			}
		}
	}
	t.Logf("%d checkpoints opened, %d disk operations", tried, count.Ops())
}

// TestCheckpointFaults fails each call of a checkpoint: there is none then, and
// the next one works.
func TestCheckpointFaults(t *testing.T) {
	h := history{seed: 34, ops: 30}
	states := h.states()
	for op := disktest.OpCreate; op <= disktest.OpClose; op++ {
		for nth := 1; ; nth++ {
			d := disktest.New()
			db := open(t, faultOptions(d))
			db.compactMu.Lock()
			h.run(db, 0)
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
			d.Fail(disktest.FailRule{Op: op, Name: "checkpoints/*", Nth: nth, Err: syscall.ENOSPC})
			d.Fail(disktest.FailRule{Op: op, Name: "checkpoints/c.tmp/*", Nth: nth, Err: syscall.ENOSPC})
			d.Fail(disktest.FailRule{Op: op, Name: "checkpoints/c.tmp/sst/*", Nth: nth, Err: syscall.ENOSPC})
			_, err := db.Checkpoint(t.Context(), "c")
			failed := d.Failed()
			d.Heal()
			if err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("%s %d: %v", op, nth, err)
				}
				if names, _ := db.Checkpoints(); len(names) > 0 && op != disktest.OpSyncDir {
					t.Fatalf("%s %d: %q after %v", op, nth, names, err)
				}
				_ = db.RemoveCheckpoint("c") // a failed sync of its name leaves it
				if _, err := db.Checkpoint(t.Context(), "c"); err != nil {
					t.Fatalf("%s %d: the next one: %v", op, nth, err)
				}
			}
			h.opens(t, d, "c", states, h.ops)
			db.compactMu.Unlock()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if failed == 0 {
				break
			}
		}
	}
}

func TestCheckpointOutside(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	db, err := Open(dir, Options{MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, db, "k", 1, "v")
	c, err := db.Checkpoint(t.Context(), filepath.Join(out, "c"))
	if err != nil || c.Dir != filepath.Join(out, "c") || c.Position != db.Stats().VisibleSeq || c.Files == 0 {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err := db.Checkpoint(t.Context(), "in"); err != nil || c.Dir != filepath.Join(dir, disk.CheckpointDir, "in") {
		t.Fatalf("%+v %v", c, err)
	}
	for to, want := range map[string]error{
		filepath.Join(out, "c"): fs.ErrExist, filepath.Join(dir, "c"): disk.ErrInside,
		filepath.Join(out, "nobody", "c"): fs.ErrNotExist,
	} {
		if _, err := db.Checkpoint(t.Context(), to); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, disk.CheckpointDir)); len(left) != 1 {
		t.Errorf("left below the data directory: %v", left)
	}
	mustPut(t, db, "k", 2, "w")
	copied, err := Open(filepath.Join(out, "c"), Options{MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	wantNewest(t, copied, "k", 1, "v")
	mustPut(t, copied, "k", 3, "x") // it lives a life of its own
	wantNewest(t, db, "k", 2, "w")
	if err := errors.Join(copied.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}
