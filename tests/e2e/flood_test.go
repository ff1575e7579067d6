package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"tskv/tests/harness"
)

// flood writes many records fast: commands of floodBatch records, floodWindow of
// them under way on one connection.
type flood struct {
	c       *harness.Conn
	buf     []byte
	id, val []byte
	waiting []time.Time // when the commands under way were sent
	slowest time.Duration
	sent    int64 // bytes of values
}

const (
	floodBatch  = 1000
	floodWindow = 8
)

// batch sends one command; rec appends the value of record i and returns its key
// and time.
func (f *flood) batch(t *testing.T, n int, rec func(i int, value []byte) (key string, ms int64, filled []byte)) {
	t.Helper()
	f.buf = append(f.buf[:0], '*')
	f.buf = strconv.AppendInt(f.buf, int64(3*n+1), 10)
	f.buf = append(f.buf, "\r\n$4\r\nMPUT\r\n"...)
	for i := range n {
		key, ms, val := rec(i, f.val[:0])
		f.val = val
		f.id = strconv.AppendInt(f.id[:0], ms, 10)
		f.buf = bulk(f.buf, key)
		f.buf = bulk(f.buf, f.id)
		f.buf = bulk(f.buf, val)
		f.sent += int64(len(val))
	}
	if len(f.waiting) == floodWindow {
		f.reply(t)
	}
	f.waiting = append(f.waiting, time.Now())
	if _, err := f.c.Write(f.buf); err != nil {
		t.Fatal(err)
	}
}

func bulk[T string | []byte](dst []byte, s T) []byte {
	dst = strconv.AppendInt(append(dst, '$'), int64(len(s)), 10)
	dst = append(dst, "\r\n"...)
	return append(append(dst, s...), "\r\n"...)
}

// reply reads the answer to the oldest command under way.
func (f *flood) reply(t *testing.T) {
	t.Helper()
	head, err := f.c.Head()
	for range head.Count {
		if err == nil {
			_, err = f.c.Read()
		}
	}
	if err != nil || !head.IsAggregate() {
		t.Fatalf("MPUT: %v %s", err, head.Text)
	}
	f.slowest = max(f.slowest, time.Since(f.waiting[0]))
	f.waiting = f.waiting[1:]
}

// finish waits for all answers.
func (f *flood) finish(t *testing.T) {
	t.Helper()
	for len(f.waiting) > 0 {
		f.reply(t)
	}
}

// event appends a line of a web server's log in JSON, some 216 bytes.
func event(dst []byte, r *rand.Rand, ms int64) []byte {
	return fmt.Appendf(dst, `{"ts":%d,"level":"%s","service":"checkout-%d","method":"GET","path":"/v1/orders/%d/items","status":%d,"duration_ms":%d.%02d,"bytes":%d,"user":"u-%06d","trace":"%016x","message":"request completed"}`,
		ms, []string{"info", "info", "info", "warn", "error"}[r.IntN(5)], r.IntN(8), r.IntN(100_000), []int{200, 200, 200, 404, 500}[r.IntN(5)],
		r.IntN(900), r.IntN(100), r.IntN(50_000), r.IntN(200_000), r.Uint64())
}

// latencies measures n calls of do.
func latencies(n int, do func()) (p50, p99 time.Duration) {
	all := make([]time.Duration, n)
	for i := range all {
		begin := time.Now()
		do()
		all[i] = time.Since(begin)
	}
	slices.Sort(all)
	return all[n/2], all[n*99/100]
}
