package command

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tskv/kv"
)

// plainRecord formats a row the slow way.
func plainRecord(rows *kv.Rows, i int, withTags bool) string {
	row := rows.Row(i)
	id, value := row.ID.String(), string(row.AppendValue(nil))
	n := 2
	if withTags {
		n = 3
	}
	s := fmt.Sprintf("*%d\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", n, len(id), id, len(value), value)
	if withTags {
		s += fmt.Sprintf("*%d\r\n", row.Tags.Len())
		for tag := range row.Tags.All() {
			s += fmt.Sprintf("$%d\r\n%s\r\n", len(tag), tag)
		}
	}
	return s
}

func TestRowEncoder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	tags, err := kv.MakeTagSet([][]byte{[]byte("a"), []byte("bb")})
	if err != nil {
		t.Fatal(err)
	}
	var rows kv.Rows
	times := []uint64{0, 1, 99_999_999, 100_000_000, 1_700_000_000_000, math.MaxUint64, 1_699_999_999_999, 1_700_000_100_000_000}
	const limit = 999_999_999_999_999_999
	nums := []int64{0, 1, -1, 9, 10, 99, 100, limit, -limit, 123_456}
	for range 5000 {
		row := kv.Row{ID: kv.ID{Time: times[rng.IntN(len(times))] + rng.Uint64N(3)}}
		if rng.IntN(3) == 0 {
			row.ID.Seq = rng.Uint64() >> rng.IntN(64)
		}
		if rng.IntN(4) > 0 {
			row.Form, row.Num = kv.Form(rng.IntN(kv.MaxScale+1)), nums[rng.IntN(len(nums))]
		} else {
			row.Form, row.Raw = kv.FormRaw, make([]byte, rng.IntN(200))
		}
		if rng.IntN(5) == 0 {
			row.Tags = tags
		}
		rows.Append(row)
	}
	for _, withTags := range []bool{false, true} {
		enc := rowEncoder{withTags: withTags}
		for i := range rows.Len() {
			if got, want := string(enc.append(nil, &rows, i)), plainRecord(&rows, i, withTags); got != want {
				t.Fatalf("row %v: %q, want %q", rows.Row(i), got, want)
			}
		}
	}
}

func BenchmarkFormatRows(b *testing.B) {
	var rows kv.Rows
	for i := range 8192 {
		rows.Append(kv.Row{ID: kv.ID{Time: 1_700_000_000_000 + uint64(i)*10_003}, Form: 2, Num: int64(2000 + i%500)})
	}
	var enc rowEncoder
	var dst []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		dst = dst[:0]
		for i := range rows.Len() {
			dst = enc.append(dst, &rows, i)
		}
		n += rows.Len()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
