package command

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestTransaction(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"EXEC", "-ERR EXEC without MULTI"},
		{"DISCARD", "-ERR DISCARD without MULTI"},
		{"MULTI", "+OK"},
		{"MULTI", "-ERR MULTI calls can not be nested"},
		{"WATCH a", "-ERR WATCH inside MULTI is not allowed"},
		{"EXEC", "[]"},
		{"MULTI", "+OK"},
		{"SET a 1", "+QUEUED"},
		{"GET a", "+QUEUED"},
		{"INCR a", "+QUEUED"},
		{"GET a", "+QUEUED"},
		{"MGET a b", "+QUEUED"},
		{"PUT s 5 five TAG x", "+QUEUED"},
		{"SCAN s - + WITHTAGS", "+QUEUED"},
		{"COUNT s", "+QUEUED"},
		{"DEL a", "+QUEUED"},
		{"EXISTS a s", "+QUEUED"},
		{"PING", "+QUEUED"},
		{"UNWATCH", "+QUEUED"},
		{"EXEC", `[+OK "1" :2 "2" ["2" nil] "5-0" ["0" [["5-0" "five" ["x"]]]] :1 :1 :1 +PONG +OK]`},
		{"GET a", "nil"},
		// A command that fails leaves the others.
		{"MULTI", "+OK"},
		{"SET n text", "+QUEUED"},
		{"INCR n", "+QUEUED"},
		{"PUT n x y", "+QUEUED"},
		{"SET m 2", "+QUEUED"},
		{"EXEC", "[+OK -ERR value is not an integer or out of range -ERR Invalid stream ID specified as stream command argument +OK]"},
		{"MGET n m", `["text" "2"]`},
		// FLUSHALL is part of it, and what comes after it stays.
		{"MULTI", "+OK"},
		{"FLUSHALL", "+QUEUED"},
		{"SET after 1", "+QUEUED"},
		{"KEYS *", "+QUEUED"},
		{"EXEC", `[+OK +OK ["after"]]`},
		{"DBSIZE", ":1"},
		{"MULTI", "+OK"},
		{"SET x 1", "+QUEUED"},
		{"DISCARD", "+OK"},
		{"EXISTS x", ":0"},
	})
}

func TestTransactionErrors(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const aborted = "-EXECABORT Transaction discarded because of previous errors."
	for _, bad := range [][2]string{
		{"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "},
		{"SET a", "-ERR wrong number of arguments for 'set' command"},
		{"SHUTDOWN", "-ERR Command not allowed inside a transaction"},
		{"SAVE", "-ERR Command not allowed inside a transaction"},
	} {
		c.want([][2]string{{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, bad, {"SET b 1", "+QUEUED"}, {"EXEC", aborted}, {"EXISTS a b", ":0"}})
	}
	c.want([][2]string{{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"RESET", "+RESET"}, {"EXEC", "-ERR EXEC without MULTI"}, {"EXISTS a", ":0"}})
	if n := h.handler.pendingBytes.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}

func TestWatch(t *testing.T) {
	h := newHost(t, Options{})
	a, b := h.dial(t), h.dial(t)
	tests := []struct {
		before, between string // by a and then b
		aborts          bool
	}{
		{"WATCH k", "SET k 2", true},
		{"WATCH k", "SET other 2", false},
		{"WATCH k", "PUT k 1 late", true},
		{"WATCH k", "DEL k", true},
		{"WATCH k", "DELRANGE k - +", true},
		{"WATCH k", "FLUSHALL", true},
		{"WATCH none", "SET none 1", true},
		{"WATCH none", "DEL none", false},
		{"WATCH k k2", "SET k2 1", true},
		{"WATCH k", "GET k", false},
		{"WATCH k", "PUT k 1 x XX AFTER 5", false}, // a syntax error
	}
	for _, flush := range []bool{false, true} {
		for _, test := range tests {
			for _, cmd := range []string{"FLUSHALL", "SET k 1", "PUT k 5 five"} {
				b.line(cmd)
			}
			a.line(test.before)
			b.line(test.between)
			if flush {
				b.line("SAVE")
			}
			a.line("MULTI")
			a.line("SET done yes")
			want := "[+OK]"
			if test.aborts {
				want = "nil"
			}
			if got := a.line("EXEC"); got != want {
				t.Errorf("%q, then %q (flush %v): EXEC answers %s, want %s", test.before, test.between, flush, got, want)
			}
			if got := b.line("EXISTS done"); (got == ":0") != test.aborts {
				t.Errorf("%q, then %q: EXISTS %s", test.before, test.between, got)
			}
		}
	}
	a.want([][2]string{{"SET k 1", "+OK"}, {"WATCH k", "+OK"}, {"SET k 2", "+OK"}, {"MULTI", "+OK"}, {"GET k", "+QUEUED"}, {"EXEC", "nil"}})
	a.want([][2]string{{"WATCH k", "+OK"}, {"SET k 3", "+OK"}, {"UNWATCH", "+OK"}, {"MULTI", "+OK"}, {"GET k", "+QUEUED"}, {"EXEC", `["3"]`}})
	a.want([][2]string{{"WATCH k", "+OK"}, {"SET k 4", "+OK"}, {"MULTI", "+OK"}, {"DISCARD", "+OK"}, {"MULTI", "+OK"}, {"EXEC", "[]"}})
	a.want([][2]string{{"WATCH k", "+OK"}, {"MULTI", "+OK"}, {"EXEC", "[]"}, {"WATCH k", "+OK"}, {"SET k 5", "+OK"}, {"MULTI", "+OK"}, {"EXEC", "nil"}})
}

// TestTransactionIsOneRecord looks at a transaction from another client all the
// time: it sees all of it or nothing.
func TestTransactionIsOneRecord(t *testing.T) {
	h := newHost(t, Options{})
	a, b := h.dial(t), h.dial(t)
	const rounds = 300
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			got := b.do("MGET", "x", "y", "z")
			parts := strings.Fields(strings.Trim(got, "[]"))
			if len(parts) != 3 || parts[0] != parts[1] || parts[1] != parts[2] {
				t.Errorf("a part of a transaction is visible: %s", got)
				return
			}
			if parts[0] == fmt.Sprintf("%q", fmt.Sprint(rounds)) {
				return
			}
		}
	})
	for i := 1; i <= rounds; i++ {
		n := fmt.Sprint(i)
		a.send([]string{"MULTI"}, []string{"SET", "x", n}, []string{"SET", "y", n}, []string{"INCR", "z"}, []string{"EXEC"})
		for range 4 {
			a.reply()
		}
		if r := a.reply(); show(&r) != "[+OK +OK :"+n+"]" {
			t.Fatalf("round %d: %s", i, show(&r))
		}
	}
	reader.Wait()
}

