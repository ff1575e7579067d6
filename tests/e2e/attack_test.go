package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tskv/tests/harness"
)

// calm is the p99 that other clients must see during every attack (G17).
const calm = 50 * time.Millisecond

// attack is what a stranger sends, and what the server must answer before it
// closes the connection ("" if it owes no answer).
type attack struct{ name, send, want string }

func attacks() []attack {
	const broken = "-ERR Protocol error: "
	return []attack{
		{"length overflow", "*1\r\n$9223372036854775807\r\n", broken + "invalid bulk length\r\n"},
		{"length overflow of 64 bits", "*1\r\n$99999999999999999999\r\n", broken + "invalid bulk length\r\n"},
		{"length with a sign", "*1\r\n$+1\r\n", broken + "invalid bulk length\r\n"},
		{"length with zeros", "*1\r\n$01\r\n", broken + "invalid bulk length\r\n"},
		{"many big promises", "*60000\r\n$67108864\r\n" + strings.Repeat("x", 1000), ""},
		{"endless count", "*2147483647\r\n", broken + "invalid multibulk length\r\n"},
		{"count overflow", "*9223372036854775807\r\n", broken + "invalid multibulk length\r\n"},
		{"wrong type", "*1\r\n+x\r\n", broken + "expected '$', got '+'\r\n"},
		{"65,536 empty arguments", "*65536\r\n" + strings.Repeat("$0\r\n\r\n", 65_536), "-ERR unknown command '', with args beginning with: '' '' "},
		{"64 KB inline", "ECHO " + strings.Repeat("x", 64<<10) + "\r\n", broken + "too big inline request\r\n"},
		{"64 KB inline, many arguments", strings.Repeat("x ", 32<<10) + "\r\n", broken + "too big inline request\r\n"},
		{"256 KB of spaces", strings.Repeat(" ", 256<<10), broken + "too big inline request\r\n"},
		{"quotes", "ECHO \"x\r\n", broken + "unbalanced quotes in request\r\n"},
		{"HTTP POST", "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 21\r\n\r\nFLUSHALL\r\nPUT a 1 2\r\n", "EOF"},
		{"HTTP GET", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "-ERR wrong number of arguments for 'get' command\r\n"},
		{"empty lines", strings.Repeat("\r\n", 500_000), ""},
		{"empty commands", strings.Repeat("*0\r\n*-1\r\n", 200_000), ""},
		{"noise", strings.Repeat("\x00\xff\xfe\x80", 20_000), broken + "too big inline request\r\n"},
	}
}

// TestAttacks runs the list against one server; after each attack it is alive,
// others were served, and in the end its memory is what it was.
func TestAttacks(t *testing.T) {
	s, c := start(t, "--sync", "os")
	want(t, c, "1-0", "PUT", "safe", "1", "here")
	before := rss(t, s)
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			p := watch(connect(t, s), "PING")
			var wg sync.WaitGroup
			for range 20 {
				enemy := connect(t, s)
				wg.Go(func() { strike(t, enemy, a) })
			}
			wg.Wait()
			p.finish(t, calm)
			want(t, connect(t, s), "here", "GET", "safe")
		})
	}
	want(t, c, "1", "DBSIZE")
	checkMemory(t, s, before)
	if got := numbers(t, s); got["tskv_protocol_errors_total"] < 200 || got["tskv_handler_panics_total"] != 0 {
		t.Errorf("protocol errors %v, panics %v", got["tskv_protocol_errors_total"], got["tskv_handler_panics_total"])
	}
}

// strike sends an attack and checks what comes back first.
func strike(t *testing.T, c *harness.Conn, a attack) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // fails on a dead socket only
	_, werr := c.Write([]byte(a.send))                  // the server may close first
	switch a.want {
	case "":
		return
	case "EOF":
		if got, err := io.ReadAll(c.Conn); len(got) > 0 {
			t.Errorf("received %.100q %v", got, err)
		}
		return
	}
	got := make([]byte, len(a.want))
	if n, err := io.ReadFull(c.Conn, got); string(got[:n]) != a.want {
		t.Errorf("received %.100q, want %.100q; %v, %v", got[:n], a.want, err, werr)
	}
}

// TestAttackTinyPackets sends commands in packets of one byte.
func TestAttackTinyPackets(t *testing.T) {
	s, _ := start(t, "--sync", "os")
	p := watch(connect(t, s), "PING")
	text := strings.Repeat("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n", 100) + strings.Repeat("GET k\r\n", 100)
	var wg sync.WaitGroup
	for range 8 {
		c := connect(t, s)
		wg.Go(func() {
			for i := range len(text) {
				if _, err := c.Write([]byte(text[i : i+1])); err != nil {
					t.Error(err)
					return
				}
			}
			expected := strings.Repeat("+OK\r\n", 100) + strings.Repeat("$5\r\nvalue\r\n", 100)
			got := make([]byte, len(expected))
			if _, err := io.ReadFull(c.Conn, got); err != nil || string(got) != expected {
				t.Errorf("received %.200q, %v", got, err)
			}
		})
	}
	wg.Wait()
	p.finish(t, calm)
}

