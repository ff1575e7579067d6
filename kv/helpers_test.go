package kv

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the randomised tests; 0 takes the time")
	updateFlag = flag.Bool("update", false, "rewrite the golden files")
)

// newRand returns a source of randomness whose seed the test logs when it fails.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run again with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

var errBroken = errors.New("broken source")

// sliceSource yields rows in batches of size rows, or of random sizes up to it. With
// poison it overwrites a batch's memory once it is no longer valid.
type sliceSource struct {
	rows    Rows
	size    int
	rng     *rand.Rand
	poison  bool
	failAt  int // rows after which it fails; 0 is never
	at      int
	batches []*Rows
	last    Rows
	closed  int
}

func (s *sliceSource) Next() (*Rows, error) {
	if s.poison {
		poisonRows(&s.last)
	}
	if s.failAt > 0 && s.at >= s.failAt {
		return nil, errBroken
	}
	if s.at == s.rows.Len() {
		return nil, nil
	}
	n := s.size
	if s.rng != nil {
		n = 1 + s.rng.IntN(s.size)
	}
	end := min(s.at+n, s.rows.Len())
	if s.failAt > 0 {
		end = min(end, s.failAt)
	}
	batch := s.rows.Slice(s.at, end)
	if s.poison {
		batch = deepCopy(&batch)
		s.last = batch
	}
	s.at = end
	s.batches = append(s.batches, &batch)
	return &batch, nil
}

func (s *sliceSource) Close() { s.closed++ }

func deepCopy(r *Rows) Rows {
	var c Rows
	for i := range r.Len() {
		row := r.Row(i)
		row.Raw = append([]byte(nil), row.Raw...)
		row.Tags = append(TagSet(nil), row.Tags...)
		c.Append(row)
	}
	if len(r.Num) == 0 {
		c.Num, c.Raw, c.Tags = nil, nil, nil
	}
	return c
}

func poisonRows(r *Rows) {
	for i := range r.Len() {
		r.Time[i], r.Seq[i], r.Form[i] = 0xDEAD, 0xDEAD, 0xDE
		if i < len(r.Num) {
			r.Num[i] = -0xDEAD
		}
		if i < len(r.Raw) {
			for j := range r.Raw[i] {
				r.Raw[i][j] = '#'
			}
		}
		if i < len(r.Tags) {
			for j := range r.Tags[i] {
				r.Tags[i][j] = '#'
			}
		}
	}
}

// text shows a row in one line.
func text(row Row) string {
	s := fmt.Sprintf("%v %x %d %q", row.ID, uint8(row.Form), row.Num, row.Raw)
	for tag := range row.Tags.All() {
		s += fmt.Sprintf(" #%q", tag)
	}
	return s
}

// collect reads a source to its end, checks the shape of every batch and closes it.
func collect(t *testing.T, s Source) []string {
	t.Helper()
	var out []string
	for {
		rows, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			break
		}
		checkShape(t, rows)
		for i := range rows.Len() {
			out = append(out, text(rows.Row(i)))
		}
	}
	if rows, err := s.Next(); rows != nil || err != nil {
		t.Fatalf("Next after the end: %v, %v", rows, err)
	}
	s.Close()
	s.Close()
	return out
}

func checkShape(t *testing.T, r *Rows) {
	t.Helper()
	n := r.Len()
	optional := func(have int) bool { return have == 0 || have == n }
	if n == 0 || len(r.Seq) != n || len(r.Form) != n || !optional(len(r.Num)) || !optional(len(r.Raw)) || !optional(len(r.Tags)) {
		t.Fatalf("columns of %d, %d, %d, %d, %d, %d rows", n, len(r.Seq), len(r.Form), len(r.Num), len(r.Raw), len(r.Tags))
	}
}
