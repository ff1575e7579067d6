package server

import (
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
)

// attacks is the list of G17: what is sent, and what the server must say before
// it closes ("" if it need not say anything).
func attacks() []struct{ name, send, want string } {
	const unread = "-ERR Protocol error: "
	return []struct{ name, send, want string }{
		{"length overflow", "*1\r\n$9223372036854775807\r\n", unread + "invalid bulk length\r\n"},
		{"length overflow of the sum", "*2\r\n$67108864\r\n" + repeat("x", 1000) + "*", ""},
		{"count overflow", "*9223372036854775807\r\n", unread + "invalid multibulk length\r\n"},
		{"endless count", "*2147483647\r\n", unread + "invalid multibulk length\r\n"},
		{"endless count of empty arguments", "*65536\r\n" + repeat("$0\r\n\r\n", 65_535), ""},
		{"negative length", "*1\r\n$-1\r\n", unread + "invalid bulk length\r\n"},
		{"no digits", "*\r\n", unread + "invalid multibulk length\r\n"},
		{"wrong type", "*1\r\n+x\r\n", unread + "expected '$', got '+'\r\n"},
		{"64 KB inline", "ECHO " + repeat("x", 64<<10) + "\r\n", unread + "too big inline request\r\n"},
		{"64 KB inline, many arguments", repeat("x ", 32<<10) + "\r\n", unread + "too big inline request\r\n"},
		{"256 KB of spaces", repeat(" ", 256<<10), unread + "too big inline request\r\n"},
		{"quotes", "ECHO \"x\r\n", unread + "unbalanced quotes in request\r\n"},
		{"HTTP POST", "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nPING\r\n", ""},
		{"HTTP Host", "Host: localhost\r\n", ""},
		{"empty lines", repeat("\r\n", 500_000), ""},
		{"empty commands", repeat("*0\r\n*-1\r\n", 200_000), ""},
		{"binary noise", repeat("\x00\xff\xfe\x80", 20_000), unread + "too big inline request\r\n"},
	}
}

func TestAttacks(t *testing.T) {
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			underAttack(t, Options{CommandTimeout: 100 * time.Millisecond}, func(r *running) {
				var wg sync.WaitGroup
				for range 20 {
					c := r.dial()
					wg.Add(1)
					go func() {
						defer wg.Done()
						_, _ = c.Write([]byte(a.send)) // the server may close first
						if a.want == "" {
							return
						}
						got, err := c.r.ReadString('\n')
						if err != nil || got != a.want {
							t.Errorf("received %q, %v; want %q", got, err, a.want)
						}
					}()
				}
				wg.Wait()
			})
		})
	}
}

// TestAttackTinyPackets sends pipelines in packets of one byte.
func TestAttackTinyPackets(t *testing.T) {
	underAttack(t, Options{}, func(r *running) {
		var wg sync.WaitGroup
		for range 4 {
			c := r.dial()
			wg.Add(1)
			go func() {
				defer wg.Done()
				in := repeat(command("PING"), 500) + command("ECHO", repeat("x", 5000))
				for i := range in {
					if _, err := c.Write([]byte(in[i : i+1])); err != nil {
						t.Errorf("send: %v", err)
						return
					}
				}
				c.expect(repeat("+PONG\r\n", 500) + bulk(repeat("x", 5000)))
			}()
		}
		wg.Wait()
	})
}

// TestAttackNeverReads has clients that ask and ask and never take an answer.
func TestAttackNeverReads(t *testing.T) {
	underAttack(t, Options{WriteTimeout: 300 * time.Millisecond}, func(r *running) {
		var wg sync.WaitGroup
		for range 16 {
			c := r.dial()
			wg.Add(1)
			go func() {
				defer wg.Done()
				in := []byte(repeat(command("BIG", "100000"), 1000))
				for {
					if _, err := c.Write(in); err != nil {
						return // cut
					}
				}
			}()
		}
		wg.Wait()
		if got := r.Stats().WriteTimeouts.Load(); got != 16 {
			t.Errorf("%d write timeouts", got)
		}
	})
}

func TestAttackHalfHandshake(t *testing.T) {
	r := start(t, Options{TLS: tlsConfig(t), HandshakeTimeout: 200 * time.Millisecond})
	for i := range 100 {
		hello := "\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03"
		r.dial().send(hello[:1+i%len(hello)])
	}
	eventually(t, "all are gone", func() bool {
		return r.Stats().HandshakeTimeouts.Load() == 100 && r.Stats().ConnectionsOpen.Load() == 0
	})
}

// TestAttackBeforeAuthentication floods a server that wants a password.
func TestAttackBeforeAuthentication(t *testing.T) {
	for _, a := range []struct{ name, send, want string }{
		{"arguments", "*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		{"length", "*2\r\n$4\r\nAUTH\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		{"begun commands", "*10\r\n" + repeat("$16384\r\n"+repeat("x", 16384)+"\r\n", 9), ""},
	} {
		t.Run(a.name, func(t *testing.T) {
			underAttack(t, Options{AuthRequired: true, AuthTimeout: 500 * time.Millisecond}, func(r *running) {
				for range 200 {
					c := r.dial()
					_, _ = c.Write([]byte(a.send)) // the server may close first
					if a.want != "" {
						c.expect(a.want)
						c.expectEnd()
					}
					c.t.Cleanup(c.close)
				}
				eventually(t, "all strangers are gone", func() bool { return r.Stats().ConnectionsOpen.Load() == 1 })
			})
		})
	}
}

// underAttack runs an attack while another client measures its own latency. The
// server must stay alive, answer that client fast and not keep memory.
func underAttack(t *testing.T, opt Options, attack func(r *running)) {
	t.Helper()
	r := start(t, opt)
	victim := r.dial()
	victim.send(command("AUTH"))
	victim.expect("+OK\r\n")
	before := settledMemory()
	done := make(chan struct{})
	var measured sync.WaitGroup
	measured.Add(1)
	var latencies []time.Duration
	go func() {
		defer measured.Done()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			begin := time.Now()
			if _, err := victim.Write([]byte("PING\r\n")); err != nil {
				t.Errorf("the other client: %v", err)
				return
			}
			if line, err := victim.r.ReadString('\n'); err != nil || line != "+PONG\r\n" {
				t.Errorf("the other client received %q, %v", line, err)
				return
			}
			latencies = append(latencies, time.Since(begin))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	attack(r)
	close(done)
	measured.Wait()
	slices.Sort(latencies)
	if len(latencies) > 0 {
		if p99 := latencies[len(latencies)*99/100]; len(latencies) >= 100 && p99 > 50*time.Millisecond {
			t.Errorf("p99 of the other client is %v", p99)
		}
	}
	if grown := settledMemory() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}

// heldMemory returns the bytes that the process holds from the system, as the Go
// runtime counts them: RSS without the shadow memory of the race detector.
func heldMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}

// settledMemory is heldMemory after a collection.
func settledMemory() int64 {
	debug.FreeOSMemory()
	return heldMemory()
}
