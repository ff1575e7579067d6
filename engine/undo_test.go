package engine

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// inTime fails the test if fn does not return in time: a guard against
// deadlocks, not a wait for something to happen.
func inTime(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: blocked for 20 s", what)
	}
}

// put writes one record and returns the error of the batch or the operation.
func put(db *DB, key string, id uint64, value string) error {
	var b Batch
	b.Put([]byte(key), kv.ID{Time: id}, []byte(value))
	if err := db.Apply(&b); err != nil {
		return err
	}
	return b.Ops[0].Err
}

func mustPut(t *testing.T, db *DB, key string, id uint64, value string) {
	t.Helper()
	if err := put(db, key, id, value); err != nil {
		t.Fatal(err)
	}
}

// wantNewest checks the newest record of a key; id 0 and value "" mean none.
func wantNewest(t *testing.T, db *DB, key string, id uint64, value string) {
	t.Helper()
	rec, ok, err := db.Get([]byte(key), kv.MaxID, nil)
	if err != nil || ok != (value != "") || rec.ID.Time != id || string(rec.Value) != value {
		t.Fatalf("get %q: %v %q %v %v, want %d %q", key, rec.ID, rec.Value, ok, err, id, value)
	}
}

// TestCloseAfterFailedWrite: the sequences of a group that the log refused are
// settled, or the memtable that holds them could never be flushed.
func TestCloseAfterFailedWrite(t *testing.T) {
	fs := disktest.New()
	db := open(t, testOptions(fs))
	mustPut(t, db, "k", 1, "a")
	fs.Fail(disktest.FailRule{Op: disktest.OpWrite, Name: "wal/*", Sticky: true})
	if err := put(db, "k", 2, "b"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	fs.Heal()
	wantNewest(t, db, "k", 1, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, testOptions(fs))
	wantNewest(t, db, "k", 1, "a")
	if db.Keys() != 1 {
		t.Fatal(db.Keys())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailedWritesOnly fills memtable after memtable with groups that the log
// refuses: the store must not wait for a flush that waits for a write.
func TestFailedWritesOnly(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.QueueTimeout = 100 * time.Millisecond
	db := open(t, opt)
	big := bytes.Repeat([]byte{0xff}, 70<<10)
	for i := range 8 {
		fs.Fail(disktest.FailRule{Op: disktest.OpWrite, Name: "wal/*", Sticky: true})
		if err := put(db, "k", uint64(i), string(big)); !errors.Is(err, syscall.EIO) {
			t.Fatal(i, err)
		}
		fs.Heal()
	}
	mustPut(t, db, "k", 100, "x")
	wantNewest(t, db, "k", 100, "x")
	inTime(t, "close", func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnwrittenIDIsNotLast: an ID that was chosen and then not written, because
// of the condition, is not the key's last ID.
func TestUnwrittenIDIsNotLast(t *testing.T) {
	fs := disktest.New()
	db := open(t, testOptions(fs))
	mustPut(t, db, "k", 100, "a")
	if err := db.Close(); err != nil { // makes the key cold
		t.Fatal(err)
	}
	db = open(t, testOptions(fs))
	defer func() { _ = db.Close() }()
	err := db.Update(func(tx *Tx) error {
		op := Op{Key: []byte("k"), Mode: IDAuto, Cond: IfPresent, Value: []byte("b")}
		if err := tx.Put(&op); err != nil || op.Written {
			return fmt.Errorf("written %v, %w", op.Written, err)
		}
		op = Op{Key: []byte("k"), Mode: IDAuto, Cond: IfLast, After: kv.ID{Time: 100}, Value: []byte("c")}
		return tx.Put(&op)
	}, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
}

// TestBadTags: a tag set that no reader would take must not reach the log.
func TestBadTags(t *testing.T) {
	fs := disktest.New()
	db := open(t, testOptions(fs))
	var b Batch
	op := b.Add()
	op.Key, op.Value, op.Tags = []byte("k"), []byte("v"), kv.TagSet("no tag set")
	if err := db.Apply(&b); !errors.Is(err, kv.ErrTags) {
		t.Errorf("apply: %v", err)
	}
	err := db.Update(func(tx *Tx) error {
		return tx.Put(&Op{Key: []byte("k"), Value: []byte("v"), Tags: kv.TagSet("no tag set")})
	}, []byte("k"))
	if !errors.Is(err, kv.ErrTags) {
		t.Errorf("update: %v", err)
	}
	killed := fs.Clone()
	_ = db.Close()
	db, err = Open("test", testOptions(killed))
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
}

// TestLongKeys: a batch inside the documented bounds fits into a log record,
// though each new key is written twice.
func TestLongKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("80 MiB of keys")
	}
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	var b Batch
	for i := range MaxBatchBytes / (MaxKey + 32) {
		key := bytes.Repeat([]byte{'k'}, MaxKey)
		copy(key, fmt.Sprint(i))
		b.Put(key, kv.ID{Time: 1}, nil)
	}
	if err := db.Apply(&b); err != nil && !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// TestHugeUpdate: a transaction that grows beyond a log record fails alone.
func TestHugeUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("80 MiB of values")
	}
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	value := bytes.Repeat([]byte{0xff}, 1<<20)
	var b Batch
	b.Put([]byte("before"), kv.ID{Time: 1}, []byte("x"))
	b.Update(func(tx *Tx) error {
		for i := range 200 {
			if err := tx.Put(&Op{Key: []byte("huge"), ID: kv.ID{Time: uint64(i)}, Value: value}); err != nil {
				return err
			}
		}
		return nil
	}, []byte("huge"))
	b.Put([]byte("after"), kv.ID{Time: 1}, []byte("x"))
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(b.Ops[1].Err, ErrTooLarge) {
		t.Fatal(b.Ops[1].Err)
	}
	wantNewest(t, db, "before", 1, "x")
	wantNewest(t, db, "huge", 0, "")
	wantNewest(t, db, "after", 1, "x")
}

// TestNoDescriptors: without descriptors for a new log segment the store takes
// what fits into memory, then refuses, and goes on when there are some.
func TestNoDescriptors(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.QueueTimeout = time.Second
	db := open(t, opt)
	fs.Fail(disktest.FailRule{Op: disktest.OpCreate, Sticky: true, Err: syscall.EMFILE})
	fs.Fail(disktest.FailRule{Op: disktest.OpOpen, Sticky: true, Err: syscall.EMFILE})
	value := string(bytes.Repeat([]byte{0xff}, 4<<10))
	acked := 0
	var err error
	for err == nil && acked < 1000 {
		if err = put(db, "k", uint64(acked), value); err == nil {
			acked++
		}
	}
	if err == nil {
		t.Errorf("%d bytes in memtables of %d", db.Stats().MemtableBytes, opt.MemtableBytes)
	} else if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("after %d writes: %v", acked, err)
	}
	fs.Heal()
	mustPut(t, db, "k", 5000, "x")
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := snap.Count([]byte("k"), ScanOptions{To: kv.MaxID}); err != nil || n != uint64(acked)+1 {
		t.Errorf("%d records %v, want %d", n, err, acked+1)
	}
	snap.Release()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestCompactAgainstClose runs both at once: none may use what the other ended.
func TestCompactAgainstClose(t *testing.T) {
	for i := range 20 {
		fs := disktest.New()
		db := open(t, testOptions(fs))
		for n := range 4 {
			mustPut(t, db, "k", uint64(n), "v")
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		mustPut(t, db, "k", 9, "v")
		reached, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		fs.Before(func(op disktest.Op, name string) {
			if op == disktest.OpRename && i%2 == 0 || op == disktest.OpSync && i%2 == 1 {
				once.Do(func() { close(reached); <-goOn })
			}
		})
		var work sync.WaitGroup
		work.Go(func() {
			if err := db.Compact(); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		<-reached
		closed := make(chan struct{})
		work.Go(func() {
			defer close(closed)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		select { // Close waits for Compact, or has done its harm by then
		case <-closed:
		case <-time.After(50 * time.Millisecond):
		}
		close(goOn)
		work.Wait()
		if _, err := db.Snapshot(); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if err := db.Sync(); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
}

// TestFlushAfterUndo: a log whose last record holds only what was undone leaves a
// store that can be flushed.
func TestFlushAfterUndo(t *testing.T) {
	for _, kill := range []bool{false, true} {
		fs := disktest.New()
		db := open(t, testOptions(fs))
		err := db.Update(func(tx *Tx) error {
			if err := tx.Put(&Op{Key: []byte("k"), Value: []byte("1")}); err != nil {
				return err
			}
			return errUndo
		}, []byte("k"))
		if !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
		if kill {
			fs = fs.Clone()
			db.stop(0)
		} else if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, testOptions(fs))
		inTime(t, "flush", func() {
			if err := db.Flush(); err != nil {
				t.Error(err)
			}
		})
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
