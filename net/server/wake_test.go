package server

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bell is a session that says how often it was rung, in one line for each Push of
// at most three.
type bell struct {
	echoSession
	rings  atomic.Int64
	broken atomic.Bool
}

func (b *bell) Push() (more, keep bool) {
	for range 3 {
		if b.rings.Load() == 0 {
			return false, true
		}
		b.rings.Add(-1)
		if b.broken.Load() {
			panic("a test")
		}
		b.c.Out().SimpleString("RING")
	}
	return true, true
}

// hang lets the server make sessions that can be rung, and returns a channel of
// them.
func hang(r *running) <-chan *bell {
	bells := make(chan *bell, 1)
	open := func(c *Conn) Session {
		b := &bell{echoSession: echoSession{r.echo, c}}
		bells <- b
		return b
	}
	r.echo.opener.Store(&open)
	return bells
}

func TestWake(t *testing.T) {
	transports(t, func(t *testing.T, r *running, dial func() *client) {
		bells := hang(r)
		c := dial()
		b := <-bells
		ring := func(n int64) {
			b.rings.Add(n)
			b.c.Wake()
		}
		for range 50 {
			ring(1) // most of the time while it waits for input
			c.expect("+RING\r\n")
			c.send("PING\r\n")
			c.expect("+PONG\r\n")
		}
		ring(10)
		c.expect(strings.Repeat("+RING\r\n", 10))

		// Commands are answered between pushes that do not end.
		ring(1 << 40)
		c.send("PING\r\n")
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "+PONG\r\n" {
				break
			}
		}
		b.rings.Store(0)
		c.send("QUIT\r\n")
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "+OK\r\n" {
				break
			}
		}
		c.expectEnd()
	})
}

// TestWakeAndInput rings from other goroutines while commands come: no ring and no
// reply is lost, whatever meets whatever.
func TestWakeAndInput(t *testing.T) {
	r := start(t, Options{})
	bells := hang(r)
	c := r.dial()
	b := <-bells
	const rounds = 20_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range rounds {
			b.rings.Add(1)
			b.c.Wake()
		}
	}()
	pongs, rings := 0, 0
	c.send("PING\r\n")
	for pongs+rings < 2*rounds {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d rings and %d pongs: %v", rings, pongs, err)
		}
		if line == "+RING\r\n" {
			rings++
		} else if pongs++; pongs < rounds {
			c.send("PING\r\n")
		}
	}
	<-done
}

// TestWakeKeepsDeadlines wakes a connection in the middle of a command that does
// not go on: its deadline counts from the last byte all the same.
func TestWakeKeepsDeadlines(t *testing.T) {
	r := start(t, Options{CommandTimeout: 300 * time.Millisecond})
	bells := hang(r)
	c := r.dial()
	b := <-bells
	c.send("*1\r\n$4\r\nPI")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				b.c.Wake()
			}
		}
	}()
	c.expectEnd()
}

func TestPanicInPush(t *testing.T) {
	r := start(t, Options{})
	bells := hang(r)
	c := r.dial()
	b := <-bells
	b.broken.Store(true)
	b.rings.Store(1)
	b.c.Wake()
	c.expect("-ERR internal error\r\n")
	c.expectEnd()
}