func TestTransactionLeavesNothing(t *testing.T) {
	h := newHost(t, Options{})
	c, other := h.dial(t), h.dial(t)
	c.want([][2]string{{"WATCH w", "+OK"}, {"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}})
	if got := other.line("CLIENT LIST"); !strings.Contains(got, "multi=1 ") {
		t.Errorf("CLIENT LIST: %s", got)
	}
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for h.handler.pendingBytes.Load() != 0 {
		other.line("PING") // the session ends soon
	}
	other.want([][2]string{{"EXISTS a", ":0"}})
}

func TestTransactionLimits(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	big := strings.Repeat("x", 33<<20)
	c.want([][2]string{{"MULTI", "+OK"}})
	if got := c.do("SET", "a", big); got != "+QUEUED" {
		t.Fatal(got)
	}
	if got := c.do("SET", "b", big); got != "-ERR the transaction is larger than a command may be" {
		t.Error(got)
	}
	if n := h.handler.pendingBytes.Load(); n != 0 {
		t.Errorf("a spoiled transaction holds %d bytes", n)
	}
	c.want([][2]string{{"EXEC", "-EXECABORT Transaction discarded because of previous errors."}, {"EXISTS a b", ":0"}})

	h.handler.pendingBytes.Store(defaultHeldBytes)
	c.want([][2]string{{"MULTI", "+OK"}, {"SET a 1", "-OOM too many bytes wait in the transactions of all clients"}, {"EXEC", "-EXECABORT Transaction discarded because of previous errors."}})
	c.want([][2]string{{"WATCH a", "-OOM too many bytes wait in the transactions of all clients"}})
	h.handler.pendingBytes.Store(0)

	c.line("MULTI")
	for range maxTxnCommands {
		c.send([]string{"PING"})
		if r := c.reply(); show(&r) != "+QUEUED" {
			t.Fatal(show(&r))
		}
	}
	c.want([][2]string{{"PING", "-ERR the transaction is larger than a command may be"}})
}

// TestTransactionInTheLog restarts from the log alone: a transaction with a command
// that failed in it comes back as it was answered.
func TestTransactionInTheLog(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"SET text abc", "+OK"},
		{"MULTI", "+OK"},
		{"PUT t 1 one", "+QUEUED"},
		{"INCR text", "+QUEUED"},
		{"MPUT t 2 two u 2 zwei", "+QUEUED"},
		{"EXEC", `["1-0" -ERR value is not an integer or out of range ["2-0" "2-0"]]`},
	})
	other := newHostOn(t, h.disk.Clone(), Options{}).dial(t)
	other.want([][2]string{{"MGET t u text", `["two" "zwei" "abc"]`}, {"SCAN t - +", `["0" [["1-0" "one"] ["2-0" "two"]]]`}})
}
