package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tskv/tests/harness"
)

// smallDisk lets the server run on a nearly full disk, as build machines have.
const smallDisk = "--min-free-bytes=1048576"

// TestMain builds the binary once for all tests.
func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if os.Getenv("TSKV_BIN") != "" {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "tskv-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "tskv")
	if out, err := exec.Command("go", "build", "-o", bin, "tskv/cmd/tskv").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build tskv: %w\n%s", err, out)
	}
	if err := os.Setenv("TSKV_BIN", bin); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// start runs a server on a directory of its own and waits until it serves.
func start(t *testing.T, flags ...string) (*harness.Server, *harness.Conn) {
	t.Helper()
	return startOn(t, t.TempDir(), flags...)
}

func startOn(t *testing.T, dir string, flags ...string) (*harness.Server, *harness.Conn) {
	t.Helper()
	s := harness.Start(t, harness.Binary(t), dir, append([]string{smallDisk}, flags...)...)
	c := s.Dial(t)
	t.Cleanup(c.Close)
	return s, c
}

// startBy runs a server through a shell script that ends in `exec "$BIN" "$@"`.
func startBy(t *testing.T, script, dir string, flags ...string) *harness.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.sh")
	text := "#!/bin/sh\nBIN='" + harness.Binary(t) + "'\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, path, dir, append([]string{smallDisk}, flags...)...)
}

func setting(name string, value int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return value
}

// seed returns the seed of a test's random choices and prints it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := setting("TSKV_SEED", 1)
	t.Logf("TSKV_SEED=%d", n)
	return uint64(n)
}

// needs returns the path of a tool or skips the test.
func needs(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("SKIPPED, NOTHING IS PROVED: %s is not installed", tool)
	}
	return path
}

// eventually polls until ok or the deadline.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// want sends a command and compares its reply in text form.
func want(t *testing.T, c *harness.Conn, text string, args ...string) {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%.200q: %v", args, err)
	}
	if got := harness.Text(reply); got != text {
		t.Errorf("%.200q: %q, want %q", args, got, text)
	}
}

// run executes a command with text on its input and returns its outputs and code.
func run(t *testing.T, in string, env []string, name string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Env = strings.NewReader(in), append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the code tells
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// status returns a line of /proc/PID/status in kB.
func status(t *testing.T, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}

func rss(t *testing.T, s *harness.Server) int {
	t.Helper()
	return status(t, s.Pid(), "VmRSS")
}

// checkMemory wants the RSS back at what it was, plus 64 MB, within ten seconds.
func checkMemory(t *testing.T, s *harness.Server, before int) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("memory is back from %d kB to %d kB + 64 MB", rss(t, s), before), func() bool {
		return rss(t, s) <= before+64<<10
	})
}

// cpu returns the processor time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// probe is another client that asks all the time and measures the answers.
type probe struct {
	conn      *harness.Conn
	stop      chan struct{}
	done      chan struct{}
	latencies []time.Duration
	err       error
}

// watch starts a probe that sends args, which must not fail, on c.
func watch(c *harness.Conn, args ...string) *probe {
	p := &probe{conn: c, stop: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends with stop
		defer close(p.done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			begin := time.Now()
			reply, err := c.Do(args...)
			if err == nil && reply.IsError() {
				err = fmt.Errorf("%s", reply.Text)
			}
			if err != nil {
				p.err = err
				return
			}
			p.latencies = append(p.latencies, time.Since(begin))
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return p
}

// finish ends the probe: it must have been served, with a p99 below the limit.
func (p *probe) finish(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	close(p.stop)
	<-p.done
	if p.err != nil {
		t.Errorf("the other client: %v", p.err)
	}
	if len(p.latencies) == 0 {
		return 0
	}
	slices.Sort(p.latencies)
	p99 := p.latencies[len(p.latencies)*99/100]
	if len(p.latencies) >= 100 && p99 > limit {
		t.Errorf("p99 of the other client is %v of %d answers", p99, len(p.latencies))
	}
	return p99
}

// page fetches a page of the HTTP door.
func page(s *harness.Server, path string) (code int, body string, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Get("http://" + s.HTTP + path)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(got.Body)
	if cerr := got.Body.Close(); err == nil {
		err = cerr
	}
	return got.StatusCode, string(text), err
}

// numbers scrapes /metrics: names with labels, as they are written.
func numbers(t *testing.T, s *harness.Server) map[string]float64 {
	t.Helper()
	code, body, err := page(s, "/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("metrics: %d %v", code, err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metrics: %q: %v", line, err)
		}
		all[name] = n
	}
	return all
}
