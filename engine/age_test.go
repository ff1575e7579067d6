package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
)

// TestFreezeByAge: an idle store flushes what has been in memory for ten minutes,
// and nothing before that; an empty memtable is left alone.
func TestFreezeByAge(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	opt := testOptions(disktest.New())
	opt.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	db := open(t, opt)
	defer func() { _ = db.Close() }()
	later := func(d time.Duration) { now.Add(d.Milliseconds()) }
	age := func() *memory {
		db.checkAge()
		v := db.acquire()
		defer v.release()
		return v.mem[0]
	}
	later(time.Hour)
	if age().aged.Load() {
		t.Fatal("an empty memtable has aged")
	}
	put := func() {
		t.Helper()
		var b Batch
		b.Append([]byte("key"), []byte("1"))
		if err := errors.Join(db.Apply(&b), b.Ops[0].Err); err != nil {
			t.Fatal(err)
		}
	}
	put()
	age()
	later(maxMemtableAge - time.Second)
	put()
	if age().aged.Load() || db.Stats().FlushedSeq != 0 {
		t.Fatal("flushed too early")
	}
	done := db.flushed()
	later(time.Second)
	db.checkAge()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("no flush after ten minutes")
	}
	if st := db.Stats(); st.FlushedSeq != st.VisibleSeq || st.MemtableRows != 0 {
		t.Errorf("%+v", st)
	}
	put()
	later(-time.Hour)
	age()
	later(maxMemtableAge / 2)
	if age().aged.Load() {
		t.Error("a clock set back makes a memtable old")
	}
}

// TestFreezeBySeries: a memtable of many series with a row each is full by what
// they cost, not by their rows' bytes.
func TestFreezeBySeries(t *testing.T) {
	opt := testOptions(disktest.New())
	opt.MemtableBytes = 1 << 20
	db := open(t, opt)
	defer func() { _ = db.Close() }()
	const keys = 20_000
	for i := 0; i < keys; {
		var b Batch
		for range 500 {
			b.Append(fmt.Appendf(nil, "sensor:%017d", i), []byte("1"))
			i++
		}
		if err := db.Apply(&b); err != nil {
			t.Fatal(err)
		}
	}
	// A key is two series: its catalog row and its data.
	const cost = 2 * 185
	if n, want := db.metrics.Flushes.Value(), uint64(keys*cost/opt.MemtableBytes); n+3 < want || n > want+1 {
		t.Errorf("%d flushes of %d keys, want about %d", n, keys, want)
	}
}
