package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tskv/tests/harness"
)

// TestRealSyncFailure is goal G8 without a trick in the process: an ext4 whose
// image lies on a file system that is full, so that the kernel cannot write back
// what it has taken. The first failed sync is final; what was acknowledged before
// is there after the image got room, a check of the file system and a restart,
// and no cache is left of it.
func TestRealSyncFailure(t *testing.T) {
	for _, mode := range []string{"always", "interval"} {
		t.Run(mode, func(t *testing.T) {
			under := harness.Tmpfs(t, 96<<20)
			loop := harness.NewLoop(t, under, 512<<20)
			dir := filepath.Join(loop.Dir, "data")
			flags := []string{"--sync", mode, "--sync-interval", "20ms", "--memtable-bytes", "268435456", "--min-free-bytes", "1048576"}
			s := harness.Start(t, harness.Binary(t), dir, flags...)
			c := s.Dial(t)
			defer c.Close()
			acked, last := 0, time.Time{}
			refusal := ""
			for begin := time.Now(); refusal == "" && time.Since(begin) < 60*time.Second; {
				reply, err := c.Do("PUT", "k", fmt.Sprint(acked+1), big(acked))
				if err != nil {
					t.Fatalf("%v\n%s", err, s.Log())
				}
				if reply.IsError() {
					refusal = string(reply.Text)
				} else {
					acked, last = acked+1, time.Now()
				}
			}
			t.Logf("%d acknowledged; %v later: %s", acked, time.Since(last), refusal)
			if !strings.HasPrefix(refusal, "READONLY ") || !strings.Contains(refusal, "sync of the log failed") {
				t.Fatalf("%q\n%s", refusal, s.Log())
			}
			harness.Resize(t, under, 600<<20)
			for range 5 {
				if reply, err := c.Do("PUT", "k2", "1", "v"); err != nil || !strings.HasPrefix(string(reply.Text), "READONLY ") {
					t.Errorf("after the failed sync: %s %v", harness.Text(reply), err)
				}
			}
			want(t, c, big(0), "GET", "k", "AT", "1")
			if got := numbers(t, s); got[`tskv_read_only_reason{reason="sync_failed"}`] != 1 {
				t.Error("the metric does not say why")
			}
			s.Kill()
			loop.Unmount(t) // and with it every page that the kernel held
			loop.Repair(t)
			loop.Mount(t)
			s = harness.Start(t, harness.Binary(t), dir, flags...)
			again := s.Dial(t)
			defer again.Close()
			checkSurvivors(t, again, acked, mode == "always")
			want(t, again, "1-0", "PUT", "k3", "1", "writes go on")
		})
	}
}

// checkSurvivors wants the records of one key to be a prefix of what was written,
// and all of it if every acknowledgement was a promise.
func checkSurvivors(t *testing.T, c *harness.Conn, acked int, all bool) {
	t.Helper()
	n := int(c.Must(t, "COUNT", "k").Int)
	t.Logf("%d of %d acknowledged records are there", n, acked)
	if n > acked+1 || all && n < acked {
		t.Errorf("%d records, %d were acknowledged", n, acked)
	}
	for i := range n {
		want(t, c, big(i), "GET", "k", "AT", fmt.Sprint(i+1))
	}
	want(t, c, "0", "EXISTS", "k2")
}

// TestSlowSync is goal G11: each fdatasync takes two seconds longer. Writers wait,
// readers do not, memory stays bounded though many write, and kill -9 in the middle
// loses nothing that was acknowledged.
func TestSlowSync(t *testing.T) {
	tool := needsStrace(t)
	dir := t.TempDir()
	s, c := startOn(t, dir)
	fill(t, c, "k", 1000, 20)
	s.Kill()
	s = startInjected(t, tool, dir, "fdatasync", "delay_enter=2000000")
	c = s.Dial(t)
	defer c.Close()
	before := rss(t, s)
	const clients = 32
	var acked [clients]atomic.Int64
	for i := range clients {
		w := connect(t, s)
		go func() { // ends when the server is killed
			for n := 0; ; n++ {
				reply, err := w.Do("PUT", fmt.Sprint("w", i), fmt.Sprint(n+1), value(n, 20))
				if err != nil || reply.IsError() {
					return
				}
				acked[i].Add(1)
			}
		}()
	}
	reader := watch(connect(t, s), "GET", "k")
	begin := time.Now()
	eventually(t, 20*time.Second, "some syncs", func() bool { return time.Since(begin) > 9*time.Second })
	p99 := reader.finish(t, 50*time.Millisecond)
	grown := rss(t, s) - before
	s.Kill()
	sum := 0
	for i := range acked {
		sum += int(acked[i].Load())
	}
	t.Logf("%d acknowledged of %d clients in 9 s; %d reads, p99 %v; memory grew by %d kB", sum, clients, len(reader.latencies), p99, grown)
	if sum < clients || sum > 20*clients {
		t.Errorf("void: %d acknowledged", sum)
	}
	if grown > 64<<10 {
		t.Errorf("memory grew by %d kB", grown)
	}
	_, again := startOn(t, dir)
	for i := range acked {
		checkRecords(t, again, fmt.Sprint("w", i), int(acked[i].Load()), 1)
	}
	want(t, again, "1000", "COUNT", "k")
}

// TestStartWithFewDescriptors: a store of more tables than the process may open
// says so, and what to do; it is unharmed.
func TestStartWithFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	s, c := startOn(t, dir)
	for i := range 30 { // far apart in time: a table each
		c.Must(t, "PUT", "k", fmt.Sprint(uint64(i)*90*86_400_000), value(i, 20))
	}
	c.Must(t, "SAVE")
	if n := numbers(t, s)["tskv_files"]; n < 20 {
		t.Fatalf("void: %v tables", n)
	}
	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	poor := startBy(t, "ulimit -n 24; exec \"$BIN\" \"$@\"", dir)
	if err := poor.Wait(10 * time.Second); err == nil || !strings.Contains(poor.Log(), "too many open files") || !strings.Contains(poor.Log(), "ulimit -n") {
		t.Errorf("%v\n%s", err, poor.Log())
	}
	_, c = startOn(t, dir)
	want(t, c, "30", "COUNT", "k")
}

// TestCleanStart: a stop in order is said so at the next start, which replays
// nothing and reads no more of the log than its last record.
func TestCleanStart(t *testing.T) {
	dir := t.TempDir()
	s, c := startOn(t, dir)
	fill(t, c, "k", 2000, 100)
	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s, c = startOn(t, dir)
	if log := s.Log(); !strings.Contains(log, "clean=true") || !strings.Contains(log, "log_operations=0") {
		t.Errorf("after a stop in order:\n%s", log)
	}
	want(t, c, "2000", "COUNT", "k")
	s.Kill()
	s, c = startOn(t, dir)
	if !strings.Contains(s.Log(), "clean=false") {
		t.Errorf("after kill -9:\n%s", s.Log())
	}
	want(t, c, "2000", "COUNT", "k")
	if _, err := os.Stat(filepath.Join(dir, "RESERVE")); err != nil {
		t.Log("the reserve is not made yet:", err)
	}
}
