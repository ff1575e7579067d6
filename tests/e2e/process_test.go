package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tskv/tests/harness"
)

// stopFast is the time that SIGTERM may take (G23).
const stopFast = 5 * time.Second

// TestStop sends SIGTERM while clients write, one idles, one has stopped in the
// middle of a command and one does not take its reply: it ends in time with exit
// code 0, and there is nothing to replay afterwards.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	s, c := startOn(t, dir)
	fill(t, c, "big", 50_000, 100)
	idle, half, stuck := connect(t, s), connect(t, s), connect(t, s)
	want(t, idle, "PONG", "PING")
	if _, err := half.Write([]byte("*3\r\n$3\r\nPUT\r\n$100\r\nx")); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		stuck.Queue("SCAN", "big", "-", "+")
	}
	if err := stuck.Flush(); err != nil {
		t.Fatal(err)
	}
	w := write(s.Addr, "live")
	eventually(t, 10*time.Second, "writes", func() bool { return w.acked.Load() > 200 })
	took, err := s.Stop()
	if err != nil || took > stopFast {
		t.Errorf("SIGTERM: %v after %v\n%s", err, took, s.Log())
	}
	w.wait()
	t.Logf("SIGTERM took %v", took)
	s, c = startOn(t, dir)
	if log := s.Log(); !strings.Contains(log, "log_operations=0 ") || !strings.Contains(log, "clean=true") {
		t.Errorf("there was something to replay:\n%s", log)
	}
	want(t, c, "50000", "COUNT", "big")
	if n := c.Must(t, "COUNT", "live").Int; n < w.acked.Load() || n > w.acked.Load()+1 {
		t.Errorf("%d records of %d acknowledged writes", n, w.acked.Load())
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	_, c := startOn(t, dir)
	second := harness.Start(t, harness.Binary(t), dir, smallDisk)
	if err := second.Wait(10 * time.Second); err == nil {
		t.Error("a second process ran on the same directory")
	}
	if log := second.Log(); !strings.Contains(log, "locked by another process") || !strings.Contains(log, dir) {
		t.Errorf("the message is not clear: %s", log)
	}
	want(t, c, "PONG", "PING")
}

// TestLoading kills a server with much in its log and looks at the next one while
// it replays: clients are told LOADING, /readyz says 503, then all is there.
func TestLoading(t *testing.T) {
	rows := 1_000_000
	if testing.Short() {
		rows = 200_000
	}
	dir := t.TempDir()
	s, c := startOn(t, dir, "--sync", "os", "--memtable-bytes", "1073741824")
	fill(t, c, "log", rows, 0)
	s.Kill()
	begin := time.Now()
	s = harness.Start(t, harness.Binary(t), dir, smallDisk, "--memtable-bytes", "1073741824")
	early, first := lookEarly(t, s)
	took := time.Since(begin)
	if early == 0 {
		t.Errorf("nobody saw LOADING in %v of replay", took)
	}
	want(t, first, fmt.Sprint(rows), "COUNT", "log")
	if code, body, err := page(s, "/readyz"); err != nil || code != 200 || body != "ready\n" {
		t.Errorf("readyz after loading: %d %q %v", code, body, err)
	}
	t.Logf("replayed %d records in %v, %d answers LOADING", rows, took, early)
}

