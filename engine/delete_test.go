package engine

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

func deleteRange(t testing.TB, db *DB, key string, from, to uint64) {
	t.Helper()
	err := db.Update(func(tx *Tx) error {
		return tx.DeleteRange([]byte(key), kv.ID{Time: from}, kv.ID{Time: to, Seq: ^uint64(0)})
	}, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
}

func deleteKey(t testing.TB, db *DB, key string) {
	t.Helper()
	err := db.Update(func(tx *Tx) error {
		_, err := tx.Delete([]byte(key))
		return err
	}, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
}

// fillSeries writes n numbers under a key and flushes them.
func fillSeries(t testing.TB, db *DB, key string, n int) {
	t.Helper()
	var b Batch
	for i := 0; i < n; {
		b.Reset()
		for end := min(i+10_000, n); i < end; i++ {
			b.Put([]byte(key), kv.ID{Time: uint64(i)}, fmt.Append(nil, i%1000))
		}
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestDeleteTakesConstantTime: DEL of a key with a thousand times the rows writes as
// much into the log and allocates as much.
func TestDeleteTakesConstantTime(t *testing.T) {
	type cost struct {
		log    uint64
		allocs uint64
		bytes  uint64
	}
	measure := func(rows int) cost {
		opt := testOptions(disktest.New())
		opt.MemtableBytes, opt.SegmentBytes = 16<<20, 16<<20
		db := open(t, opt)
		defer func() { _ = db.Close() }()
		fillSeries(t, db, "k", rows)
		db.compactMu.Lock() // nothing else allocates
		defer db.compactMu.Unlock()
		var before, after runtime.MemStats
		log := db.metrics.WALBytes.Value()
		runtime.ReadMemStats(&before)
		deleteKey(t, db, "k")
		runtime.ReadMemStats(&after)
		c := cost{db.metrics.WALBytes.Value() - log, after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc}
		if db.Keys() != 0 {
			t.Errorf("%d keys are left", db.Keys())
		}
		wantCount(t, db, "k", 0)
		return c
	}
	small, large := measure(300), measure(300_000)
	t.Logf("300 rows: %+v, 300,000 rows: %+v", small, large)
	if large.log > small.log || large.allocs > small.allocs+500 || large.bytes > small.bytes+256<<10 {
		t.Errorf("300 rows cost %+v, 300,000 rows %+v", small, large)
	}
}

// TestRangeDeletesStayFew deletes parts of keys again and again, all of them
// apart from each other: their tombstones do not pile up, and the space comes back.
func TestRangeDeletesStayFew(t *testing.T) {
	opt := testOptions(disktest.New())
	opt.MemtableBytes = 1 << 20
	opt.purgeAfter = 500
	db := open(t, opt)
	const keys, rows = 8, 5000
	for k := range keys {
		fillSeries(t, db, fmt.Sprint("k", k), rows)
	}
	gone, most := 0, 0
	for i := range 400 { // a fifth of the rows, so that no file is rewritten for its part
		for k := range keys {
			deleteRange(t, db, fmt.Sprint("k", k), uint64(i*10), uint64(i*10+1))
			gone += 2
		}
		if i%20 == 19 {
			if err := db.Compact(); err != nil {
				t.Fatal(err)
			}
			most = max(most, db.Stats().Tombstones)
		}
	}
	s := db.Stats()
	if most >= 2*opt.purgeAfter || s.FileRows > uint64(keys*rows-gone+2*opt.purgeAfter) {
		t.Errorf("up to %d tombstones, %d rows in files, %d should be", most, s.FileRows, keys*rows-gone)
	}
	for k := range keys {
		wantCount(t, db, fmt.Sprint("k", k), rows-2*400)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestDeletedPartIsReclaimed: a quarter of a file that is deleted is written away,
// a file that is deleted as a whole is dropped unread, however it was deleted.
func TestDeletedPartIsReclaimed(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.MemtableBytes = 4 << 20
	db := open(t, opt)
	for k := range 4 {
		var b Batch
		for i := range 1000 {
			b.Put(fmt.Append(nil, "k", k), kv.ID{Time: uint64(i)}, []byte("12345.75"))
		}
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
	}
	compact := func(wantRows uint64, wantTombs int) {
		t.Helper()
		if err := db.Compact(); err != nil {
			t.Fatal(err)
		}
		if s := db.Stats(); s.FileRows != wantRows || s.Tombstones != wantTombs {
			t.Fatalf("%d rows in files, want %d; %d tombstones, want %d", s.FileRows, wantRows, s.Tombstones, wantTombs)
		}
	}
	compact(4000, 0)
	deleteRange(t, db, "k0", 100, 499)
	deleteRange(t, db, "k0", 200, 599) // 500 rows with the one before it, not 800
	deleteRange(t, db, "k1", 100, 399)
	compact(4000, 3) // 800 rows are less than a quarter
	deleteRange(t, db, "k2", 100, 299)
	compact(3000, 0)
	deleteRange(t, db, "k0", 0, 99)
	compact(3000, 1)
	deleteKey(t, db, "k1")
	deleteKey(t, db, "k2")
	deleteRange(t, db, "k0", 0, 2000)
	reads, dropped := db.metrics.CompactionBytesIn.Value(), db.metrics.FilesDropped.Value()
	deleteRange(t, db, "k3", 0, 499)
	deleteRange(t, db, "k3", 500, 2000)
	compact(0, 0)
	// Only files of the catalog, where deleted keys are rows, may have been read.
	if db.metrics.FilesDropped.Value() == dropped {
		t.Errorf("no file was dropped; %d bytes were read", db.metrics.CompactionBytesIn.Value()-reads)
	}
	for k := range 4 {
		wantCount(t, db, fmt.Sprint("k", k), 0)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestTombstonesOfShortLives: keys that are made and deleted in memory leave nothing
// in the manifest, also where other keys have files.
func TestTombstonesOfShortLives(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	fillSeries(t, db, "stays", 100)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		key := fmt.Sprintf("session:%x", rng.Uint64())
		mustPut(t, db, key, 1, "1")
		deleteKey(t, db, key)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().Tombstones; n > 20 { // filters let one in a hundred through
		t.Errorf("%d tombstones", n)
	}
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().Tombstones; n != 0 {
		t.Errorf("%d tombstones after compaction", n)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
