package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
)

// faultOptions are testOptions with short waits.
func faultOptions(fs disk.FS) Options {
	opt := testOptions(fs)
	opt.QueueTimeout = 2 * time.Second
	opt.retryPause = time.Millisecond
	return opt
}

// work opens a store, runs a history over several flushes, compacts, closes,
// and opens once more. It returns the operations that were acknowledged, and
// the first error.
func (h history) work(fs *disktest.Disk) (db *DB, acked int, err error) {
	if db, err = Open("test", faultOptions(fs)); err != nil {
		return nil, 0, err
	}
	for acked < h.ops && err == nil {
		b, _ := h.op(acked)
		if err = db.Apply(b); err == nil {
			err = firstError(b)
		}
		if err == nil {
			acked++
		}
		if err == nil && acked%15 == 0 {
			err = db.Flush()
		}
	}
	if err == nil {
		err = db.Compact()
	}
	return db, acked, err
}

func firstError(b *Batch) error {
	for i := range b.Ops {
		if b.Ops[i].Err != nil {
			return b.Ops[i].Err
		}
	}
	return nil
}

// fault is one way for a disk to fail.
type fault struct {
	name   string
	rule   disktest.FailRule
	sticky bool
}

func faults(op disktest.Op) []fault {
	var all []fault
	add := func(name string, r disktest.FailRule) {
		r.Op = op
		all = append(all, fault{name: name, rule: r})
		r.Sticky = true
		all = append(all, fault{name: name + " sticky", rule: r, sticky: true})
	}
	add("EIO", disktest.FailRule{Err: syscall.EIO})
	switch op {
	case disktest.OpWrite:
		add("ENOSPC short", disktest.FailRule{Err: syscall.ENOSPC, Short: 7})
		add("EDQUOT", disktest.FailRule{Err: syscall.EDQUOT})
	case disktest.OpOpen:
		add("EMFILE", disktest.FailRule{Err: syscall.EMFILE})
	case disktest.OpCreate:
		add("EMFILE", disktest.FailRule{Err: syscall.EMFILE})
		add("ENOSPC", disktest.FailRule{Err: syscall.ENOSPC})
	case disktest.OpMap:
		add("ENOMEM", disktest.FailRule{Err: syscall.ENOMEM})
	case disktest.OpSync, disktest.OpSyncDir:
		add("ENOSPC", disktest.FailRule{Err: syscall.ENOSPC}) // delayed allocation
	case disktest.OpLink, disktest.OpRename, disktest.OpMkdir, disktest.OpTruncate:
		add("ENOSPC", disktest.FailRule{Err: syscall.ENOSPC})
	}
	return all
}

