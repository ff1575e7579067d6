package server

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"tskv/net/resp"
)

func TestMaxClients(t *testing.T) {
	r := start(t, Options{MaxClients: 3})
	var clients []*client
	for range 3 {
		c := r.dial()
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
		clients = append(clients, c)
	}
	for range 2 * maxRejects {
		begin := time.Now()
		c := r.dial()
		c.expect("-ERR max number of clients reached\r\n")
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("the error took %v", took)
		}
		c.expectEnd()
		c.close()
	}
	if got := r.Stats().ConnectionsRejected.Load(); got != 2*maxRejects {
		t.Errorf("%d rejected", got)
	}
	clients[0].close()
	eventually(t, "there is room again", func() bool { return r.Stats().ConnectionsOpen.Load() == 2 })
	c := r.dial()
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
}

// TestMaxClientsFlood rejects clients that send and never read or close.
func TestMaxClientsFlood(t *testing.T) {
	r := start(t, Options{MaxClients: 1})
	first := r.dial()
	first.send("PING\r\n")
	first.expect("+PONG\r\n")
	for range 3 * maxRejects {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, nc)
		_, _ = c.Write([]byte(command("ECHO", repeat("x", 1000)))) // may meet a closed socket
	}
	eventually(t, "all are rejected", func() bool { return r.Stats().ConnectionsRejected.Load() == 3*maxRejects })
	eventually(t, "the rejections end", func() bool { return len(r.rejects) == 0 })
	first.send("PING\r\n")
	first.expect("+PONG\r\n")
}

func TestClientsWithin(t *testing.T) {
	for _, c := range []struct {
		want  int
		files uint64
		get   int
	}{{10_000, 20_000, 10_000}, {10_000, 10_256, 10_000}, {10_000, 1024, 768}, {10_000, 64, 32}, {10, 300, 10}, {10, 1, 1}} {
		if got := clientsWithin(c.want, c.files); got != c.get {
			t.Errorf("clientsWithin(%d, %d) = %d, want %d", c.want, c.files, got, c.get)
		}
	}
}

// overdue is a client that lets a deadline pass.
type overdue struct {
	name    string
	opt     Options
	attack  func(t *testing.T, r *running) *client
	counted func(s *Stats) uint64
}

func overdueCases(t *testing.T) []overdue {
	const short = 50 * time.Millisecond
	return []overdue{
		{
			"inside a command",
			Options{CommandTimeout: short},
			func(_ *testing.T, r *running) *client {
				c := r.dial()
				c.send(command("PING") + "*2\r\n$4\r\nECHO\r\n$5\r\nab")
				c.expect("+PONG\r\n")
				return c
			},
			func(s *Stats) uint64 { return s.CommandTimeouts.Load() },
		},
		{
			"authentication",
			Options{AuthRequired: true, AuthTimeout: short},
			func(_ *testing.T, r *running) *client {
				c := r.dial()
				c.send(command("PING"))
				c.expect("+PONG\r\n")
				return c
			},
			func(s *Stats) uint64 { return s.AuthTimeouts.Load() },
		},
		{
			"authentication inside a command",
			Options{AuthRequired: true, AuthTimeout: short},
			func(_ *testing.T, r *running) *client {
				c := r.dial()
				c.send("*1\r\n")
				return c
			},
			func(s *Stats) uint64 { return s.AuthTimeouts.Load() },
		},
		{
			"write",
			Options{WriteTimeout: short},
			func(_ *testing.T, r *running) *client {
				c := r.dial()
				c.send(command("ENDLESS", repeat("x", 1000)))
				eventually(c.t, "the write stalls", func() bool { return r.Stats().OutputWaits.Load() > 0 })
				eventually(c.t, "the write times out", func() bool { return r.Stats().WriteTimeouts.Load() > 0 })
				return c
			},
			func(s *Stats) uint64 { return s.WriteTimeouts.Load() },
		},
		{
			"handshake",
			Options{HandshakeTimeout: short, TLS: tlsConfig(t)},
			func(_ *testing.T, r *running) *client {
				c := r.dial()
				c.send("\x16\x03\x01\x02\x00\x01\x00")
				return c
			},
			func(s *Stats) uint64 { return s.HandshakeTimeouts.Load() },
		},
	}
}

func TestDeadlines(t *testing.T) {
	for _, c := range overdueCases(t) {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.opt)
			c.attack(t, r).expectGone()
			eventually(t, "the timeout is counted", func() bool { return c.counted(r.Stats()) == 1 })
			eventually(t, "the connection is gone", func() bool { return r.Stats().ConnectionsOpen.Load() == 0 })
		})
	}
}