// TestAttackNeverReads asks for a reply of 100 MB, ten times at once, and
// takes none of it: the server's memory does not grow, others do not notice, and
// after its deadline of ten seconds, which the last bytes that the kernel took can
// double, the server hangs up.
func TestAttackNeverReads(t *testing.T) {
	waitsLong(t)
	s, c := start(t, "--sync", "os", "--memtable-bytes", "8388608")
	fill(t, c, "big", 25_000, 4000)
	c.Must(t, "SAVE")
	if n := c.Must(t, "COUNT", "big").Int; n != 25_000 {
		t.Fatalf("%d records", n)
	}
	before := rss(t, s)
	p := watch(connect(t, s), "PING")
	const enemies = 10
	for range enemies {
		enemy := connect(t, s)
		for range 5 {
			enemy.Queue("SCAN", "big", "-", "+")
		}
		if err := enemy.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	wait := 30 * time.Second
	if testing.Short() {
		wait = 2 * time.Second // the deadline is for the long run
	}
	highest := 0
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		highest = max(highest, rss(t, s))
		if numbers(t, s)["tskv_connection_timeouts_total"] == enemies {
			break
		}
	}
	p99 := p.finish(t, calm)
	t.Logf("RSS %d kB, at most %d kB during the attack; p99 of the other client %v", before, highest, p99)
	if highest > before+64<<10 {
		t.Errorf("memory grew from %d kB to %d kB", before, highest)
	}
	if got := numbers(t, s)["tskv_connection_timeouts_total"]; !testing.Short() && got != enemies {
		t.Errorf("%v of %d clients that never read were cut", got, enemies)
	}
}

// TestAttackBeforeAuth floods a server that wants a password. Those who only begin
// to speak are cut after ten seconds, which the short run does not wait for.
func TestAttackBeforeAuth(t *testing.T) {
	waitsLong(t)
	s := harness.Start(t, harness.Binary(t), t.TempDir(), smallDisk, "--requirepass", "secret")
	var friend *harness.Conn
	eventually(t, 10*time.Second, "a friend is served", func() bool {
		c, err := harness.Connect(s.Addr)
		if err != nil {
			return false
		}
		c.Queue("AUTH", "secret")
		c.Queue("PING")
		if err := c.Flush(); err != nil {
			return false
		}
		_, err = c.Read()
		pong, perr := c.Read()
		if err != nil || perr != nil || string(pong.Text) != "PONG" {
			c.Close()
			return false
		}
		friend = c
		return true
	})
	defer friend.Close()
	before := rss(t, s)
	p := watch(friend, "PING")
	for _, a := range []attack{
		{"arguments", "*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		{"length", "*2\r\n$4\r\nAUTH\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		{"commands", strings.Repeat("PUT a 1 2\r\n", 10_000), strings.Repeat("-NOAUTH Authentication required.\r\n", 10_000)},
		{"guesses", strings.Repeat("AUTH x\r\n", 3), "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
	} {
		var wg sync.WaitGroup
		for range 50 {
			enemy := connect(t, s)
			wg.Go(func() { strike(t, enemy, a); enemy.Close() })
		}
		wg.Wait()
	}
	begun := strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 9)
	var silent []*harness.Conn
	for range 200 {
		enemy := connect(t, s)
		_, _ = enemy.Write([]byte("*10\r\n" + begun)) // the server may close first
		silent = append(silent, enemy)
	}
	if !testing.Short() {
		waitCut(t, silent)
	}
	p.finish(t, calm)
	if !testing.Short() {
		checkMemory(t, s, before)
	}
}

// waitsLong lets tests that wait for deadlines do so at the same time.
func waitsLong(t *testing.T) {
	if !testing.Short() {
		t.Parallel()
	}
}

// waitCut wants every connection closed by the server within 15 seconds.
func waitCut(t *testing.T, conns []*harness.Conn) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for i, c := range conns {
		_ = c.SetReadDeadline(deadline) // fails on a dead socket only
		var netErr net.Error
		_, err := io.Copy(io.Discard, c.Conn)
		if errors.As(err, &netErr) && netErr.Timeout() {
			t.Fatalf("stranger %d is still connected", i)
		}
	}
}

// TestBigValues: values up to the limit come back as they were, beyond it the
// length is refused before a byte of it is taken.
func TestBigValues(t *testing.T) {
	s, c := start(t, "--sync", "os", "--memtable-bytes", "8388608")
	for i, size := range []int{1 << 20, 16 << 20, 64 << 20} {
		if testing.Short() && size > 16<<20 {
			continue
		}
		big := bytes.Repeat([]byte{byte(i), 0xff, '\r', '\n'}, size/4)
		want(t, c, "1-0", "PUT", fmt.Sprint("big", size), "1", string(big))
		if got := c.Must(t, "GET", fmt.Sprint("big", size)); !bytes.Equal(got.Text, big) {
			t.Errorf("%d bytes came back as %d others", size, len(got.Text))
		}
	}
	enemy := connect(t, s)
	strike(t, enemy, attack{"", "*4\r\n$3\r\nPUT\r\n$1\r\nk\r\n$1\r\n1\r\n$67108865\r\n", "-ERR Protocol error: invalid bulk length\r\n"})
}
