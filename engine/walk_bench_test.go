package engine

import (
	"fmt"
	"testing"

	"tskv/kv"
)

// layoutStore holds rows numbers of one key in a layout:
//
//	one        one file
//	late       one file, and a flushed and an unflushed row every 100,000 rows of it
//	alternate  two files whose rows alternate
func layoutStore(b *testing.B, layout string, rows int) *DB {
	b.Helper()
	db, err := Open(b.TempDir(), Options{Sync: SyncOS, MemtableBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.compactMu.Lock()
	b.Cleanup(db.compactMu.Unlock)
	write := func(from, step int, seq uint64) {
		var batch Batch
		for i := from; i < rows; i += step {
			batch.Put([]byte("k"), kv.ID{Time: uint64(i), Seq: seq}, fmt.Appendf(nil, "%d.%02d", i%90, i%100))
			if len(batch.Ops) == 4096 || i+step >= rows {
				if err := db.Apply(&batch); err != nil {
					b.Fatal(err)
				}
				batch.Reset()
			}
		}
	}
	flush := func() {
		if err := db.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	switch layout {
	case "alternate":
		write(0, 2, 0)
		flush()
		write(1, 2, 0)
		flush()
	default:
		write(0, 1, 0)
		flush()
		if layout == "late" {
			write(50_000, 100_000, 1)
			flush()
			write(70_000, 100_000, 1)
		}
	}
	return db
}

// BenchmarkCount counts 10 million records, finds the last but 1,000 by OFFSET,
// and reads the last ten.
func BenchmarkCount(b *testing.B) {
	const rows = 10_000_000
	for _, layout := range []string{"one", "late", "alternate"} {
		db := layoutStore(b, layout, rows)
		snap, err := db.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		all, err := snap.Count([]byte("k"), ScanOptions{To: kv.MaxID})
		if err != nil || all < rows {
			b.Fatal(all, err)
		}
		for _, c := range []struct {
			name  string
			count bool
			opt   ScanOptions
			want  uint64
		}{
			{"count", true, ScanOptions{To: kv.MaxID}, all},
			{"countPart", true, ScanOptions{From: kv.ID{Time: 1234567}, To: kv.ID{Time: 8765432}}, 0},
			{"offset", false, ScanOptions{To: kv.MaxID, Offset: rows - 1000, Limit: 10}, 10},
			{"offsetRev", false, ScanOptions{To: kv.MaxID, Offset: rows - 1000, Limit: 10, Reverse: true}, 10},
			{"last10", false, ScanOptions{To: kv.MaxID, Limit: 10, Reverse: true}, 10},
		} {
			b.Run(layout+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				decoded := db.metrics.BlocksDecoded.Value()
				for range b.N {
					n := uint64(0)
					if c.count {
						n, err = snap.Count([]byte("k"), c.opt)
					} else {
						n, err = readAll(snap, c.opt)
					}
					if err != nil || c.want > 0 && n != c.want {
						b.Fatal(n, err)
					}
				}
				b.ReportMetric(float64(db.metrics.BlocksDecoded.Value()-decoded)/float64(b.N), "blocks/op")
			})
		}
		b.Run(layout+"/scan", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if n, err := readAll(snap, ScanOptions{To: kv.MaxID}); n != all || err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(all)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
		snap.Release()
	}
}

// readAll reads a scan to its end and returns the number of its rows.
func readAll(snap *Snapshot, o ScanOptions) (uint64, error) {
	sc, err := snap.Scan([]byte("k"), o)
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	var n uint64
	for {
		rows, err := sc.Next()
		if rows == nil || err != nil {
			return n, err
		}
		n += uint64(rows.Len())
	}
}

// BenchmarkTag finds the 10 of 1 million events, in some 800 blocks, that have a tag.
func BenchmarkTag(b *testing.B) {
	const rows = 1_000_000
	db, err := Open(b.TempDir(), Options{Sync: SyncOS, MemtableBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	rare, err := kv.MakeTagSet([][]byte{[]byte("rare")})
	if err != nil {
		b.Fatal(err)
	}
	var batch Batch
	for i := range rows {
		op := batch.Add()
		op.Key, op.ID, op.Value = []byte("k"), kv.ID{Time: uint64(i)}, fmt.Appendf(nil, "event number %d of many", i)
		if i%100_000 == 55_555 {
			op.Tags = rare
		}
		if len(batch.Ops) == 4096 || i == rows-1 {
			if err := db.Apply(&batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	for i := range 3 { // the memtable of the events is not kept warm then
		batch.Put([]byte("other"), kv.ID{Time: uint64(i)}, []byte("1"))
		if err := db.Apply(&batch); err != nil {
			b.Fatal(err)
		}
		batch.Reset()
		if err := db.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	snap, err := db.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer snap.Release()
	for _, opt := range []ScanOptions{{To: kv.MaxID, Tags: rare}, {To: kv.MaxID, Tags: rare, Reverse: true, Limit: 1}} {
		for _, read := range []struct {
			name string
			run  func() (uint64, error)
		}{
			{"scan", func() (uint64, error) { return readAll(snap, opt) }},
			{"count", func() (uint64, error) { return snap.Count([]byte("k"), opt) }},
		} {
			b.Run(fmt.Sprintf("%s/limit=%d", read.name, opt.Limit), func(b *testing.B) {
				decoded := db.metrics.BlocksDecoded.Value()
				for range b.N {
					if n, err := read.run(); err != nil || n != 10 && n != opt.Limit {
						b.Fatal(n, err)
					}
				}
				b.ReportMetric(float64(db.metrics.BlocksDecoded.Value()-decoded)/float64(b.N), "blocks/op")
			})
		}
	}
}
