package engine

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
)

// awaitRecovery waits until a recovery that had no room is finished.
func awaitRecovery(t *testing.T, db *DB) {
	t.Helper()
	await(t, "the recovery finished", func() bool { return db.short.unfinished.Load() == nil })
}

// TestEveryCallFailsAtStart: each call of a start after kill -9 fails, once and for
// good. The store says why it does not open, and has let go of everything; or it
// opens, shows everything acknowledged, and goes on when the disk is well. A
// power cut at the end loses nothing.
func TestEveryCallFailsAtStart(t *testing.T) {
	h := history{seed: 41, ops: 50}
	base := killed(t, h, 40)
	want := afterKill(h, 40)
	count := base.Clone()
	db := open(t, faultOptions(count))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	most, total, opened := 60, 0, 0
	if testing.Short() {
		most = 3
	}
	for op := disktest.OpCreate; op <= disktest.OpClose; op++ {
		calls := count.Calls(op)
		for _, f := range faults(op) {
			for nth := 1; nth <= calls; nth += max(1, calls/most) {
				f.rule.Nth = nth
				total++
				t.Run(fmt.Sprintf("%s %d of %d %s", op, nth, calls, f.name), func(t *testing.T) {
					if failAtStart(t, base.Clone(), want, f) {
						opened++
					}
				})
				if t.Failed() {
					t.FailNow()
				}
			}
		}
	}
	t.Logf("%d faults; with %d of them the store opened", total, opened)
}

func failAtStart(t *testing.T, fs *disktest.Disk, want *model, f fault) (opened bool) {
	t.Helper()
	fs.Fail(f.rule)
	db, err := Open("test", faultOptions(fs))
	wantClear(t, f, err)
	if opened = err == nil; !opened {
		if n := fs.Handles(); n != 0 && f.rule.Op != disktest.OpClose {
			t.Errorf("%d handles after a failed Open", n)
		}
		fs.Heal()
		db = open(t, faultOptions(fs))
	} else if f.rule.Op != disktest.OpRead && f.rule.Op != disktest.OpMap {
		checkHistory(t, db, want)
	}
	fs.Heal()
	checkHistory(t, db, want)
	awaitRecovery(t, db)
	err = put(db, "log", 1<<40, "x")
	if db.failed.Load() == nil && err != nil {
		t.Errorf("a write when the disk was well again: %v", err)
	}
	cut := open(t, testOptions(fs.Crash(disktest.CrashOptions{})))
	if err == nil {
		want = want.clone()
		want.put("log", id(1<<40, 0), "x|")
	}
	checkHistory(t, cut, want)
	cut.stop(0)
	if err := db.Close(); err != nil && !errors.Is(err, f.rule.Err) {
		t.Errorf("close: %v", err)
	}
	return opened
}

// TestNoBusyLoop counts what background work asks of a disk that stays ill: with a
// pause of 20 ms between tries it must be little, and no log line per try of a
// recovery.
func TestNoBusyLoop(t *testing.T) {
	for _, c := range []struct {
		name string
		rule disktest.FailRule
	}{
		{"no descriptors", disktest.FailRule{Op: disktest.OpCreate, Err: syscall.EMFILE}},
		{"no room for tables", disktest.FailRule{Op: disktest.OpWrite, Name: "sst/*", Err: syscall.ENOSPC}},
		{"no room for the manifest", disktest.FailRule{Op: disktest.OpWrite, Name: "MANIFEST.tmp", Err: syscall.ENOSPC}},
		{"tables cannot be opened", disktest.FailRule{Op: disktest.OpOpen, Name: "sst/*", Err: syscall.EMFILE}},
		{"tables cannot be synced", disktest.FailRule{Op: disktest.OpSync, Name: "sst/*", Err: syscall.EIO}},
		{"the manifest cannot be renamed", disktest.FailRule{Op: disktest.OpRename, Err: syscall.EIO}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := disktest.New()
			opt := faultOptions(fs)
			opt.retryPause = 20 * time.Millisecond
			db := open(t, opt)
			for i := range 30 {
				mustPut(t, db, "k", uint64(i), noise(byte(i), 3000))
			}
			c.rule.Sticky = true
			fs.Fail(c.rule)
			begin, before := time.Now(), fs.Calls(disktest.OpAny)
			if err := db.Flush(); err == nil {
				t.Error("the flush did not fail")
			}
			await(t, "half a second", func() bool { return time.Since(begin) > 500*time.Millisecond })
			if n := fs.Calls(disktest.OpAny) - before; n > 2000 {
				t.Errorf("%d calls in half a second", n)
			}
			wantNewest(t, db, "k", 29, noise(29, 3000))
			fs.Heal()
			await(t, "a flush", func() bool { return db.Flush() == nil })
			mustPut(t, db, "k", 100, "x")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			db = open(t, testOptions(fs.Crash(disktest.CrashOptions{})))
			wantNewest(t, db, "k", 100, "x")
			db.stop(0)
		})
	}
}

// TestFailedTableSync: a table whose sync failed is thrown away, whatever a second
// sync would say, and built anew under another name.
func TestFailedTableSync(t *testing.T) {
	for nth := 1; nth <= 2; nth++ { // catalog and data
		fs := disktest.New()
		db := open(t, faultOptions(fs))
		for i := range 20 {
			mustPut(t, db, "k", uint64(i), noise(byte(i), 1000))
		}
		fs.Fail(disktest.FailRule{Op: disktest.OpSync, Name: "sst/*", Nth: nth})
		if err := db.Flush(); err != nil && !errors.Is(err, syscall.EIO) || fs.Failed() != 1 {
			t.Fatalf("flush: %v; %d syncs failed", err, fs.Failed())
		}
		await(t, "another try", func() bool { return db.Stats().Files == 2 })
		for _, f := range db.state.Load().Files {
			if f.ID <= uint64(nth) {
				t.Errorf("file %d is live, the sync of number %d failed", f.ID, nth)
			}
		}
		db.stop(0)
		db = open(t, testOptions(fs.Crash(disktest.CrashOptions{})))
		for i := range 20 {
			if rec, _, err := db.Get([]byte("k"), id(uint64(i), 0), nil); err != nil || string(rec.Value) != noise(byte(i), 1000) {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStartWithFewDescriptors: the error says what to do.
func TestStartWithFewDescriptors(t *testing.T) {
	fs := disktest.New()
	db := open(t, testOptions(fs))
	mustPut(t, db, "k", 1, "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fs.Fail(disktest.FailRule{Op: disktest.OpOpen, Name: "sst/*", Err: syscall.EMFILE})
	_, err := Open("test", testOptions(fs))
	if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "2 table files") {
		t.Errorf("open: %v", err)
	}
	if errors.Is(err, disk.ErrCorrupt) || fs.Handles() != 0 {
		t.Errorf("%d handles, %v", fs.Handles(), err)
	}
}
