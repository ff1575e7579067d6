package e2e

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tskv/tests/harness"
)

// needsStrace skips the test where strace is missing or may not trace.
func needsStrace(t *testing.T) string {
	t.Helper()
	tool := needs(t, "strace")
	out, err := exec.Command(tool, "-f", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true").CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, NOTHING IS PROVED: strace cannot trace here: %v\n%s", err, out)
	}
	return tool
}

// startInjected runs a server under strace with one rule of injection. The server
// is the process that the harness knows; strace is its grandchild (-D). Not with
// --seccomp-bpf: strace 6.1 then injects signals into the first call only.
func startInjected(t *testing.T, tool, dir, call, rule string, flags ...string) *harness.Server {
	t.Helper()
	script := fmt.Sprintf("exec %s -D -f -qq -o /dev/null -e trace=%s -e inject=%s:%s \"$BIN\" \"$@\"", tool, call, call, rule)
	return startBy(t, script, dir, flags...)
}

// TestSyncFails is goal G8: after the first failed sync nothing is acknowledged,
// reads go on, and after kill -9 and a restart all that was acknowledged is there.
func TestSyncFails(t *testing.T) {
	tool := needsStrace(t)
	dir := t.TempDir()
	s := startInjected(t, tool, dir, "fdatasync", "error=EIO:when=20+")
	c := s.Dial(t)
	defer c.Close()
	acked := 0
	var refusal string
	for begin := time.Now(); refusal == "" && time.Since(begin) < 20*time.Second; {
		reply, err := c.Do("PUT", "k", fmt.Sprint(acked+1), value(acked, 20))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Log())
		}
		if reply.IsError() {
			refusal = string(reply.Text)
		} else {
			acked++
		}
	}
	t.Logf("%d acknowledged, then: %s", acked, refusal)
	if !strings.HasPrefix(refusal, "READONLY ") || !strings.Contains(refusal, "input/output error") || acked < 10 {
		t.Errorf("after %d writes: %q", acked, refusal)
	}
	for _, other := range []*harness.Conn{c, connect(t, s)} {
		for _, args := range [][]string{{"PUT", "k2", "*", "v"}, {"SET", "k2", "v"}, {"DEL", "k"}, {"MPUT", "k", "*", "1", "k", "*", "2"}, {"INCR", "k3"}} {
			if reply, err := other.Do(args...); err != nil || !strings.HasPrefix(string(reply.Text), "READONLY ") {
				t.Errorf("%q after the failed sync: %s %v", args, harness.Text(reply), err)
			}
		}
		want(t, other, value(acked-1, 20), "GET", "k", "AT", fmt.Sprint(acked))
	}
	if code, body, err := page(s, "/readyz"); err != nil || code != 503 || !strings.Contains(body, "input/output error") {
		t.Errorf("readyz: %d %q %v", code, body, err)
	}
	if got := numbers(t, s); got["tskv_read_only"] != 1 || got["tskv_fsync_errors_total"] < 1 {
		t.Errorf("read_only %v, fsync errors %v", got["tskv_read_only"], got["tskv_fsync_errors_total"])
	}
	s.Kill()
	_, c = startOn(t, dir)
	checkRecords(t, c, "k", acked, 1)
	want(t, c, "0", "EXISTS", "k2", "k3")
	want(t, c, "1-0", "PUT", "k4", "1", "writes go on")
}

// checkRecords wants records 1..acked of a key, at most extra more behind them,
// and the right value in each.
func checkRecords(t *testing.T, c *harness.Conn, key string, acked, extra int) (found int) {
	t.Helper()
	rows := c.Must(t, "SCAN", key, "-", "+").Elems[1].Elems
	if len(rows) < acked || len(rows) > acked+extra {
		t.Errorf("%s: %d records, %d were acknowledged", key, len(rows), acked)
	}
	for i, row := range rows {
		if got := harness.Text(row); got != fmt.Sprintf("[%d-0 %s]", i+1, value(i, 20)) {
			t.Fatalf("%s: record %d is %s", key, i, got)
		}
	}
	return len(rows)
}

// point is the k-th call of a kind, counted by thread.
type point struct {
	call string
	k    int
}

// killPoints is a sample, or with TSKV_CALLS=n each of the first n calls of each kind.
func killPoints(rng *rand.Rand) []point {
	var points []point
	all := setting("TSKV_CALLS", 0)
	for call, ks := range map[string][]int{
		"pwrite64": {1, 2, 5, 20, 1 + rng.IntN(50)}, "fdatasync": {1, 2, 8, 25, 1 + rng.IntN(60)}, "fsync": {1, 2, 3, 6}, "write": {3, 30},
		"renameat": {1, 2, 4}, "linkat": {1, 2}, "unlinkat": {1, 2, 4}, "openat": {10, 15, 20},
	} {
		for _, k := range ks {
			if all == 0 {
				points = append(points, point{call, k})
			}
		}
		for k := range all {
			points = append(points, point{call, k + 1})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.k, b.k), cmp.Compare(a.call, b.call)) })
	if testing.Short() {
		points = slices.DeleteFunc(points, func(p point) bool { return p.k < 3 || p.k > 15 })
	}
	return points
}

// TestKillAtCall is goal G2 in small: SIGKILL at the k-th call of each kind that
// changes the disk, while four clients write and memtables are flushed. The same
// directory goes through all of it.
func TestKillAtCall(t *testing.T) {
	tool := needsStrace(t)
	rng := rand.New(rand.NewPCG(seed(t), 2))
	points := killPoints(rng)
	dir := t.TempDir()
	var acked [4]int
	killed := 0
	for _, p := range points {
		s := startInjected(t, tool, dir, p.call, fmt.Sprintf("signal=KILL:when=%d", p.k), "--memtable-bytes", "65536")
		ended := writeUntilKilled(s, &acked)
		s.Kill()
		if ended {
			killed++
		} else {
			t.Logf("no thread came to its %s number %d", p.call, p.k)
		}
		healthy, c := startOn(t, dir, "--memtable-bytes", "65536")
		for i := range acked {
			acked[i] = checkRecords(t, c, fmt.Sprint("w", i), acked[i], 1)
		}
		if t.Failed() {
			t.Fatalf("killed at %s number %d\n%s\n%s", p.call, p.k, s.Log(), healthy.Log())
		}
		healthy.Kill()
	}
	t.Logf("%d of %d servers were killed at their call; %v records acknowledged, none lost", killed, len(points), acked)
	if killed < len(points)/2 || acked[0] == 0 {
		t.Error("void: too few kills or writes")
	}
}

// writeUntilKilled has four writers go on where they were, and reports whether the
// server was killed within a second.
func writeUntilKilled(s *harness.Server, acked *[4]int) bool {
	end := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for i := range acked {
		wg.Go(func() {
			c, err := s.TryDial()
			for err != nil && time.Now().Before(end) && running(s) {
				c, err = s.TryDial()
			}
			if err != nil {
				return
			}
			defer c.Close()
			for time.Now().Before(end) {
				n := acked[i]
				reply, err := c.Do("PUT", fmt.Sprint("w", i), fmt.Sprint(n+1), value(n, 20))
				if err != nil || reply.IsError() {
					return
				}
				acked[i]++
			}
		})
	}
	wg.Wait()
	return !running(s)
}

// running reports whether the process lives.
func running(s *harness.Server) bool {
	err := s.Wait(50 * time.Millisecond) // its connections end a little before it does
	return err != nil && err.Error() == "the server is still running"
}
