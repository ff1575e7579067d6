package command

import (
	"strings"
	"testing"
)

// TestExpire holds the replies of Redis 7.0 to the same commands.
func TestExpire(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"TTL k", ":-2"},
		{"EXPIRE k 10", ":0"},
		{"SET k v", "+OK"},
		{"TTL k", ":-1"},
		{"PEXPIRETIME k", ":-1"},
		{"EXPIRE k 10 XX", ":0"},
		{"EXPIRE k 10 GT", ":0"},
		{"EXPIRE k 100 NX", ":1"},
		{"EXPIRE k 10 NX", ":0"},
		{"TTL k", ":100"},
		{"PTTL k", ":100000"},
		{"EXPIRETIME k", ":1704164746"},
		{"PEXPIRETIME k", ":1704164745678"},
		{"EXPIRE k 50 GT", ":0"},
		{"EXPIRE k 100 LT", ":0"},
		{"EXPIRE k 50 LT", ":1"},
		{"EXPIRE k 60 XX GT", ":1"},
		{"TTL k", ":60"},
		{"PERSIST k", ":1"},
		{"PERSIST k", ":0"},
		{"PERSIST none", ":0"},
		{"EXPIRE k 60 LT", ":1"},
		{"EXPIRE k 60 NX XX", "-" + string(errExpireNX)},
		{"EXPIRE k 60 NX GT", "-" + string(errExpireNX)},
		{"EXPIRE k 60 GT LT", "-" + string(errExpireGT)},
		{"EXPIRE k 60 FOO", "-ERR Unsupported option FOO"},
		{"EXPIRE k x", "-ERR value is not an integer or out of range"},
		{"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"},
		{"PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"},
		{"EXPIREAT k -9223372036854775808", "-ERR invalid expire time in 'expireat' command"},
		{"PEXPIREAT k 9223372036854775807", ":1"},
		{"TTL k", ":9223370332690130"},
		{"PEXPIREAT k 1704164645678", ":1"},
		{"EXISTS k", ":0"},
		{"SET k v", "+OK"},
		{"EXPIRE k -1", ":1"},
		{"GET k", "nil"},
		{"EXPIRE k", "-ERR wrong number of arguments for 'expire' command"},
	})
}

func TestSetExpires(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"SET k v EX 10", "+OK"},
		{"TTL k", ":10"},
		{"SET k v PX 1500 XX", "+OK"},
		{"PTTL k", ":1500"},
		{"SET k w KEEPTTL", "+OK"},
		{"PTTL k", ":1500"},
		{"INCR n", ":1"},
		{"EXPIRE n 5", ":1"},
		{"INCR n", ":2"},
		{"APPEND n 0", ":2"},
		{"PUT n * 7", `"1704164645678-3"`},
		{"TTL n", ":5"},
		{"GETSET n 1", `"7"`},
		{"TTL n", ":-1"},
		{"SET k v", "+OK"},
		{"TTL k", ":-1"},
		{"SET k v EXAT 1704164646", "+OK"},
		{"PEXPIRETIME k", ":1704164646000"},
		{"SET k v PXAT 1704164700000 GET", `"v"`},
		{"PEXPIRETIME k", ":1704164700000"},
		{"MSET k a", "+OK"},
		{"TTL k", ":-1"},
		{"SETEX k 7 v", "+OK"},
		{"TTL k", ":7"},
		{"PSETEX k 7000 v", "+OK"},
		{"GETEX k", `"v"`},
		{"TTL k", ":7"},
		{"GETEX k EX 9", `"v"`},
		{"TTL k", ":9"},
		{"GETEX k PERSIST", `"v"`},
		{"TTL k", ":-1"},
		{"GETEX k PXAT 1", `"v"`},
		{"EXISTS k", ":0"},
		{"GETEX k EX x", "nil"},
		{"SET k v", "+OK"},
		{"GETDEL k", `"v"`},
		{"GETDEL k", "nil"},
		{"EXISTS k", ":0"},
		{"SET k v EX 0", "-ERR invalid expire time in 'set' command"},
		{"SET k v EX -1", "-ERR invalid expire time in 'set' command"},
		{"SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
		{"SET k v PX x", "-ERR value is not an integer or out of range"},
		{"SET k v EX", "-ERR syntax error"},
		{"SET k v EX 1 PX 1", "-ERR syntax error"},
		{"SET k v EX 1 KEEPTTL", "-ERR syntax error"},
		{"SET k v PERSIST", "-ERR syntax error"},
		{"SETEX k 0 v", "-ERR invalid expire time in 'setex' command"},
		{"PSETEX k -5 v", "-ERR invalid expire time in 'psetex' command"},
		{"SETEX k x v", "-ERR value is not an integer or out of range"},
		{"SET k v", "+OK"},
		{"GETEX k EX 0", "-ERR invalid expire time in 'getex' command"},
		{"GETEX k EX 1 PERSIST", "-ERR syntax error"},
		{"GETEX k KEEPTTL", "-ERR syntax error"},
		{"SET k v EXAT 1", "+OK"},
		{"EXISTS k", ":0"},
	})
}

// TestExpiredIsAbsent: from its time on, to the millisecond, a key is gone for
// every command, and a write finds nothing of it.
func TestExpiredIsAbsent(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	set := func() {
		t.Helper()
		c.want([][2]string{{"SET k v PX 100", "+OK"}, {"SET other v", "+OK"}})
		h.now.Add(99)
		c.want([][2]string{{"GET k", `"v"`}, {"PTTL k", ":1"}})
		h.now.Add(1)
	}
	for _, row := range [][2]string{
		{"GET k", "nil"},
		{"GETREC k", "nil"},
		{"GET k AT +", "nil"},
		{"SCAN k - +", `["0" []]`},
		{"COUNT k", ":0"},
		{"EXISTS k", ":0"},
		{"TYPE k", "+none"},
		{"TTL k", ":-2"},
		{"STRLEN k", ":0"},
		{"MGET k other", `[nil "v"]`},
		{"KEYS *", `["other"]`},
		{"SCAN 0", `["0" ["other"]]`},
		{"DEL k", ":0"},
		{"PERSIST k", ":0"},
		{"EXPIRE k 5", ":0"},
		{"GETDEL k", "nil"},
		{"INCR k", ":1"},
		{"APPEND k x", ":1"},
		{"SET k w XX", "nil"},
		{"SETNX k w", ":1"},
		{"GETSET k w", "nil"},
		{"PUT k 5 w XX", "nil"},
		{"DELRANGE k - +", ":0"},
	} {
		set()
		if got := c.line(row[0]); got != row[1] {
			t.Errorf("%s: %s, want %s", row[0], got, row[1])
		}
		c.line("DEL k")
	}
	set()
	c.want([][2]string{
		{"PUT k 5 w", `"5-0"`},
		{"SCAN k - +", `["0" [["5-0" "w"]]]`},
		{"TTL k", ":-1"},
		{"SET b v EX 5", "+OK"},
	})
	if got := c.line("INFO keyspace"); !strings.Contains(got, "expires=1,") {
		t.Error(got)
	}
	if h.db.Stats().Expires != 1 {
		t.Error(h.db.Stats().Expires)
	}
}
