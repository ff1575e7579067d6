package server

import (
	"net"
	"os"
	"testing"
	"time"
)

// TestIdleMemory holds many connections open that have talked and fallen idle.
// Both ends are counted here; the goal (G18) is 25 KB per connection for the
// server alone. TSKV_IDLE=10000 runs the long form.
func TestIdleMemory(t *testing.T) {
	n := 2000
	if os.Getenv("TSKV_IDLE") != "" {
		n = 9000 // both ends are in this process, and 20,000 descriptors are the usual limit
	}
	if uint64(2*n+reservedFiles) > openFiles() {
		t.Skipf("%d connections need more descriptors than %d", n, openFiles())
	}
	r := start(t, Options{})
	before := settledMemory()
	conns := make([]net.Conn, 0, n)
	buf := make([]byte, 7)
	for range n {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() }) // nothing is pending
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(buf); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, nc)
	}
	eventually(t, "idle connections hold no buffers", func() bool { return r.Stats().InputBytes.Load() == 0 })
	each := (settledMemory() - before) / int64(n)
	t.Logf("%d idle connections: %d bytes each, both ends", n, each)
	if each > 24<<10 {
		t.Errorf("%d bytes for each idle connection", each)
	}
	for _, nc := range conns {
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(buf); err != nil || string(buf) != "+PONG\r\n" {
			t.Fatalf("%q, %v", buf, err)
		}
	}
}

// TestPartialMemory holds connections in the middle of a command: memory must be
// in proportion to what has arrived, not to what was announced.
func TestPartialMemory(t *testing.T) {
	const n = 1000
	r := start(t, Options{})
	for range n {
		r.dial().send("*2\r\n$4\r\nECHO\r\n$67108864\r\nabc")
	}
	eventually(t, "each holds the smallest buffer", func() bool {
		return r.Stats().BytesRead.Load() >= n*27 && r.Stats().InputBytes.Load() == n*minPartial
	})
}

// TestMemoryAfterBurst sends large values and waits for the server itself to
// give the memory back.
func TestMemoryAfterBurst(t *testing.T) {
	r := start(t, Options{})
	before := settledMemory()
	c := r.dial()
	value := make([]byte, 60<<20)
	for range 3 {
		c.send("*2\r\n$3\r\nLEN\r\n$" + itoa(len(value)) + "\r\n")
		if _, err := c.Write(value); err != nil {
			t.Fatal(err)
		}
		c.send("\r\n")
		c.expect(":" + itoa(len(value)) + "\r\n")
	}
	value = nil
	if heldMemory()-before < 64<<20 {
		t.Fatal("there was no burst: the test shows nothing")
	}
	begin := time.Now()
	eventually(t, "memory is given back", func() bool { return heldMemory()-before < 64<<20 })
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("memory was given back after %v", took)
	}
	if got := r.Stats().InputBytes.Load(); got != 0 {
		t.Errorf("%d bytes of input buffers", got)
	}
}