// TestIdleHasNoDeadline waits longer than every deadline, authenticated and idle.
func TestIdleHasNoDeadline(t *testing.T) {
	const short = 30 * time.Millisecond
	r := start(t, Options{AuthRequired: true, AuthTimeout: 20 * short, CommandTimeout: short, WriteTimeout: short})
	c := r.dial()
	c.send(command("AUTH"))
	c.expect("+OK\r\n")
	witness := r.dial() // its end shows that AuthTimeout has passed
	witness.expectGone()
	c.send(command("PING"))
	c.expect("+PONG\r\n")
}

// TestResetStartsTheAuthDeadlineAgain resets a connection older than AuthTimeout,
// as pools do with a connection that is handed back.
func TestResetStartsTheAuthDeadlineAgain(t *testing.T) {
	const wait = 500 * time.Millisecond
	r := start(t, Options{AuthRequired: true, AuthTimeout: wait})
	c := r.dial()
	c.send(command("AUTH"))
	c.expect("+OK\r\n")
	witness := r.dial()
	witness.expectGone()
	c.send(command("RESET"))
	c.expect("+OK\r\n")
	c.send(command("AUTH"))
	c.expect("+OK\r\n")
	c.send(command("RESET"))
	c.expect("+OK\r\n")
	begin := time.Now()
	c.send(command("RESET")) // does not win more time
	c.expect("+OK\r\n")
	c.expectGone()
	if took := time.Since(begin); took > 10*wait {
		t.Errorf("a stranger was kept for %v", took)
	}
}

// TestSlowReader takes replies slowly but steadily: progress resets the deadline.
func TestSlowReader(t *testing.T) {
	const wait = 100 * time.Millisecond
	r := start(t, Options{WriteTimeout: wait})
	c := r.dial()
	const n = 24 << 20
	c.send(command("BIG", itoa(n)))
	c.expect("$" + itoa(n) + "\r\n")
	buf := make([]byte, 1<<20)
	tick := time.NewTicker(wait / 4)
	defer tick.Stop()
	begin := time.Now()
	for left := n; left > 0; <-tick.C {
		got, err := c.r.Read(buf)
		for err == nil && got < len(buf) && got < left {
			var more int
			more, err = c.r.Read(buf[got:])
			got += more
		}
		if err != nil {
			t.Fatalf("cut after %d of %d bytes: %v", n-left, n, err)
		}
		left -= got
	}
	if took := time.Since(begin); took < 3*wait {
		t.Errorf("took %v: too fast to show anything", took)
	}
}

// TestOutputIsBounded asks for far more than MaxOutput without reading.
func TestOutputIsBounded(t *testing.T) {
	r := start(t, Options{MaxOutput: 64 << 10, WriteTimeout: patience})
	c := r.dial()
	c.send(command("BIG", itoa(32<<20)) + command("ENDLESS", repeat("y", 100_000)))
	eventually(t, "the write stalls", func() bool { return r.Stats().OutputWaits.Load() > 0 })
	for conn := range r.Conns {
		if got := conn.OutputBuffered(); got > 128<<10 {
			t.Errorf("%d bytes of replies are buffered", got)
		}
	}
	other := r.dial()
	other.send("PING\r\n")
	other.expect("+PONG\r\n")
}

// TestNeverReads: a client that reads nothing is cut after WriteTimeout, although
// the kernel takes some bytes of its replies after the first write.
func TestNeverReads(t *testing.T) {
	const wait = 2 * time.Second
	r := start(t, Options{WriteTimeout: wait})
	c := r.dial()
	c.send(command("BIG", itoa(64<<20)))
	eventually(t, "the write stalls", func() bool { return r.Stats().OutputWaits.Load() > 0 })
	begin := time.Now()
	eventually(t, "the client is cut", func() bool { return r.Stats().ConnectionsOpen.Load() == 0 })
	if took := time.Since(begin); took > wait+wait/2 {
		t.Errorf("cut after %v, the timeout is %v", took, wait)
	}
}

