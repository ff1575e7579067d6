package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tskv/tests/harness"
)

// TestIdle holds many idle connections (G18), each of which has worked before:
// 250 MB are enough for 10,000 of them. The one too many is told so at once.
func TestIdle(t *testing.T) {
	n := setting("TSKV_IDLE", 2000)
	s, c := start(t, "--maxclients", fmt.Sprint(n))
	want(t, c, fmt.Sprintf("[maxclients %d]", n), "CONFIG", "GET", "maxclients")
	before := rss(t, s)
	idle := make([]net.Conn, 0, n)
	defer func() {
		for _, nc := range idle {
			_ = nc.Close()
		}
	}()
	for len(idle) < n-1 { // c is the last of n
		nc, err := net.DialTimeout("tcp", s.Addr, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", len(idle), err)
		}
		idle = append(idle, nc)
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		pong := make([]byte, 7)
		if _, err := io.ReadFull(nc, pong); err != nil || string(pong) != "+PONG\r\n" {
			t.Fatalf("connection %d: %q %v", len(idle), pong, err)
		}
	}
	if got := numbers(t, s)["tskv_connections_open"]; got != float64(n) {
		t.Errorf("connections_open is %v, not %d", got, n)
	}
	limit := 250 << 10 * n / 10_000
	grown := 0
	eventually(t, 10*time.Second, "idle connections are cheap", func() bool {
		grown = rss(t, s) - before
		return grown <= limit
	})
	t.Logf("%d idle connections: RSS %d kB, grown by %d kB", n, rss(t, s), grown)
	if total := rss(t, s); total > 250<<10 {
		t.Errorf("RSS is %d kB", total)
	}
	var slowest time.Duration
	for range 20 {
		slowest = max(slowest, tooMany(t, s))
	}
	if slowest > 100*time.Millisecond {
		t.Errorf("the connection over the limit waited %v for its error", slowest)
	}
	p := watch(c, "PING")
	eventually(t, 5*time.Second, "some answers", func() bool { return numbers(t, s)["tskv_commands_total{command=\"ping\"}"] > float64(n+200) })
	p.finish(t, calm)
	_ = idle[0].Close()
	eventually(t, 2*time.Second, "room for one more", func() bool {
		extra, err := s.TryDial()
		if err == nil {
			extra.Close()
		}
		return err == nil
	})
}

// tooMany connects over the limit and returns how long the error took.
func tooMany(t *testing.T, s *harness.Server) time.Duration {
	t.Helper()
	begin := time.Now()
	nc, err := net.DialTimeout("tcp", s.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(begin.Add(5 * time.Second)) // fails on a dead socket only
	got, err := io.ReadAll(nc)
	if string(got) != "-ERR max number of clients reached\r\n" {
		t.Fatalf("over the limit: %q %v", got, err)
	}
	return time.Since(begin)
}

// TestFewDescriptors (G10) floods both doors of a server that may open few files:
// it does not spin, those whom it serves can write and flush, and it takes new
// clients when there is room.
func TestFewDescriptors(t *testing.T) {
	for _, limit := range []int{64, 128, 256} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			script := fmt.Sprintf("ulimit -n %d; exec \"$BIN\" \"$@\"", limit)
			s := startBy(t, script, t.TempDir(), "--memtable-bytes", "65536")
			old := s.Dial(t)
			defer old.Close()
			crowd := gather(s, 2*limit)
			defer crowd.leave()
			besiege(t, s, old)
			fill(t, old, "k", 2000, 100) // needs files for log segments and tables
			want(t, old, "2000", "COUNT", "k")
			crowd.leave()
			recovers(t, s)
			want(t, old, value(1999, 100), "GET", "k")
		})
	}
}

// TestOutOfDescriptors takes all descriptors away while the server runs, and gives
// them back: reads and writes go on, accepting is retried without haste, and
// whatever needs a new file meanwhile fails with an error and works again later.
func TestOutOfDescriptors(t *testing.T) {
	tool := needs(t, "prlimit")
	s, old := start(t, "--memtable-bytes", "65536")
	fill(t, old, "k", 100, 100)
	files := func(n int) {
		t.Helper()
		if _, errOut, code := run(t, "", nil, tool, fmt.Sprintf("--nofile=%d:20000", n), "--pid", fmt.Sprint(s.Pid())); code != 0 {
			t.Skipf("SKIPPED, NOTHING IS PROVED: prlimit: %s", errOut)
		}
	}
	files(5)
	crowd := gather(s, 20)
	defer crowd.leave()
	besiege(t, s, old)
	if n := strings.Count(s.Log(), "accept connection"); n == 0 || n > 50 {
		t.Errorf("%d failed accepts in two seconds", n)
	}
	want(t, old, "1-0", "PUT", "small", "1", "v")
	acked := 0
	for ; acked < 2000; acked++ {
		reply, err := old.Do("PUT", "more", fmt.Sprint(acked+1), value(acked, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if reply.IsError() {
			t.Logf("after %d writes: %s", acked, reply.Text)
			break
		}
	}
	files(1024)
	crowd.leave()
	recovers(t, s)
	eventually(t, 5*time.Second, "writes go on", func() bool {
		reply, err := old.Do("PUT", "more", fmt.Sprint(acked+1), value(acked, 1000))
		return err == nil && !reply.IsError()
	})
	want(t, old, fmt.Sprint(acked+1), "COUNT", "more")
	s.Kill()
	_, c := startOn(t, s.Dir)
	want(t, c, fmt.Sprint(acked+1), "COUNT", "more")
	want(t, c, "100", "COUNT", "k")
}

// besiege checks that an old client is served and that the server does not spin.
func besiege(t *testing.T, s *harness.Server, old *harness.Conn) {
	t.Helper()
	second := func() float64 {
		used, begin := cpu(t, s.Pid()), time.Now()
		eventually(t, 5*time.Second, "a second", func() bool { return time.Since(begin) > time.Second })
		return float64(cpu(t, s.Pid())-used) / float64(time.Since(begin))
	}
	p := watch(old, "PING")
	busy := second()
	p99 := p.finish(t, 2*calm)
	idle := second()
	for range 2 { // a second in which other tests had the processor says nothing
		if idle > 0.10 {
			idle = min(idle, second())
		}
	}
	t.Logf("CPU %.1f %% beside %d PINGs with p99 %v, %.1f %% without", 100*busy, len(p.latencies), p99, 100*idle)
	if idle > 0.10 {
		t.Errorf("CPU %.1f %% with nothing to do", 100*idle)
	}
}

// recovers wants a new client to be served soon.
func recovers(t *testing.T, s *harness.Server) {
	t.Helper()
	begin := time.Now()
	eventually(t, 2*time.Second, "new clients are served", func() bool {
		c, err := s.TryDial()
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	t.Logf("recovered in %v", time.Since(begin))
}

// crowd is many connections that want nothing.
type crowd []net.Conn

// gather connects n times to each door, as far as it gets.
func gather(s *harness.Server, n int) *crowd {
	var c crowd
	for range n {
		for _, addr := range []string{s.HTTP, s.Addr} {
			if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
				_, _ = nc.Write([]byte("G")) // the begin of a request; the server may have closed
				c = append(c, nc)
			}
		}
	}
	return &c
}

func (c *crowd) leave() {
	for _, nc := range *c {
		_ = nc.Close()
	}
	*c = nil
}
