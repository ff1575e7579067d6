package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// transports starts a server on each kind of socket and gives a way to dial it.
func transports(t *testing.T, run func(t *testing.T, r *running, dial func() *client)) {
	t.Run("tcp", func(t *testing.T) {
		r := start(t, Options{})
		run(t, r, r.dial)
	})
	t.Run("unix", func(t *testing.T) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		r := startOn(t, Options{}, l)
		run(t, r, func() *client {
			nc, err := net.Dial("unix", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			return newClient(t, nc)
		})
	})
	t.Run("tls", func(t *testing.T) {
		r := start(t, Options{TLS: tlsConfig(t)})
		run(t, r, func() *client {
			nc, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			return newClient(t, nc)
		})
	})
}

func tlsConfig(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestEcho(t *testing.T) {
	transports(t, func(t *testing.T, r *running, dial func() *client) {
		c := dial()
		for range 3 {
			c.send(command("ECHO", "a\r\nb") + "PING\r\n")
			c.expect(bulk("a\r\nb") + "+PONG\r\n")
		}
		for _, n := range []int{smallRead - 1, smallRead, smallRead + 1, middleRead, largeRead, 3*largeRead + 7, 5 << 20} {
			value := repeat("v", n)
			done := make(chan struct{})
			go func() { defer close(done); c.send(command("ECHO", value) + command("LEN", value) + command("PING")) }()
			c.expect(bulk(value) + ":" + itoa(n) + "\r\n+PONG\r\n")
			<-done
		}
		eventually(t, "the buffers are given back", func() bool { return r.Stats().InputBytes.Load() == 0 })
		c.send(command("QUIT"))
		c.expect("+OK\r\n")
		c.expectEnd()
	})
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

// TestPipeline sends far more than any buffer holds, in one go.
func TestPipeline(t *testing.T) {
	transports(t, func(t *testing.T, r *running, dial func() *client) {
		const n = 50_000
		c := dial()
		var in, want strings.Builder
		for i := range n {
			arg := repeat(string(rune('a'+i%26)), i%50)
			in.WriteString(command("ECHO", arg))
			want.WriteString(bulk(arg))
		}
		done := make(chan struct{})
		go func() { defer close(done); c.send(in.String()) }()
		c.expect(want.String())
		<-done
		if got := r.Stats().BytesRead.Load(); got != uint64(in.Len()) {
			t.Errorf("%d bytes read were counted, want %d", got, in.Len())
		}
		eventually(t, "all bytes written are counted", func() bool {
			return r.Stats().BytesWritten.Load() == uint64(want.Len())
		})
		if got := r.echo.batches.Load(); got > n/10 {
			t.Errorf("%d calls of Serve for %d pipelined commands", got, n)
		}
	})
}

// TestPackets sends a request in two packets, for every cut.
func TestPackets(t *testing.T) {
	transports(t, func(t *testing.T, _ *running, dial func() *client) {
		c := dial()
		in := command("ECHO", "hello") + "PING\r\n" + command("PING")
		for i := 1; i < len(in); i++ {
			c.send(in[:i])
			c.send(in[i:])
			c.expect(bulk("hello") + "+PONG\r\n+PONG\r\n")
		}
	})
}

func TestProtocolErrorAfterCommands(t *testing.T) {
	transports(t, func(t *testing.T, r *running, dial func() *client) {
		c := dial()
		c.send("PING\r\n" + command("ECHO", "x") + "*1\r\n+PING\r\n" + repeat("more input that nobody reads ", 10_000))
		c.expect("+PONG\r\n" + bulk("x") + "-ERR Protocol error: expected '$', got '+'\r\n")
		c.expectEnd()
		eventually(t, "the connection is gone", func() bool { return r.Stats().ConnectionsOpen.Load() == 0 })
		if r.Stats().ProtocolErrors.Load() != 1 || r.echo.closed.Load() != 1 {
			t.Errorf("%d protocol errors, %d closed sessions", r.Stats().ProtocolErrors.Load(), r.echo.closed.Load())
		}
	})
}

func TestCloseAfterReply(t *testing.T) {
	c := start(t, Options{}).dial()
	c.send(command("BYE") + command("PING"))
	c.expect("+OK\r\n+PONG\r\n") // the rest of the same batch; the session decides otherwise by returning false
	c.expectEnd()
}

func TestConn(t *testing.T) {
	r := start(t, Options{})
	a, b := r.dial(), r.dial()
	for _, c := range []*client{a, b} {
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
	}
	var list []*Conn
	for c := range r.Conns {
		list = append(list, c)
	}
	if len(list) != 2 || list[0].ID() >= list[1].ID() {
		t.Fatalf("connections %v", list)
	}
	first := r.Conn(list[0].ID())
	if first != list[0] || r.Conn(0) != nil {
		t.Error("Conn does not find by ID")
	}
	if first.RemoteAddr() != a.LocalAddr().String() && first.RemoteAddr() != b.LocalAddr().String() {
		t.Errorf("remote address %q", first.RemoteAddr())
	}
	if first.LocalAddr() != r.addr || first.LastActive().Before(first.Created()) || time.Since(first.Created()) > patience {
		t.Errorf("local %q, created %v, active %v", first.LocalAddr(), first.Created(), first.LastActive())
	}
	for c := range r.Conns {
		if c.RemoteAddr() == a.LocalAddr().String() {
			c.Kill()
			c.Kill()
			<-c.Done()
		}
	}
	a.expectGone()
	b.send("PING\r\n")
	b.expect("+PONG\r\n")
	eventually(t, "one connection is left", func() bool { return r.Stats().ConnectionsOpen.Load() == 1 })
}

func TestUnixAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, Options{}, l)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	for conn := range r.Conns {
		if conn.RemoteAddr() != path || conn.LocalAddr() != path {
			t.Errorf("addresses %q and %q", conn.RemoteAddr(), conn.LocalAddr())
		}
	}
}

// TestWatch blocks a command and hangs up: the session must learn of it.
func TestWatch(t *testing.T) {
	transports(t, func(t *testing.T, r *running, dial func() *client) {
		c := dial()
		c.send(command("BLOCK"))
		conn := <-r.echo.blocked
		c.close()
		select {
		case <-conn.Done():
		case <-time.After(patience):
			t.Fatal("nobody noticed that the client is gone")
		}
		eventually(t, "the session is closed", func() bool { return r.echo.closed.Load() == 1 })
	})
}

// TestWatchWithPipeline has input arrive during a watched command.
func TestWatchWithPipeline(t *testing.T) {
	r := start(t, Options{})
	c := r.dial()
	c.send(command("BLOCK"))
	conn := <-r.echo.blocked
	c.send(command("PING"))
	c.close()
	<-conn.Done()
}

func TestListeners(t *testing.T) {
	r := start(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err == nil {
		t.Error("Serve of a listener that was closed behind its back: no error")
	}
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
}
