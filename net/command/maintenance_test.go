package command

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tskv/disk/disktest"
)

func TestCheckpointCommand(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{{"PUT k 1 v", `"1-0"`}})
	got := c.do("CHECKPOINT", "c1")
	if !regexp.MustCompile(`^\["directory" "" "database" "[0-9a-f]{16}" "position" :[1-9][0-9]* "files" :2 "bytes" :[1-9][0-9]*\]$`).MatchString(got) {
		t.Error(got)
	}
	for _, row := range [][2]string{
		{"CHECKPOINT", "-ERR wrong number of arguments for 'checkpoint' command"},
		{"CHECKPOINT a b", "-ERR syntax error"},
		{"CHECKPOINT ../x", `-ERR checkpoint "../x": use a name of letters`},
		{"CHECKPOINT c1", "-ERR checkpoint c1: file already exists: choose a name that nobody has"},
		{"CHECKPOINT /nowhere/x", "-ERR checkpoint /nowhere/x: "},
		{"CHECKPOINT REMOVE nobody", "-ERR remove checkpoint nobody: "},
		{"CHECKPOINT remove c1", "+OK"},
	} {
		if got := c.line(row[0]); !strings.HasPrefix(got, row[1]) {
			t.Errorf("%s: %s", row[0], got)
		}
	}
	if names, err := h.db.Checkpoints(); err != nil || len(names) != 0 {
		t.Errorf("left: %q %v", names, err)
	}
}

func TestVerifyAndCompact(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"PUT a 1700000000000 1", `"1700000000000-0"`},
		{"SAVE", "+OK"},
		{"PUT b 1700000000001 2", `"1700000000001-0"`},
		{"SAVE", "+OK"},
		{"VERIFY a b", "-ERR syntax error"},
		{"COMPACT a b", "-ERR syntax error"},
		{`VERIFY ""`, "-ERR a key has 1 to 65535 bytes"},
		{`COMPACT ""`, "-ERR a key has 1 to 65535 bytes"},
		{"COMPACT a", "+OK"},
		{"COMPACT nobody", "+OK"},
		{"COMPACT", "+OK"},
	})
	if got := c.do("VERIFY"); !regexp.MustCompile(`^\["files" :[2-4] "bytes" :[1-9][0-9]* "rows" :4 "damaged_files" :0 "damaged" \[\]\]$`).MatchString(got) {
		t.Error(got)
	}
	names, err := h.disk.List("sst")
	if err != nil {
		t.Fatal(err)
	}
	h.disk.Corrupt("sst/"+names[0], func(b []byte) []byte { b[100] ^= 1; return b })
	if got := c.do("VERIFY"); !strings.Contains(got, `"damaged_files" :1 "damaged" ["sst/`+names[0]+`: `) || !strings.Contains(got, "corrupt file=") {
		t.Error(got)
	}
}

// TestVerifyLeft: a client that hangs up in the middle of a VERIFY ends it. The
// end of so short a one may come before the news, so several try.
func TestVerifyLeft(t *testing.T) {
	h := newHost(t, Options{})
	h.dial(t).want([][2]string{{"PUT a 1700000000000 1", `"1700000000000-0"`}, {"SAVE", "+OK"}})
	m := h.handler.metrics.At(h.handler.table.find([]byte("verify")).index)
	for try := uint64(1); m.Failed.Value() == 0; try++ {
		if try > 100 {
			t.Fatal("VERIFY goes on for nobody")
		}
		c := h.dial(t)
		c.want([][2]string{{"PING", "+PONG"}})
		clients := h.handler.clients()
		session := clients[len(clients)-1]
		var once sync.Once
		h.disk.Before(func(op disktest.Op, name string) {
			if op != disktest.OpRead || !strings.HasPrefix(name, "sst/") {
				return
			}
			once.Do(func() { // the VERIFY waits here until the server knows
				_ = c.conn.Close()
				select {
				case <-session.c.Done():
				case <-time.After(patience):
					t.Error("the server has not noticed")
				}
			})
		})
		c.send([]string{"VERIFY"})
		for end := time.Now().Add(patience); m.Calls.Value() < try; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("VERIFY does not end")
			}
		}
		h.disk.Before(nil)
	}
	if got := h.dial(t).do("VERIFY"); !strings.Contains(got, `"damaged_files" :0`) {
		t.Error(got)
	}
}
