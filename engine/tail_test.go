package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// fromStart replays everything.
func fromStart(*Snapshot, []byte) (kv.ID, bool, error) { return kv.MinID, true, nil }

func openTail(t *testing.T, db *DB, o TailOptions) *Tail {
	t.Helper()
	tail, err := db.Tail(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tail.Close)
	return tail
}

// collect reads events until it has n, as "key id value".
func collect(t *testing.T, tail *Tail, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	for len(got) < n {
		events, err := tail.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(got), n, err)
		}
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %v %s", e.Key, e.ID, e.Value))
		}
	}
	return got
}

func mustAppend(t *testing.T, db *DB, key, value string) kv.ID {
	t.Helper()
	var b Batch
	b.Append([]byte(key), []byte(value))
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	return b.Ops[0].ID
}

func TestTail(t *testing.T) {
	fs := disktest.New()
	db := open(t, testOptions(fs))
	defer func() { _ = db.Close() }()
	for i := range 3 {
		mustPut(t, db, "k", uint64(i+1), "old")
	}
	all := openTail(t, db, TailOptions{Key: []byte("k"), Start: fromStart})
	end := openTail(t, db, TailOptions{Key: []byte("k")})
	pattern := openTail(t, db, TailOptions{Prefix: []byte("k"), Match: func(key []byte) bool { return len(key) < 3 }})
	mustPut(t, db, "k", 10, "1.50")
	mustPut(t, db, "k2", 11, "two")
	mustPut(t, db, "k33", 12, "no")
	mustPut(t, db, "k", 2, "late")
	mustPut(t, db, "other", 5, "no")
	mustPut(t, db, "k", 12, "end")
	check := func(tail *Tail, want ...string) {
		t.Helper()
		if got := collect(t, tail, len(want)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if more, err := tail.Poll(); err != nil || len(more) > 0 {
			t.Errorf("more events: %v, %v", more, err)
		}
	}
	// The first tail began before the late record was written: it is new.
	check(all, "k 1-0 old", "k 2-0 late", "k 3-0 old", "k 10-0 1.50", "k 12-0 end")
	check(end, "k 10-0 1.50", "k 2-0 late", "k 12-0 end")
	check(pattern, "k 10-0 1.50", "k2 11-0 two", "k 2-0 late", "k 12-0 end")

	// A group comes at once.
	var pair Batch
	pair.Put([]byte("k4"), kv.ID{Time: 1}, []byte("a"))
	pair.Put([]byte("k5"), kv.ID{Time: 1}, []byte("b"))
	if err := db.Apply(&pair); err != nil {
		t.Fatal(err)
	}
	if events, err := pattern.Next(t.Context()); err != nil || len(events) != 2 {
		t.Errorf("a part of a group: %v %v", events, err)
	}

	// An Update that fails leaves no event.
	failed := errors.New("failed")
	err := db.Update(func(tx *Tx) error {
		if err := tx.Put(&Op{Key: []byte("k"), Mode: IDAuto, Value: []byte("undone")}); err != nil {
			return err
		}
		return failed
	}, []byte("k"))
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	check(end)
	tag, err := kv.MakeTagSet([][]byte{[]byte("t")})
	if err != nil {
		t.Fatal(err)
	}
	tagged := openTail(t, db, TailOptions{Key: []byte("k"), Tags: tag})
	var b Batch
	b.Put([]byte("k"), kv.ID{Time: 20}, []byte("a"))
	b.Put([]byte("k"), kv.ID{Time: 21}, []byte("b"))
	b.Ops[1].Tags = tag
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	check(tagged, "k 21-0 b")

	// A tail ends with its context and with the store.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tagged.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	closed := make(chan error)
	go func() {
		_, err := tagged.Next(t.Context())
		closed <- err
	}()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := db.Tail(TailOptions{Key: []byte("k")}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestTailLag lets a tail fall behind what is kept: records with greater IDs are
// found all the same; ones that came late are told about.
func TestTailLag(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	db.recent.limit = 1
	mustPut(t, db, "series", 100, "first")
	topic := openTail(t, db, TailOptions{Key: []byte("topic")})
	series := openTail(t, db, TailOptions{Key: []byte("series")})
	wide := openTail(t, db, TailOptions{Prefix: []byte("t")})
	var want []string
	for i := range 5000 {
		id := mustAppend(t, db, "topic", strconv.Itoa(i))
		want = append(want, fmt.Sprintf("topic %v %d", id, i))
		if i == 2500 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustPut(t, db, "series", 50, "late")
	mustPut(t, db, "series", 150, "next")
	mustAppend(t, db, "other", "x")
	for name, tail := range map[string]*Tail{"topic": topic, "wide": wide} {
		if got := collect(t, tail, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s: got %d events that are not those written", name, len(got))
		}
	}
	var lagged *LaggedError
	if _, err := series.Next(t.Context()); !errors.As(err, &lagged) || string(lagged.Key) != "series" {
		t.Fatalf("%v", err)
	}
	if got := collect(t, series, 1); got[0] != "series 150-0 next" {
		t.Errorf("%q", got)
	}
}

// TestTailModel lets tails of different speeds follow writers of topics, of a series
// with late records, and of transactions over several keys, through flushes and a
// small memory of recent events. No event comes twice, none of a topic is missing or
// out of order, and nothing of the series is missing unless
// the tail was told.
func TestTailModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	opt := testOptions(disktest.New())
	opt.Sync = SyncOS
	db := open(t, opt)
	defer func() { _ = db.Close() }()
	db.recent.limit = 40 * eventBytes
	const writes = 4000
	topics := []string{"t:0", "t:1", "t:2"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var readers sync.WaitGroup
	for n := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		o := TailOptions{Key: []byte(topics[n%3])}
		keys := 1
		switch {
		case n == 3:
			o.Key = []byte("series")
		case n > 3:
			o, keys = TailOptions{Prefix: []byte("t:")}, 3
		}
		if n%2 == 0 {
			o.Start = fromStart
		}
		tail := openTail(t, db, o)
		readers.Go(func() { followModel(ctx, t, tail, rng, writes*keys, string(o.Key) == "series") })
	}
	rng := rand.New(rand.NewPCG(seed, 100))
	for i := range writes {
		var b Batch
		for _, key := range topics {
			b.Append([]byte(key), strconv.AppendInt(nil, int64(i), 10))
		}
		b.Put([]byte("series"), kv.ID{Time: uint64(rng.IntN(1_000_000)), Seq: uint64(i)}, strconv.AppendInt(nil, int64(i), 10))
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}

// followModel reads n events: value i of each key after value i-1, in a series in
// the order of commits unless the tail lags.
func followModel(ctx context.Context, t *testing.T, tail *Tail, rng *rand.Rand, n int, series bool) {
	next, seen := map[string]int{}, map[string]bool{}
	for got := 0; got < n; {
		if rng.IntN(50) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) // a slow consumer
		}
		events, err := tail.Next(ctx)
		if errors.Is(err, ErrLagged) && series {
			return // its losses are told; TestTailLag looks at what follows
		}
		if err != nil {
			t.Errorf("after %d of %d events: %v", got, n, err)
			return
		}
		for _, e := range events {
			got++
			name := strings.Join([]string{string(e.Key), e.ID.String()}, " ")
			if seen[name] {
				t.Errorf("%s came twice", name)
			}
			seen[name] = true
			i, err := strconv.Atoi(string(e.Value))
			if err != nil || i != next[string(e.Key)] {
				t.Errorf("%s: value %q, want %d", name, e.Value, next[string(e.Key)])
				return
			}
			next[string(e.Key)]++
		}
	}
}

// TestTailOldSnapshot revokes the snapshots of a tail that catches up: it goes on
// with others, and nothing is missing or comes twice.
func TestTailOldSnapshot(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	defer func() { _ = db.Close() }()
	for i := range 10 {
		mustPut(t, db, "k", uint64(i+1), "v")
	}
	tail := openTail(t, db, TailOptions{Key: []byte("k"), Start: fromStart})
	memory := db.current.Load().mem[0]
	memory.revoked.Store(true)
	if events, err := tail.Poll(); err != nil || len(events) > 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	select {
	case <-tail.Woken():
	default:
		t.Error("nothing says when to look again")
	}
	memory.revoked.Store(false)
	if got := collect(t, tail, 10); got[0] != "k 1-0 v" || got[9] != "k 10-0 v" {
		t.Errorf("%q", got)
	}
	if events, err := tail.Poll(); err != nil || len(events) > 0 {
		t.Errorf("%d more events, %v", len(events), err)
	}
}