// TestHeldIsBounded: of many clients that ask for long replies and read nothing only
// as many are kept as MaxHeld allows, and one of small replies is still served.
func TestHeldIsBounded(t *testing.T) {
	const limit, size = 20 << 20, 16 << 20
	r := start(t, Options{MaxHeld: limit, WriteTimeout: patience})
	for range 12 {
		r.dial().send(command("BIG", itoa(size)))
	}
	eventually(t, "most are cut", func() bool { return r.Stats().HeldCuts.Load() >= 9 })
	if held := r.Stats().HeldBytes.Load(); held > limit+size {
		t.Errorf("%d bytes are held", held)
	}
	other := r.dial()
	other.send("PING\r\n")
	other.expect("+PONG\r\n")
	if open := r.Stats().ConnectionsOpen.Load(); open < 2 {
		t.Errorf("%d connections are left", open)
	}
}

// TestInputBudget has more large commands arrive than MaxInput holds, all begun
// before any is complete. All must be served, one after the other.
func TestInputBudget(t *testing.T) {
	const clients, size = 12, 3 << 20
	r := start(t, Options{MaxInput: 8 << 20})
	value := repeat("z", size)
	request := command("LEN", value)
	var begun, done sync.WaitGroup
	begun.Add(clients)
	for i := range clients {
		c := r.dial()
		c.send(request[:100+i])
		done.Add(1)
		go func() {
			begun.Done()
			begun.Wait()
			defer done.Done()
			if _, err := c.Write([]byte(request[100+i:])); err != nil {
				t.Errorf("send: %v", err)
				return
			}
			if line, err := c.r.ReadString('\n'); err != nil || line != ":"+itoa(size)+"\r\n" {
				t.Errorf("received %q, %v", line, err)
			}
		}()
	}
	small := r.dial()
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	most := int64(0)
	for running := true; running; {
		select {
		case <-finished:
			running = false
		default:
		}
		most = max(most, r.Stats().InputBytes.Load())
		small.send("PING\r\n") // small commands go through all the time
		small.expect("+PONG\r\n")
	}
	// The overdraft is one command, twice while it is being copied.
	if limit := int64(8<<20 + 2*(size+largeRead) + 64*smallRead); most > limit {
		t.Errorf("%d bytes of input memory, the limit is %d", most, limit)
	}
	if r.Stats().InputWaits.Load() == 0 {
		t.Error("nobody waited: the test shows nothing")
	}
}

// TestInputBudgetTimeout stalls inside large commands: they hold the memory until
// their deadline, then others go on.
func TestInputBudgetTimeout(t *testing.T) {
	r := start(t, Options{MaxInput: 1 << 20, CommandTimeout: 100 * time.Millisecond})
	head := "*2\r\n$4\r\nECHO\r\n$2000000\r\n"
	for range 8 {
		c := r.dial()
		go func() { _, _ = c.Write([]byte(head + repeat("x", 1_500_000))) }() // the server cuts it
	}
	eventually(t, "all stalled clients are cut", func() bool {
		return r.Stats().CommandTimeouts.Load() == 8 && r.Stats().ConnectionsOpen.Load() == 0
	})
	c := r.dial()
	c.send(command("LEN", repeat("y", 900_000)))
	c.expect(":900000\r\n")
}

// flaky is a listener whose Accept fails now and then.
type flaky struct {
	net.Listener
	fail chan error
}

func (f *flaky) Accept() (net.Conn, error) {
	select {
	case err := <-f.fail:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

func TestAcceptErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{Listener: l, fail: make(chan error, 5)}
	for range 5 {
		f.fail <- syscall.EMFILE
	}
	begin := time.Now()
	r := startOn(t, Options{}, f)
	c := r.dial()
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	if took, least := time.Since(begin), 31*minAcceptDelay; took < least {
		t.Errorf("5 errors were retried within %v, want a back-off of at least %v", took, least)
	}
	if got := r.Stats().AcceptErrors.Load(); got != 5 {
		t.Errorf("%d accept errors", got)
	}
}

func TestOptions(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	for _, o := range []Options{
		{MaxClients: -1},
		{MaxInput: 1},
		{MaxOutput: 1},
		{AuthTimeout: -1},
		{CommandTimeout: -1},
		{WriteTimeout: -1},
		{HandshakeTimeout: -1},
		{Limits: resp.Limits{Args: 1}},
	} {
		if err := o.Validate(); !errors.Is(err, ErrOptions) && !errors.Is(err, resp.ErrLimits) {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err := New(&echo{}, o); err == nil {
			t.Errorf("New(%+v): no error", o)
		}
	}
}

func TestRejectTLS(t *testing.T) {
	r := start(t, Options{MaxClients: 1, TLS: tlsConfig(t)})
	nc, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	first := newClient(t, nc)
	first.send("PING\r\n")
	first.expect("+PONG\r\n")
	r.dial().expectGone()
}