// lookEarly asks a starting server on one connection until it has loaded.
func lookEarly(t *testing.T, s *harness.Server) (loading int, c *harness.Conn) {
	t.Helper()
	eventually(t, 30*time.Second, "the door opens", func() bool {
		var err error
		c, err = harness.Connect(s.Addr)
		return err == nil
	})
	t.Cleanup(c.Close)
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		reply, err := c.Do("COUNT", "log")
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Log())
		}
		if !reply.IsError() {
			return loading, c
		}
		if got := string(reply.Text); got != "LOADING tskv is loading the dataset in memory" {
			t.Fatalf("while loading: %s", got)
		}
		if loading++; loading > 1 {
			continue
		}
		if reply, err := c.Do("PING"); err != nil || !strings.HasPrefix(string(reply.Text), "LOADING") && string(reply.Text) != "PONG" {
			t.Errorf("PING while loading: %s %v", reply.Text, err)
		}
		ready, body, err := page(s, "/readyz")
		if err != nil || ready != 503 && ready != 200 || ready == 503 && body != "not ready: loading\n" {
			t.Errorf("readyz while loading: %d %q %v", ready, body, err)
		}
		if code, _, err := page(s, "/healthz"); err != nil || code != 200 {
			t.Errorf("healthz while loading: %d %v", code, err)
		}
		t.Logf("while loading: readyz %d, PING is answered", ready)
	}
	t.Fatalf("still loading\n%s", s.Log())
	return 0, nil
}

func TestProtectedMode(t *testing.T) {
	bin := harness.Binary(t)
	for _, flags := range [][]string{
		{"--addr", "0.0.0.0:0"},
		{"--addr", ":0"},
		{"--addr", "[::]:0"},
		{"--addr", "127.0.0.1:0", "--http", "0.0.0.0:0"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		out, errOut, code := run(t, "", nil, bin, append([]string{"serve", "--dir", dir, "--http", ""}, flags...)...)
		if code != 1 || out != "" || !strings.Contains(errOut, "without a password") || !strings.Contains(errOut, "--requirepass") {
			t.Errorf("%v: code %d\n%s%s", flags, code, out, errOut)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: the directory was made: %v", flags, err)
		}
	}
	_, errOut, code := run(t, "", nil, bin, "serve", "--dir", t.TempDir(), "--sync", "sometimes")
	if code != 1 || !strings.Contains(errOut, "use always, interval or os") {
		t.Errorf("--sync sometimes: code %d\n%s", code, errOut)
	}
}

// TestPasswordAndSocket: nobody is served without the password, over TCP and
// over the unix socket, which survives kill -9 and goes with a clean stop.
func TestPasswordAndSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tskv.sock")
	dir := t.TempDir()
	flags := []string{smallDisk, "--requirepass", "secret word", "--unixsocket", socket}
	s := harness.Start(t, harness.Binary(t), dir, flags...)
	db := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Password: "secret word"})
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	eventually(t, 10*time.Second, "the unix socket", func() bool { return db.Set(ctx, "k", "v", 0).Err() == nil })
	stranger := connect(t, s)
	want(t, stranger, "NOAUTH Authentication required.", "PING")
	want(t, stranger, "NOAUTH Authentication required.", "GET", "k")
	want(t, stranger, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time", "HELLO", "3")
	want(t, stranger, "WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "secret")
	want(t, stranger, "WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "someone", "secret word")
	want(t, stranger, "OK", "AUTH", "default", "secret word")
	want(t, stranger, "v", "GET", "k")
	bad := redis.NewClient(&redis.Options{Addr: s.Addr, Password: "x", MaxRetries: -1})
	defer func() { _ = bad.Close() }()
	if err := bad.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("go-redis with a wrong password: %v", err)
	}
	s.Kill()
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("no stale socket to start on: %v", err)
	}
	s = harness.Start(t, harness.Binary(t), dir, flags...)
	eventually(t, 10*time.Second, "the unix socket again", func() bool { return db.Get(ctx, "k").Val() == "v" })
	if took, err := s.Stop(); err != nil || took > stopFast {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestSyncModes: kill -9 loses nothing in any mode.
func TestSyncModes(t *testing.T) {
	for mode, redisName := range map[string]string{"always": "always", "interval": "everysec", "os": "no"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			s, c := startOn(t, dir, "--sync", mode, "--sync-interval", "100ms")
			want(t, c, "[appendfsync "+redisName+"]", "CONFIG", "GET", "appendfsync")
			fill(t, c, "k", 5000, 50)
			s.Kill()
			_, c = startOn(t, dir, "--sync", mode)
			want(t, c, "5000", "COUNT", "k")
		})
	}
}

