package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"tskv/tests/harness"
)

// connect opens one more connection.
func connect(t *testing.T, s *harness.Server) *harness.Conn {
	t.Helper()
	c, err := harness.Connect(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// value is what record i of fill holds: a number, or size bytes of text.
func value(i, size int) string {
	text := fmt.Sprint(i)
	if size <= len(text) {
		return text
	}
	return text + strings.Repeat("x", size-len(text))
}

// fill writes rows records 1-0, 2-0, ... into a key, many in one command and
// several commands in one packet.
func fill(t *testing.T, c *harness.Conn, key string, rows, size int) {
	t.Helper()
	per := min(1000, max(1, 1<<20/(size+1)))
	const window = 8
	sent, waiting := 0, 0
	for sent < rows || waiting > 0 {
		if sent < rows {
			args := []string{"MPUT"}
			for range min(per, rows-sent) {
				args = append(args, key, fmt.Sprint(sent+1), value(sent, size))
				sent++
			}
			c.Queue(args...)
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			waiting++
		}
		if waiting == window || sent >= rows {
			if reply, err := c.Read(); err != nil || reply.IsError() {
				t.Fatalf("MPUT: %v %s", err, reply.Text)
			}
			waiting--
		}
	}
}

// writer writes single records until its connection ends or an error comes.
type writer struct {
	acked atomic.Int64
	done  chan struct{}
}

// write starts a writer of records 1-0, 2-0, ... with their number as value.
func write(addr, key string) *writer {
	w := &writer{done: make(chan struct{})}
	go func() { // ends with the server
		defer close(w.done)
		c, err := harness.Connect(addr)
		if err != nil {
			return
		}
		defer c.Close()
		for n := int64(1); ; n++ {
			reply, err := c.Do("PUT", key, fmt.Sprint(n), fmt.Sprint(n))
			if err != nil || reply.IsError() {
				return
			}
			w.acked.Store(n)
		}
	}()
	return w
}

// wait waits for the end of the server.
func (w *writer) wait() { <-w.done }
