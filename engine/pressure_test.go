package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

func TestDecide(t *testing.T) {
	const rate = 100 << 20
	f := func(p pressure, want writeState, wantShare float64) {
		t.Helper()
		p.flushRate = rate
		a := p.decide()
		if a.state != want || a.state == writesSlow && (a.rate < wantShare*rate*0.99 || a.rate > wantShare*rate*1.01) {
			t.Errorf("%+v: %v at %.2f of the flush rate, want %v at %.2f", p, a.state, a.rate/rate, want, wantShare)
		}
		if (a.reason == "") != (want == writesOpen) {
			t.Errorf("%+v: reason %q", p, a.reason)
		}
	}
	f(pressure{}, writesOpen, 0)
	f(pressure{frozen: 1, freeze: true, full: true}, writesOpen, 0)
	f(pressure{frozen: 2}, writesSlow, 0.8)
	f(pressure{frozen: 2, freeze: true, full: true}, writesSlow, 0.8)
	f(pressure{frozen: 3}, writesSlow, 0.8) // there is room in the active one
	f(pressure{frozen: 3, freeze: true}, writesStopped, 0)
	f(pressure{frozen: 3, freeze: true, full: true}, writesStopped, 0)
	f(pressure{hotFiles: 23, freeze: true, full: true}, writesOpen, 0)
	f(pressure{hotFiles: 24}, writesSlow, 0.8)
	f(pressure{hotFiles: 36}, writesSlow, 0.45)
	f(pressure{hotFiles: 47, full: true, freeze: true}, writesSlow, 0.129)
	f(pressure{hotFiles: 48}, writesSlow, 0.1)
	f(pressure{hotFiles: 480}, writesSlow, 0.1)
	f(pressure{hotFiles: 48, freeze: true}, writesSlow, 0.1) // a flush that was asked for
	f(pressure{hotFiles: 48, freeze: true, full: true}, writesStopped, 0)
	f(pressure{hotFiles: 24, frozen: 2}, writesSlow, 0.8)
	f(pressure{hotFiles: 48, frozen: 2}, writesSlow, 0.1)
	if a := (pressure{frozen: 2}).decide(); a.rate != slowShare*guessedRate {
		t.Errorf("without a known flush rate: %+v", a)
	}
}

// TestThrottle admits what the rate says, whatever the size of groups, and lets no
// group wait longer than its bound.
func TestThrottle(t *testing.T) {
	for _, size := range []int{100, 50_000, 400_000} {
		const rate = 4 << 20
		th := throttle{}
		now := time.Unix(1, 0)
		start, admitted := now, 0
		for now.Sub(start) < 20*time.Second {
			wait := th.wait(now, rate)
			if wait < 0 || wait > maxSlowWait {
				t.Fatalf("wait of %v", wait)
			}
			now = now.Add(wait + 10*time.Microsecond)
			th.admit(size)
			admitted += size
		}
		got := float64(admitted) / now.Sub(start).Seconds()
		if got > rate*1.05 || got < rate*0.95 && size != 100 {
			t.Errorf("groups of %d bytes: %.0f bytes/s at a rate of %d", size, got, rate)
		}
	}
	th := throttle{at: time.Unix(1, 0), debt: 1 << 40}
	if n := th.wait(time.Unix(1, 0), 1<<20); n != maxSlowWait || th.debt > 1<<20 {
		t.Errorf("after a huge batch: wait %v, debt %.0f", n, th.debt)
	}
}

// wantStates compares the states of writes, in the order in which they were logged.
func wantStates(t *testing.T, text *logText, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.SplitSeq(text.String(), "\n") {
		if i := strings.Index(line, "writes are held back\" state="); i >= 0 {
			got = append(got, strings.Fields(line[i:])[4][len("state="):])
		} else if strings.Contains(line, "writes are admitted without delay") {
			got = append(got, "open")
		}
	}
	if fmt.Sprint(got[:min(len(got), len(want))]) != fmt.Sprint(want) {
		t.Errorf("states were %v, want %v first", got, want)
	}
}

