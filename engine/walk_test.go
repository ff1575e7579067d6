package engine

import (
	"errors"
	"fmt"
	"testing"

	"tskv/disk/disktest"
	"tskv/kv"
)

const longRows = 1_000_000

// longStore holds longRows numbers of key k in one file, about 122 blocks, that no
// compaction touches. Every 100,000th row has the tag rare.
func longStore(t *testing.T) *DB {
	t.Helper()
	opt := testOptions(disktest.New())
	opt.MemtableBytes, opt.SegmentBytes, opt.Sync = 256<<20, 64<<20, SyncOS
	db := open(t, opt)
	rare := tagSet(t, "rare")
	var batch Batch
	for i := range longRows {
		op := batch.Add()
		op.Key, op.ID, op.Value = []byte("k"), kv.ID{Time: uint64(i)}, fmt.Appendf(nil, "%d", i)
		if i%100_000 == 55_555 {
			op.Tags = rare
		}
		if len(batch.Ops) == 10_000 {
			apply(t, db, &batch)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, opt) // without warm memtables
	db.compactMu.Lock()
	t.Cleanup(func() {
		db.compactMu.Unlock()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func apply(t *testing.T, db *DB, b *Batch) {
	t.Helper()
	if err := db.Apply(b); err != nil {
		t.Fatal(err)
	}
	b.Reset()
}

func flush(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
}

func tagSet(t *testing.T, tags ...string) kv.TagSet {
	t.Helper()
	var list [][]byte
	for _, tag := range tags {
		list = append(list, []byte(tag))
	}
	set, err := kv.MakeTagSet(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func deleteRows(t *testing.T, db *DB, from, to uint64) {
	t.Helper()
	err := db.Update(func(tx *Tx) error {
		return tx.DeleteRange([]byte("k"), kv.ID{Time: from}, kv.ID{Time: to})
	}, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
}

// at is a range of times.
func at(from, to uint64) ScanOptions {
	return ScanOptions{From: kv.ID{Time: from}, To: kv.ID{Time: to}}
}

// reading is something read from key k: how many rows there are, the first ID
// if it is a scan, and how many blocks may be opened for it.
type reading struct {
	what   string
	opt    ScanOptions
	scan   bool
	want   uint64
	first  uint64
	blocks uint64
}

func checkReadings(t *testing.T, db *DB, layout string, readings []reading) {
	t.Helper()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	for _, r := range readings {
		before := db.metrics.BlocksDecoded.Value()
		var n, first uint64
		if r.scan {
			n, first = readScan(t, snap, r.opt)
		} else if n, err = snap.Count([]byte("k"), r.opt); err != nil {
			t.Fatal(err)
		}
		blocks := db.metrics.BlocksDecoded.Value() - before
		if n != r.want || first != r.first || blocks > r.blocks {
			t.Errorf("%s, %s: %d rows from %d, want %d from %d; %d blocks opened, at most %d", layout, r.what, n, first, r.want, r.first, blocks, r.blocks)
		}
	}
}

func readScan(t *testing.T, snap *Snapshot, o ScanOptions) (n, first uint64) {
	t.Helper()
	sc, err := snap.Scan([]byte("k"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	for {
		rows, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			return n, first
		}
		if n == 0 {
			first = rows.Time[0]
		}
		n += uint64(rows.Len())
	}
}

// TestBlocksOpened: counts, offsets, last records and tags open the blocks that
// they must and no others, in one layout after the other of the same store.
func TestBlocksOpened(t *testing.T) {
	db := longStore(t)
	rare, absent := tagSet(t, "rare"), tagSet(t, "rare", "absent")
	all := ScanOptions{To: kv.MaxID}
	rev := ScanOptions{To: kv.MaxID, Reverse: true}
	with := func(o ScanOptions, offset, limit uint64, tags kv.TagSet) ScanOptions {
		o.Offset, o.Limit, o.Tags = offset, limit, tags
		return o
	}
	readings := []reading{
		{"count", all, false, longRows, 0, 0},
		{"count of a part", at(123_456, 876_543), false, 753_088, 0, 2},
		{"count with a limit", with(all, 5, 100, nil), false, 100, 0, 2},
		{"offset", with(all, 999_000, 10, nil), true, 10, 999_000, 2},
		{"offset from the end", with(rev, 999_000, 10, nil), true, 10, 999, 2},
		{"offset beyond the end", with(all, longRows, 10, nil), true, 0, 0, 0},
		{"last ten", with(rev, 0, 10, nil), true, 10, 999_999, 1},
		{"tag", with(all, 0, 0, rare), true, 10, 55_555, 10},
		{"tag from the end", with(rev, 3, 2, rare), true, 2, 655_555, 5},
		{"count of a tag", with(all, 0, 0, rare), false, 10, 0, 10},
		{"tags that are nowhere", with(all, 0, 0, absent), false, 0, 0, 0},
	}
	checkReadings(t, db, "one file", readings)
	// New rows in memory, far behind.
	for i := range 10 {
		mustPut(t, db, "k", longRows+uint64(i), "1")
	}
	readings[0].want += 10
	readings[4].first, readings[5].want, readings[5].first, readings[6].first = 1009, 10, longRows, longRows+9
	checkReadings(t, db, "new rows in memory", readings)
	// Late rows, that a file of few rows holds besides: 2 new ones, 2 again.
	var batch Batch
	for _, id := range []kv.ID{{Time: 300_000}, {Time: 300_000, Seq: 1}, {Time: 700_000}, {Time: 700_000, Seq: 1}} {
		batch.Put([]byte("k"), id, []byte("2"))
	}
	apply(t, db, &batch)
	readings[0].want, readings[1].want = readings[0].want+2, readings[1].want+2
	readings[3].first -= 2
	readings[4].first += 2
	readings[5].first -= 2
	for i := range readings {
		readings[i].blocks += 2
	}
	readings[5].want, readings[5].blocks = 12, 4
	readings[5].opt.Limit = 0
	checkReadings(t, db, "late rows in memory", readings)
	flush(t, db)
	for i := range readings {
		readings[i].blocks += 2
	}
	checkReadings(t, db, "late rows in a file", readings)
	// Most of the rows are deleted.
	deleteRows(t, db, 100_000, 899_999)
	readings = []reading{
		{"count", all, false, 200_010, 0, 6},
		{"count of a part", at(50_000, 949_999), false, 100_000, 0, 6},
		{"offset", with(all, 150_000, 10, nil), true, 10, 950_000, 8},
		{"offset from the end", with(rev, 150_010, 10, nil), true, 10, 49_999, 8},
		{"tag", with(all, 0, 0, rare), true, 2, 55_555, 4},
	}
	checkReadings(t, db, "range deleted", readings)
	flush(t, db)
	checkReadings(t, db, "range deleted before the flush", readings)
}

// TestNewestUnderTombstones: the newest record of a key whose newest rows are
// deleted is found without a walk over them.
func TestNewestUnderTombstones(t *testing.T) {
	db := longStore(t)
	check := func(layout string, want uint64) {
		t.Helper()
		before := db.metrics.BlocksDecoded.Value()
		rec, ok, err := db.Get([]byte("k"), kv.MaxID, nil)
		if err != nil || !ok || rec.ID.Time != want || string(rec.Value) != fmt.Sprint(want) {
			t.Fatalf("%s: %v %q %v %v, want %d", layout, rec.ID, rec.Value, ok, err, want)
		}
		if n := db.metrics.BlocksDecoded.Value() - before; n > 4 {
			t.Errorf("%s: %d blocks opened", layout, n)
		}
	}
	check("one file", longRows-1)
	deleteRows(t, db, 10, longRows)
	check("deleted in memory", 9)
	flush(t, db)
	check("deleted", 9)
	mustPut(t, db, "k", 500_000, "500000")
	check("written again", 500_000)
	flush(t, db)
	deleteRows(t, db, 400_000, 600_000)
	check("deleted again", 9)
	deleteRows(t, db, 0, longRows)
	if rec, ok, err := db.Get([]byte("k"), kv.MaxID, nil); ok || err != nil {
		t.Fatal(rec, err)
	}
}

// TestStop: work that yields nothing asks whether to stop, and ends with the
// error that it is given.
func TestStop(t *testing.T) {
	db := longStore(t)
	// A second file with other rows in between: everything must be read.
	var batch Batch
	for i := range longRows / 100 {
		batch.Put([]byte("k"), kv.ID{Time: uint64(i) * 100, Seq: 1}, []byte("1"))
	}
	apply(t, db, &batch)
	flush(t, db)
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	enough := errors.New("enough")
	asked := 0
	o := ScanOptions{To: kv.MaxID, Stop: func() error {
		if asked++; asked == 3 {
			return enough
		}
		return nil
	}}
	tagged, offset := o, o
	tagged.Tags, offset.Offset = tagSet(t, "absent", "rare"), 2*longRows
	for what, read := range map[string]func() error{
		"count":        func() error { _, err := snap.Count([]byte("k"), o); return err },
		"count of tag": func() error { _, err := snap.Count([]byte("k"), tagged); return err },
		"offset":       func() error { _, err := snap.Scan([]byte("k"), offset); return err },
		"tag": func() error {
			sc, err := snap.Scan([]byte("k"), tagged)
			if err != nil {
				return err
			}
			defer sc.Close()
			_, err = sc.Next()
			return err
		},
	} {
		asked = 0
		before := db.metrics.BlocksDecoded.Value()
		if err := read(); !errors.Is(err, enough) {
			t.Errorf("%s: %v", what, err)
		}
		if n := db.metrics.BlocksDecoded.Value() - before; n > 60 {
			t.Errorf("%s: %d blocks opened after it was told to stop", what, n)
		}
	}
}
