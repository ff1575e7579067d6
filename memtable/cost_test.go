package memtable

import (
	"fmt"
	"runtime"
	"testing"

	"tskv/kv"
)

// TestBytesOfManySeries compares Bytes with what the heap grows by, for a table of
// many series with few rows each.
func TestBytesOfManySeries(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the heap")
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, rows := range []int{1, 3} {
		const series = 300_000
		before := heap()
		table := New(Options{Bytes: 1 << 30}, 1)
		seq := uint64(0)
		for i := range series {
			s := table.Series(fmt.Appendf(nil, "\x02sensor:%016d", i*7919%series))
			for j := range rows {
				seq++
				table.Add(s, seq, &kv.Row{ID: kv.ID{Time: uint64(j)}, Num: 1})
			}
		}
		grown := heap() - before
		t.Logf("%d rows: %d bytes per series, Bytes says %d", rows, grown/series, table.Bytes()/series)
		if ratio := float64(grown) / float64(table.Bytes()); ratio < 0.85 || ratio > 1.15 {
			t.Errorf("%d series of %d rows take %d bytes of heap, Bytes says %d", series, rows, grown, table.Bytes())
		}
		runtime.KeepAlive(table)
	}
}
