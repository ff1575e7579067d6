package engine

import (
	"fmt"
	"sync/atomic"
	"testing"

	"tskv/kv"
)

// BenchmarkApply is the write line below RESP: queue, decision, log and memtable,
// on a real disk. One operation is one record.
func BenchmarkApply(b *testing.B) {
	event := []byte(fmt.Sprintf("%0216d", 0))
	event[0] = '{'
	for _, payload := range []struct {
		name  string
		value []byte
	}{{"numeric", []byte("21.57")}, {"event216", event}} {
		for _, mode := range []SyncMode{SyncOS, SyncAlways} {
			for _, size := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/%s/batch%d", payload.name, mode, size), func(b *testing.B) {
					benchApply(b, Options{Sync: mode}, size, payload.value)
				})
			}
		}
	}
}

func benchApply(b *testing.B, opt Options, size int, value []byte) {
	db, err := Open(b.TempDir(), opt)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "series:%d", i)
	}
	var next atomic.Uint64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var batch Batch
		for more := true; more; {
			batch.Reset()
			for range size {
				if more = pb.Next(); !more {
					break
				}
				n := next.Add(1)
				batch.Put(keys[n%1000], kv.ID{Time: n * 100}, value)
			}
			if err := db.Apply(&batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}