// TestEveryCallFails is goal G7: every file-system call of open, put, rotate,
// flush, compact, the manifest and close fails once, and fails for good. The
// answer is a clear error; everything acknowledged is there after a kill and
// after a power cut; and when the disk is well again the store goes on by itself,
// unless a sync of the log has failed: then it takes no write until a restart.
func TestEveryCallFails(t *testing.T) {
	h := history{seed: 21, ops: 45}
	states := h.states()
	count := disktest.New()
	db, acked, err := h.work(count)
	if err != nil || acked != h.ops {
		t.Fatal(acked, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	most, total := 1000, 0
	if testing.Short() {
		most = 3
	}
	for op := disktest.OpCreate; op <= disktest.OpClose; op++ {
		calls := count.Calls(op)
		step := max(1, calls/most)
		for _, f := range faults(op) {
			for nth := 1; nth <= calls; nth += step {
				f.rule.Nth = nth
				total++
				t.Run(fmt.Sprintf("%s %d of %d %s", op, nth, calls, f.name), func(t *testing.T) {
					h.fail(t, states, f)
				})
				if t.Failed() {
					t.FailNow()
				}
			}
		}
	}
	t.Logf("%d faults", total)
}

func (h history) fail(t *testing.T, states []*model, f fault) {
	t.Helper()
	fs := disktest.New()
	fs.Fail(f.rule)
	db, acked, err := h.work(fs)
	wantClear(t, f, err)
	if db == nil { // Open failed, and must have let go of everything
		if n := fs.Handles(); n != 0 && f.rule.Op != disktest.OpClose {
			t.Errorf("%d handles after a failed Open", n)
		}
		fs.Heal()
		db, acked, err = h.work(fs)
		if err != nil {
			t.Errorf("after the disk was well again: %v", err)
			return
		}
	}
	fs.Heal()
	awaitRecovery(t, db)
	if db.failure() == nil {
		for i := acked; i < h.ops; i++ {
			b, _ := h.op(i)
			if err := errors.Join(db.Apply(b), firstError(b)); err != nil {
				t.Errorf("operation %d after the disk was well again: %v", i, err)
			}
			acked++
		}
	} else {
		b, _ := h.op(acked % h.ops)
		if err := db.Apply(b); !errors.Is(err, ErrReadOnly) {
			t.Errorf("after a failed sync: %v", err)
		}
	}
	for _, after := range []*disktest.Disk{fs.Clone(), fs.Crash(disktest.CrashOptions{})} {
		again, _ := h.prefix(t, after, states, acked)
		again.stop(0)
	}
	if err := db.Close(); err != nil && !errors.Is(err, f.rule.Err) {
		t.Errorf("close: %v", err)
	}
	again, _ := h.prefix(t, fs, states, acked)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// wantClear checks that an error names its cause.
func wantClear(t *testing.T, f fault, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, f.rule.Err) && !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("error without its cause: %v", err)
	}
}

// TestFailedSyncIsFinal is goal G8: after the first failed sync of the log nothing
// is acknowledged until a restart, in any mode; all acknowledged before is there.
func TestFailedSyncIsFinal(t *testing.T) {
	for _, mode := range []SyncMode{SyncAlways, SyncInterval, SyncOS} {
		fs := disktest.New()
		opt := faultOptions(fs)
		opt.Sync, opt.SyncInterval = mode, 10*time.Millisecond
		db := open(t, opt)
		mustPut(t, db, "k", 1, "a")
		if err := db.Sync(); err != nil {
			t.Fatal(err)
		}
		fs.Fail(disktest.FailRule{Op: disktest.OpSync, Name: "wal/*", Sticky: true})
		acked := 1
		var err error
		for err == nil {
			if err = put(db, "k", uint64(acked+1), "b"); err == nil {
				acked++
				if mode == SyncOS {
					err = db.Sync()
				}
			}
		}
		if !errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.EIO) || mode == SyncAlways && acked > 1 {
			t.Fatalf("%s: %d acknowledged, then %v", mode, acked, err)
		}
		fs.Heal()
		for range 3 {
			if err := put(db, "k", 99, "c"); !errors.Is(err, ErrReadOnly) {
				t.Fatalf("%s: after a failed sync: %v", mode, err)
			}
		}
		for what, err := range map[string]error{"flush": db.Flush(), "sync": db.Sync(), "state": db.ReadOnly()} {
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("%s, %s: %v", mode, what, err)
			}
		}
		wantNewest(t, db, "k", uint64(acked), []string{"a", "b"}[min(acked-1, 1)])
		_ = db.Close()
		after := open(t, testOptions(fs.Crash(disktest.CrashOptions{})))
		snap, err := after.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		n, err := snap.Count([]byte("k"), ScanOptions{To: kv.MaxID})
		if err != nil || n < 1 || mode == SyncAlways && n != uint64(acked) {
			t.Errorf("%s: %d records %v, %d were acknowledged", mode, n, err, acked)
		}
		snap.Release()
		mustPut(t, after, "k", 100, "x")
		if err := after.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDisk is goal G9: on a full disk a write fails within a second, reads go
// on, and writes resume by themselves when there is room, even if everything
// that could be frozen waits for its flush.
func TestFullDisk(t *testing.T) {
	for _, capacity := range []int64{300 << 10, 700 << 10, 1 << 20} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			t.Parallel()
			fs := disktest.New()
			fs.Capacity(capacity)
			opt := faultOptions(fs)
			opt.QueueTimeout, opt.retryPause = 20*time.Second, 50*time.Millisecond
			db := open(t, opt)
			noise := make([]byte, 3000) // no codec makes room for more of it
			_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
			value := string(noise)
			acked := 0
			var err error
			for err == nil {
				start := time.Now()
				if err = put(db, "k", uint64(acked+1), value); err == nil {
					acked++
				}
				if d := time.Since(start); d > 2*time.Second {
					t.Fatalf("a write took %v: %v", d, err)
				}
			}
			if !errors.Is(err, ErrReadOnly) {
				t.Fatalf("after %d writes: %v", acked, err)
			}
			wantNewest(t, db, "k", uint64(acked), value)
			fs.Capacity(-1)
			resume(t, db, "k", uint64(acked+1))
			wantNewest(t, db, "k", uint64(acked+1), "resumed")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			db = open(t, testOptions(fs))
			wantNewest(t, db, "k", uint64(acked+1), "resumed")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDeletesOnFullDisk: on a nearly full disk writes are refused, and what makes
// room is not.
func TestDeletesOnFullDisk(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.MinFreeBytes = 1 << 20
	db := open(t, opt)
	for _, key := range []string{"a", "b", "c"} {
		if err := put(db, key, 1, "v"); err != nil {
			t.Fatal(err)
		}
	}
	fs.Capacity(1 << 20) // some of it is in use: less than a MiB is free
	err := error(nil)
	for end := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(end); {
		err = put(db, "c", 2, "v")
	}
	if !errors.Is(err, ErrReadOnly) {
		t.Fatalf("put on a full disk: %v", err)
	}
	var b Batch
	for _, key := range []string{"a", "b"} {
		b.Update(func(t *Tx) error {
			_, err := t.Delete([]byte(key))
			return err
		}, []byte(key))
	}
	b.Ops[0].Frees = true
	if err := db.Apply(&b); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a batch that does more than delete: %v", err)
	}
	b.Ops[1].Frees = true
	if err := db.Apply(&b); err != nil || db.Keys() != 1 {
		t.Errorf("delete on a full disk: %v, %d keys", err, db.Keys())
	}
	if err := db.Clear(); err != nil || db.Keys() != 0 {
		t.Errorf("clear on a full disk: %v, %d keys", err, db.Keys())
	}
	fs.Capacity(-1)
	resume(t, db, "k", 1)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// resume writes one record as soon as the store takes it, in at most 5 s.
func resume(t *testing.T, db *DB, key string, id uint64) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for {
		err := put(db, key, id, "resumed")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("writes have not resumed: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // a client that tries again
	}
}