func TestShutdown(t *testing.T) {
	for _, client := range []string{"tskv cli", "redis-cli", "go-redis"} {
		t.Run(client, func(t *testing.T) {
			s, c := start(t)
			want(t, c, "1-0", "PUT", "k", "1", "v")
			switch client {
			case "tskv cli":
				if out, errOut, code := run(t, "", nil, harness.Binary(t), "cli", "--addr", s.Addr, "SHUTDOWN"); code != 0 || out+errOut != "" {
					t.Errorf("code %d\n%s%s", code, out, errOut)
				}
			case "redis-cli":
				redisCLI(t, s)("", "SHUTDOWN")
			default:
				db := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
				if err := db.Shutdown(context.Background()).Err(); err != nil {
					t.Error(err)
				}
				_ = db.Close()
			}
			if err := s.Wait(stopFast); err != nil {
				t.Errorf("%v\n%s", err, s.Log())
			}
			s, c = startOn(t, s.Dir)
			want(t, c, "v", "GET", "k")
			if log := s.Log(); !strings.Contains(log, "clean=true") {
				t.Errorf("not clean:\n%s", log)
			}
		})
	}
}

// TestCLI is the built-in client: one-shot, lines of a pipe, exit codes.
func TestCLI(t *testing.T) {
	s, _ := start(t)
	for _, c := range []struct {
		in, out string
		code    int
		args    []string
	}{
		{"", "\"5-0\"\n", 0, []string{"PUT", "k", "5", "1.50"}},
		{"", "5-1\n", 0, []string{"--raw", "PUT", "k", "5-1", "two words"}},
		{"", "1) \"0\"\n2) 1) 1) \"5-0\"\n      2) \"1.50\"\n   2) 1) \"5-1\"\n      2) \"two words\"\n", 0, []string{"SCAN", "k", "-", "+"}},
		{"", "0\n5-0\n1.50\n5-1\ntwo words\n", 0, []string{"--raw", "SCAN", "k", "-", "+"}},
		{"", "(integer) 2\n", 0, []string{"COUNT", "k"}},
		{"", "(nil)\n", 0, []string{"GET", "nothing"}},
		{"", "1) \"0\"\n2) (empty array)\n", 0, []string{"SCAN", "nothing", "-", "+"}},
		{"", "(error) ERR wrong number of arguments for 'get' command\n", 1, []string{"GET"}},
		{"PUT l 1 'a b'\n\nGET l\n", "\"1-0\"\n\"a b\"\n", 0, nil},
		{"NOPE\nGET l\n", "(error) ERR unknown command 'NOPE', with args beginning with: \n\"a b\"\n", 1, nil},
		{"GET 'x\nGET l\n", "(error) unbalanced quotes\n\"a b\"\n", 1, nil},
	} {
		out, errOut, code := run(t, c.in, nil, harness.Binary(t), append([]string{"cli", "--addr", s.Addr}, c.args...)...)
		if out != c.out || code != c.code {
			t.Errorf("%q %q: code %d\n%q, want\n%q\n%s", c.args, c.in, code, out, c.out, errOut)
		}
	}
	_, errOut, code := run(t, "", nil, harness.Binary(t), "cli", "--addr", harness.FreeAddr(t), "PING")
	if code != 1 || !strings.Contains(errOut, "is the server running?") {
		t.Errorf("without a server: code %d, %s", code, errOut)
	}
	out, _, code := run(t, "", nil, harness.Binary(t), "--version")
	if code != 0 || !strings.HasPrefix(out, "tskv version ") {
		t.Errorf("--version: %d %q", code, out)
	}
}

// TestAddressInUse: the message names the address, and the data is left alone.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	addr := l.Addr().String()
	_, errOut, code := run(t, "", nil, harness.Binary(t), "serve", "--dir", t.TempDir(), "--http", "", "--addr", addr)
	if code != 1 || !strings.Contains(errOut, addr) || !strings.Contains(errOut, "in use") {
		t.Errorf("code %d\n%s", code, errOut)
	}
}