// TestSlowDownBeforeStop holds all flushes: writes are slowed down, then stopped,
// then answered with ErrBusy, while reads go on; when the disk goes on, writes do so
// by themselves.
func TestSlowDownBeforeStop(t *testing.T) {
	fs := disktest.New()
	opt := testOptions(fs)
	opt.QueueTimeout = 300 * time.Millisecond
	text := &logText{}
	opt.Logger = text.logger()
	db := open(t, opt)
	release := make(chan struct{})
	var hold atomic.Bool
	hold.Store(true)
	fs.Before(func(op disktest.Op, name string) {
		if op == disktest.OpCreate && strings.HasPrefix(name, "sst/") && hold.Load() {
			<-release
		}
	})
	acked := fillUntilBusy(t, db)
	if db.metrics.WriteSlow.Value() == 0 || db.metrics.Stalls.Value() == 0 || db.metrics.Busy.Value() == 0 {
		t.Errorf("slow for %d ns, %d stops, %d busy", db.metrics.WriteSlow.Value(), db.metrics.Stalls.Value(), db.metrics.Busy.Value())
	}
	if n := db.metrics.WriteState.Value(); n != int64(writesStopped) {
		t.Errorf("state %d", n)
	}
	wantStates(t, text, "slow", "stopped")
	wantNewest(t, db, "k", uint64(acked-1), strings.Repeat("v", 4<<10))
	done := make(chan error)
	go func() { done <- put(db, "other", 1, "x") }()
	hold.Store(false)
	close(release)
	inTime(t, "write", func() {
		for err := <-done; err != nil; err = put(db, "other", 1, "x") {
			if !errors.Is(err, ErrBusy) {
				t.Error(err)
				return
			}
		}
	})
	inTime(t, "open again", func() {
		for db.metrics.WriteState.Value() != int64(writesOpen) {
			mustPut(t, db, "other", 2, "x")
		}
	})
	wantCount(t, db, "k", uint64(acked))
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// fillUntilBusy writes records of 4 KiB until one is refused, and returns how many
// were not.
func fillUntilBusy(t *testing.T, db *DB) int {
	t.Helper()
	value := strings.Repeat("v", 4<<10)
	for acked := 0; ; acked++ {
		switch err := put(db, "k", uint64(acked), value); {
		case errors.Is(err, ErrBusy):
			return acked
		case err != nil || acked > 10_000:
			t.Fatalf("after %d records: %v", acked, err)
		}
	}
}

// TestTooManyFiles holds all compactions while flushes make files in one window.
func TestTooManyFiles(t *testing.T) {
	opt := testOptions(disktest.New())
	opt.QueueTimeout = 300 * time.Millisecond
	text := &logText{}
	opt.Logger = text.logger()
	db := heldOpen(t, opt)
	for i := range slowHotFiles {
		mustPut(t, db, "k", uint64(i), "v")
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	mustPut(t, db, "k", 50, "v")
	if n := db.metrics.WriteState.Value(); n != int64(writesSlow) || db.Stats().HotFiles != slowHotFiles {
		t.Fatalf("state %d with %d files", n, db.Stats().HotFiles)
	}
	for i := slowHotFiles; i < stopHotFiles; i++ {
		mustPut(t, db, "k", uint64(i), "v")
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	acked := fillUntilBusy(t, db)
	wantStates(t, text, "slow", "stopped")
	if acked >= stopHotFiles {
		t.Fatalf("%d records were taken", acked)
	}
	wantNewest(t, db, "k", 50, "v")
	db.compactMu.Unlock()
	inTime(t, "resume", func() {
		for err := ErrBusy; err != nil; err = put(db, "k", 100_000, "v") {
			if !errors.Is(err, ErrBusy) {
				t.Error(err)
				return
			}
		}
	})
	inTime(t, "compaction", func() {
		for db.Stats().HotFiles >= slowHotFiles {
			time.Sleep(time.Millisecond)
		}
	})
	wantCount(t, db, "k", stopHotFiles+2)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestFilesThatCannotBeMerged: where compaction has nothing to gain, waiting for it
// would never end, so files do not stop writes.
func TestFilesThatCannotBeMerged(t *testing.T) {
	db := heldOpen(t, testOptions(disktest.New()))
	for i := range stopHotFiles + 2 {
		id := flushRows(t, db, "k", 0, i, 1)
		db.damaged.note(id, errors.New("damaged by the test"))
	}
	db.compactMu.Unlock()
	if err := db.compactAll(); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("v", 4<<10)
	for i := range 100 { // several memtables
		mustPut(t, db, "k", hugeWindow+uint64(i), value)
	}
	if n := db.metrics.Stalls.Value(); n != 0 {
		t.Errorf("%d stops", n)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestWriteAmplification: the counters say what was written.
func TestWriteAmplification(t *testing.T) {
	db := open(t, testOptions(disktest.New()))
	var b Batch
	b.Put([]byte("key"), kv.ID{Time: 1}, []byte("value"))
	b.Put([]byte("key"), kv.ID{Time: 2}, []byte("12.5"))
	b.Update(func(tx *Tx) error {
		if err := tx.Put(&Op{Key: []byte("key"), Value: []byte("undone")}); err != nil {
			return err
		}
		return errUndo
	}, []byte("key"))
	if err := db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	m := db.metrics
	if n := m.UserBytes.Value(); n != 2*(3+timeBytes)+5+4 {
		t.Errorf("%d user bytes", n)
	}
	if m.WALStored.Value() <= m.WALBytes.Value() {
		t.Errorf("%d bytes in the log for %d bytes of payload", m.WALStored.Value(), m.WALBytes.Value())
	}
	log := m.WriteAmplification()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	want := float64(m.WALStored.Value()+m.FlushBytes.Value()) / float64(m.UserBytes.Value())
	if got := m.WriteAmplification(); got != want || got <= log {
		t.Errorf("write amplification %.2f, then %.2f, want %.2f", log, got, want)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// logText collects what a store logs.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
