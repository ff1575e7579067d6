package command

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/kv"
)

// TestClientGone: long work without output ends when the client hangs up. The disk
// is slow, and what is read after the client has gone is counted.
func TestClientGone(t *testing.T) {
	h := newHost(t, Options{})
	// Records with one of two tags in turn: none has both, and every block has to
	// be read to know it, because a record of another key has.
	var batch engine.Batch
	var tags [2]kv.TagSet
	for i := range tags {
		tags[i], _ = kv.MakeTagSet([][]byte{fmt.Append(nil, "t", i)})
	}
	const rows = 1_000_000
	for i := range rows {
		op := batch.Add()
		op.Key, op.ID, op.Value, op.Tags = []byte("k"), kv.ID{Time: uint64(i)}, []byte("1"), tags[i%2]
		if len(batch.Ops) == 10_000 {
			if err := h.db.Apply(&batch); err != nil {
				t.Fatal(err)
			}
			batch.Reset()
		}
	}
	other := h.dial(t)
	for i := range 5 { // until no memtable of the records is kept to be read
		other.do("PUT", "other", fmt.Sprint(i), "1", "TAG", "t0", "TAG", "t1")
		if err := h.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"COUNT k TAG t0 TAG t1",
		"SCAN k - + TAG t0 TAG t1",
		"SCAN k - + REV TAG t0 TAG t1 COUNT 1",
		"SCAN k - + TAG t0 OFFSET 999999",
	} {
		var reads atomic.Int64
		var once sync.Once
		begun := make(chan struct{})
		h.disk.Before(func(op disktest.Op, _ string) {
			if op == disktest.OpRead {
				once.Do(func() { close(begun) })
				reads.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
		c := h.dial(t)
		c.send(split(command))
		select {
		case <-begun:
		case <-time.After(patience):
			t.Fatalf("%s reads nothing", command)
		}
		if err := c.conn.Close(); err != nil {
			t.Fatal(err)
		}
		before := reads.Load()
		for end := time.Now().Add(patience); len(h.handler.clients()) > 1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s goes on without a client", command)
			}
		}
		h.disk.Before(nil)
		// All blocks are some 120 reads, over a second.
		if n := reads.Load() - before; n > 60 {
			t.Errorf("%s: %d reads after the client had gone", command, n)
		}
	}
}

// TestHalfClosed: a client that has closed its sending side still gets a long
// reply to its end.
func TestHalfClosed(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const n, width = 6000, 1000
	c.fill("k", n, width)
	c.send(split("SCAN k - +"))
	tcp, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("no TCP")
	}
	if err := tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * lookEvery) // the client is slow to read: the server must look at it meanwhile
	r := c.reply()
	checkRun(t, &r, 1, 1, n, "0")
}
