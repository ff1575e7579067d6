package engine

import (
	"fmt"
	"testing"

	"tskv/kv"
)

// readStore holds series x rows numbers in "memory", in a "warm" memtable, or in a
// "file".
func readStore(b *testing.B, series, rows int, where string) *DB {
	b.Helper()
	dir, opt := b.TempDir(), Options{Sync: SyncOS, MemtableBytes: 256 << 20}
	db, err := Open(dir, opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	var batch Batch
	for i := range rows {
		for s := range series {
			batch.Put(fmt.Appendf(nil, "series:%d", s), kv.ID{Time: uint64(i) * 1000}, fmt.Appendf(nil, "%d.%02d", i%90, i%100))
			if len(batch.Ops) == 4096 || i == rows-1 && s == series-1 {
				if err := db.Apply(&batch); err != nil {
					b.Fatal(err)
				}
				batch.Reset()
			}
		}
	}
	switch where {
	case "warm":
		if err := db.Flush(); err != nil {
			b.Fatal(err)
		}
	case "file":
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		if db, err = Open(dir, opt); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

// BenchmarkGet reads single records: the newest, and one at a time within.
func BenchmarkGet(b *testing.B) {
	const series, rows = 1000, 1000
	for _, place := range []string{"memory", "warm", "file"} {
		db := readStore(b, series, rows, place)
		keys := make([][]byte, series)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "series:%d", i)
		}
		for _, at := range []string{"newest", "at"} {
			b.Run(place+"/"+at, func(b *testing.B) {
				b.ReportAllocs()
				var dst []byte
				for i := range b.N {
					id := kv.MaxID
					if at == "at" {
						id = kv.ID{Time: uint64(i*7919%rows) * 1000}
					}
					rec, ok, err := db.Get(keys[i*31%series], id, dst[:0])
					if err != nil || !ok {
						b.Fatal(ok, err)
					}
					dst = rec.Value
				}
			})
		}
	}
}

// BenchmarkScan reads whole series; one operation is one row.
func BenchmarkScan(b *testing.B) {
	const rows = 1 << 20
	for _, place := range []string{"memory", "file"} {
		db := readStore(b, 1, rows, place)
		snap, err := db.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		for _, reverse := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/reverse=%t", place, reverse), func(b *testing.B) {
				b.ReportAllocs()
				for done := 0; done < b.N; {
					sc, err := snap.Scan([]byte("series:0"), ScanOptions{To: kv.MaxID, Reverse: reverse})
					if err != nil {
						b.Fatal(err)
					}
					for {
						batch, err := sc.Next()
						if err != nil {
							b.Fatal(err)
						}
						if batch == nil {
							break
						}
						done += batch.Len()
					}
					sc.Close()
				}
			})
		}
		snap.Release()
	}
}
