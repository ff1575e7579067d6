package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestBackPressure holds the sync of the log: the queue fills up to its bound and
// no further, then writers get ErrBusy in time, reads go on, and when the disk
// goes on everything that was queued is written.
func TestBackPressure(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.QueueTimeout = 50 * time.Millisecond
	db := open(t, opt)
	mustPut(t, db, "k", 1, "a")
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var hold atomic.Bool
	hold.Store(true)
	fs.Before(func(op disktest.Op, name string) {
		if op == disktest.OpSync && hold.Load() {
			once.Do(func() { close(held) })
			<-release
		}
	})
	var writers sync.WaitGroup
	var acked, busy atomic.Int64
	write := func(n int) {
		b := Batch{}
		for i := range queueOps / 4 {
			b.Put(fmt.Append(nil, "w", n), kv.ID{Time: uint64(i)}, []byte("1"))
		}
		switch err := db.Apply(&b); {
		case err == nil:
			acked.Add(1)
		case errors.Is(err, ErrBusy):
			busy.Add(1)
		default:
			t.Error(err)
		}
	}
	writers.Go(func() { write(0) })
	<-held
	for n := range 16 {
		writers.Go(func() { write(n + 1) })
	}
	inTime(t, "busy", func() {
		for busy.Load() < 4 {
			if n := db.queue.size(); n > queueOps {
				t.Errorf("%d operations in the queue", n)
			}
			time.Sleep(time.Millisecond)
		}
	})
	wantNewest(t, db, "k", 1, "a")
	hold.Store(false)
	close(release)
	inTime(t, "writers", writers.Wait)
	fs.Before(nil)
	if db.Keys() != uint64(acked.Load())+1 || acked.Load()+busy.Load() != 17 {
		t.Errorf("%d keys, %d acknowledged, %d busy", db.Keys(), acked.Load(), busy.Load())
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestStalledFlush lets every flush fail while the log works: writers get ErrBusy,
// Flush the disk's error, Close ends; nothing acknowledged is lost.
func TestStalledFlush(t *testing.T) {
	for _, how := range []string{"resume", "close"} {
		fs := disktest.New()
		opt := faultOptions(fs)
		opt.QueueTimeout = 200 * time.Millisecond
		db := open(t, opt)
		fs.Fail(disktest.FailRule{Op: disktest.OpCreate, Name: "sst/*", Sticky: true})
		value := string(make([]byte, 8<<10))
		acked := 0
		var err error
		for err == nil {
			if err = put(db, "k", uint64(acked), value); err == nil {
				acked++
			}
		}
		if !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		if n := db.Stats().FrozenMemtables; n > stopFrozen {
			t.Errorf("%d frozen memtables", n)
		}
		inTime(t, "flush", func() {
			if err := db.Flush(); err == nil {
				t.Error("flush did not fail")
			}
		})
		if how == "resume" {
			fs.Heal()
			inTime(t, "flush", func() {
				for db.Flush() != nil {
					time.Sleep(time.Millisecond)
				}
			})
		}
		inTime(t, "close", func() {
			if err := db.Close(); (err == nil) != (how == "resume") {
				t.Errorf("close: %v", err)
			}
		})
		fs.Heal()
		db = open(t, testOptions(fs))
		wantCount(t, db, "k", uint64(acked))
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func wantCount(t *testing.T, db *DB, key string, want uint64) {
	t.Helper()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	n, err := snap.Count([]byte(key), ScanOptions{To: kv.MaxID})
	if err != nil || n != want {
		t.Fatalf("%q has %d records, want %d: %v", key, n, want, err)
	}
}

// TestIncrements: Updates of many goroutines see each other's effects exactly
// once, across flushes and merges.
func TestIncrements(t *testing.T) {
	const goroutines, rounds = 16, 60
	db := open(t, testOptions(disktest.New()))
	increment := func(key string) error {
		return db.Update(func(tx *Tx) error {
			rec, _, err := tx.Newest([]byte(key), kv.MaxID)
			if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(rec.Value)) // 0 before the first
			return tx.Put(&Op{Key: []byte(key), Value: strconv.AppendInt(nil, int64(n+1), 10)})
		}, []byte(key))
	}
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			for i := range rounds {
				if err := increment(fmt.Sprint("counter:", i%2)); err != nil {
					t.Error(err)
				}
				if g == 0 && i%20 == 19 {
					if err := db.Compact(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	work.Wait()
	for i := range 2 {
		wantNewest(t, db, fmt.Sprint("counter:", i), 0, strconv.Itoa(goroutines*rounds/2))
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadersAndWriters runs writers, readers and maintenance at once. Each batch
// writes the same number under two keys: a reader sees its own writes at once,
// numbers that never fall, and both keys of a batch or none.
func TestReadersAndWriters(t *testing.T) {
	for _, mode := range []SyncMode{SyncAlways, SyncOS} {
		opt := testOptions(disktest.New())
		opt.Sync = mode
		db := open(t, opt)
		rounds := 400
		if testing.Short() {
			rounds = 150
		}
		const pairs = 4
		var writers, readers sync.WaitGroup
		stop := make(chan struct{})
		for p := range pairs {
			writers.Go(func() { writePair(t, db, p, rounds) })
			readers.Go(func() {
				last := uint64(0)
				for more := true; more; {
					select {
					case <-stop:
						more = false
					default:
					}
					last = readPair(t, db, p, last)
				}
				if last != uint64(rounds) {
					t.Errorf("pair %d ended at %d", p, last)
				}
			})
		}
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := db.Compact(); err != nil {
					t.Error(err)
				}
			}
		})
		inTime(t, "writers", writers.Wait)
		close(stop)
		inTime(t, "readers", readers.Wait)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func pairKeys(p int) [2][]byte {
	return [2][]byte{fmt.Append(nil, "a", p), fmt.Append(nil, "b", p)}
}

func writePair(t *testing.T, db *DB, p, rounds int) {
	keys := pairKeys(p)
	var b Batch
	value := make([]byte, 400) // incompressible enough to fill memtables
	for i := 1; i <= rounds; i++ {
		b.Reset()
		binary.BigEndian.PutUint64(value, uint64(i))
		for _, key := range keys {
			b.Put(key, kv.ID{Time: uint64(i)}, value)
		}
		if err := db.Apply(&b); err != nil {
			t.Error(err)
			return
		}
		rec, ok, err := db.Get(keys[i%2], kv.MaxID, nil)
		if err != nil || !ok || rec.ID.Time != uint64(i) || binary.BigEndian.Uint64(rec.Value) != uint64(i) {
			t.Errorf("own write %d: %v %v %v", i, rec.ID, ok, err)
			return
		}
	}
}

// readPair reads both keys of a pair in one snapshot and returns their number.
func readPair(t *testing.T, db *DB, p int, last uint64) uint64 {
	snap, err := db.Snapshot()
	if err != nil {
		t.Error(err)
		return last
	}
	defer snap.Release()
	var n [2]uint64
	for i, key := range pairKeys(p) {
		rec, _, err := snap.Get(key, kv.MaxID, nil)
		if err != nil {
			t.Error(err)
		}
		n[i] = rec.ID.Time
	}
	count, err := snap.Count(pairKeys(p)[0], ScanOptions{To: kv.MaxID})
	if err != nil || n[0] != n[1] || n[0] < last || count != n[0] {
		t.Errorf("pair %d: %d and %d, %d records, after %d: %v", p, n[0], n[1], count, last, err)
	}
	return n[0]
}
