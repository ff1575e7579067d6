package memtable

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tskv/kv"
)

// TestConcurrentReaders runs one writer beside readers of every kind. A group
// writes one row with the group's number into each of four series; readers must
// see whole groups only, in order, and bytes that belong to the row.
func TestConcurrentReaders(t *testing.T) {
	groups := uint64(30000)
	if testing.Short() {
		groups = 5000
	}
	const width = 4
	table := New(Options{}, 1)
	defer table.Unref()
	var visible atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	keys := make([][]byte, width)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "series %d", i)
	}
	for reader := range 3 {
		wg.Go(func() {
			for round := 0; !stop.Load(); round++ {
				maxSeq := visible.Load()
				if reader == 2 {
					walk(t, table, maxSeq)
					continue
				}
				key := keys[round%width]
				s := table.Find(key)
				if maxSeq == 0 || s == nil {
					continue
				}
				if reader == 0 {
					readNewest(t, table, s, maxSeq/width)
				} else {
					readRows(t, table, s, maxSeq/width, round%2 == 0)
				}
			}
		})
	}
	writeGroups(table, keys, groups, &visible)
	stop.Store(true)
	wg.Wait()
}

// writeGroups gives group g the ID of groupID(g): every third comes late.
func writeGroups(table *Table, keys [][]byte, groups uint64, visible *atomic.Uint64) {
	seq := uint64(0)
	for g := uint64(1); g <= groups; g++ {
		for _, key := range keys {
			seq++
			row := kv.Row{ID: groupID(g), Form: kv.FormRaw, Raw: binary.BigEndian.AppendUint64(nil, g)}
			table.Add(table.Series(key), seq, &row)
		}
		if g%16 == 0 { // new series split buckets under the walkers
			table.Series(binary.BigEndian.AppendUint64([]byte("x"), g*0x9E3779B97F4A7C15))
		}
		if g%1000 == 0 {
			table.AddTombstone(kv.Tombstone{Key: []byte("elsewhere"), To: kv.MaxID, Seq: seq})
		}
		visible.Store(seq)
	}
}

func groupID(g uint64) kv.ID {
	if g%3 == 0 && g > 3 {
		return kv.ID{Time: g - 3}
	}
	return kv.ID{Time: g}
}

func checkRow(t *testing.T, row *kv.Row) uint64 {
	if len(row.Raw) != 8 {
		t.Errorf("row %v with %d bytes", row.ID, len(row.Raw))
		return 0
	}
	g := binary.BigEndian.Uint64(row.Raw)
	if groupID(g) != row.ID {
		t.Errorf("row %v holds group %d", row.ID, g)
	}
	return g
}

func readNewest(t *testing.T, table *Table, s *Series, groups uint64) {
	row, _, ok := table.Newest(s, kv.MaxID, groups*4)
	want := groups
	if groups%3 == 0 && groups > 3 {
		want--
	}
	if g := checkRow(t, &row); !ok || g != want {
		t.Errorf("newest is group %d at %d groups", g, groups)
	}
}

func readRows(t *testing.T, table *Table, s *Series, groups uint64, reverse bool) {
	r := kv.Range{From: kv.ID{Time: groups - min(groups, 3000)}, To: kv.MaxID, Reverse: reverse}
	src := table.Source(s, r, groups*4)
	defer src.Close()
	n, last := 0, kv.ID{}
	for {
		b, err := src.Next()
		if err != nil {
			t.Error(err)
		}
		if b == nil {
			break
		}
		for i := range b.Len() {
			row := b.Row(i)
			if n > 0 && last.Less(row.ID) == reverse {
				t.Errorf("%v after %v", row.ID, last)
			}
			last = row.ID
			if g := checkRow(t, &row); g > groups {
				t.Errorf("group %d is visible at %d", g, groups)
			}
			n++
		}
	}
	want := 0
	for g := uint64(1); g <= groups; g++ {
		if r.Contains(groupID(g)) {
			want++
		}
	}
	if groups >= 6 && r.From.Time <= 3 {
		want-- // group 6 takes the ID of group 3
	}
	if n != want {
		t.Errorf("%d rows at %d groups, want %d", n, groups, want)
	}
}

func walk(t *testing.T, table *Table, maxSeq uint64) {
	it := table.Iterator(nil, maxSeq)
	defer it.Close()
	n := 0
	for {
		key, err := it.Next()
		if err != nil {
			t.Error(err)
		}
		if key == nil {
			break
		}
		n++
	}
	if maxSeq > 0 && n != 4 {
		t.Errorf("%d series with rows, want 4", n)
	}
}
