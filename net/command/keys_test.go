package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"MSET a 1 ab 2 b 3", "+OK"},
		{"EXISTS a b c a", ":3"},
		{"TOUCH a c", ":1"},
		{"TYPE a", "+string"},
		{"TYPE c", "+none"},
		{"KEYS *", `["a" "ab" "b"]`},
		{"KEYS a*", `["a" "ab"]`},
		{"KEYS ?b", `["ab"]`},
		{"KEYS x*", `[]`},
		{"DBSIZE", ":3"},
		{"OBJECT ENCODING a", `"series"`},
		{"OBJECT ENCODING x", "nil"},
		{"OBJECT NOPE a", "-ERR unknown subcommand 'NOPE'. Try OBJECT HELP."},
		{"OBJECT", "-ERR wrong number of arguments for 'object' command"},
		{"DEL a a x", ":1"},
		{"UNLINK ab", ":1"},
		{"DBSIZE", ":1"},
		{"FLUSHALL NOPE", "-ERR syntax error"},
		{"FLUSHALL", "+OK"},
		{"DBSIZE", ":0"},
		{"SET a 1", "+OK"},
		{"FLUSHDB ASYNC", "+OK"},
		{"GET a", "nil"},
		{"KEYS " + strings.Repeat("x", maxPattern+1), "-ERR the pattern is too long"},
	})
}

// keyPages walks a key scan to its end.
func keyPages(t *testing.T, c *client, options ...string) []string {
	t.Helper()
	var keys []string
	cursor := "0"
	for range 100_000 {
		c.send(append([]string{"SCAN", cursor}, options...))
		r := c.reply()
		if len(r.Elems) != 2 {
			t.Fatal(show(&r))
		}
		for _, e := range r.Elems[1].Elems {
			keys = append(keys, string(e.Text))
		}
		if cursor = string(r.Elems[0].Text); cursor == "0" {
			return keys
		}
	}
	t.Fatal("the scan does not end")
	return nil
}

func TestKeyScan(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	var want []string
	args := []string{"MSET"}
	for i := range 995 {
		key := fmt.Sprintf("key:%03d", i)
		want = append(want, key)
		args = append(args, key, "v")
	}
	if got := c.do(args...); got != "+OK" {
		t.Fatal(got)
	}
	for _, options := range [][]string{nil, {"COUNT", "1"}, {"COUNT", "994"}, {"COUNT", "995"}, {"count", "5000"}, {"TYPE", "string"}, {"MATCH", "key:*"}} {
		if got := keyPages(t, c, options...); !slices.Equal(got, want) {
			t.Errorf("%v: %d keys", options, len(got))
		}
	}
	if got := keyPages(t, c, "MATCH", "key:1?5", "COUNT", "7"); len(got) != 10 || got[0] != "key:105" {
		t.Error(got)
	}
	if got := keyPages(t, c, "TYPE", "list"); got != nil {
		t.Error(got)
	}
	c.want([][2]string{
		{"SCAN 12345", "-ERR invalid cursor"},
		{"SCAN x MATCH *", "-ERR invalid cursor"},
		{"SCAN x", "-" + string(errScan)},
		{"SCAN 0 COUNT 0", "-ERR syntax error"},
		{"SCAN 0 COUNT x", "-ERR value is not an integer or out of range"},
		{"SCAN 0 MATCH", "-ERR syntax error"},
		{"SCAN 0 COUNT 5 FOO 1", "-ERR syntax error"},
	})
	// A cursor outlives its key, and deleting keys behind it repeats nothing.
	c.send([]string{"SCAN", "0", "COUNT", "5"})
	r := c.reply()
	cursor := string(r.Elems[0].Text)
	c.want([][2]string{
		{"DEL key:004", ":1"},
		{"SCAN " + cursor + " COUNT 1", `["` + strconv.FormatUint(h.handler.cursors.issue([]byte("key:005")), 10) + `" ["key:005"]]`},
	})
}

func TestCursorsAreBounded(t *testing.T) {
	c := newCursors(100, 1000)
	first := c.issue([]byte("first"))
	for i := range 99 {
		c.issue([]byte(strconv.Itoa(i)))
	}
	if key, ok := c.key(first); !ok || key != "first" {
		t.Fatal("a cursor is forgotten too early")
	}
	if again := c.issue([]byte("first")); again != first || c.recent.Len() != 100 {
		t.Fatal("the same key gets another cursor")
	}
	for i := range 100 {
		c.issue([]byte(strconv.Itoa(1000 + i)))
	}
	if _, ok := c.key(first); ok || c.recent.Len() != 100 || len(c.byID) != 100 {
		t.Fatal("the number of cursors is not bounded")
	}
	c.issue([]byte(strings.Repeat("x", 990)))
	if c.bytes > 1000 || c.recent.Len() > 10 {
		t.Fatalf("%d bytes of keys", c.bytes)
	}
	if _, ok := c.key(0); ok {
		t.Fatal("0 is a cursor")
	}
}

// TestKeysStream: more keys than are collected.
func TestKeysStream(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const n, width = 3000, 1000
	for i := 0; i < n; i += 100 {
		args := []string{"MSET"}
		for j := range 100 {
			args = append(args, fmt.Sprintf("%0*d", width, i+j), "v")
		}
		if got := c.do(args...); got != "+OK" {
			t.Fatal(got)
		}
	}
	c.send([]string{"KEYS", "*"}, []string{"PING"})
	r := c.reply()
	if len(r.Elems) != n {
		t.Fatalf("%d keys", len(r.Elems))
	}
	for i, e := range r.Elems {
		if k, err := strconv.Atoi(string(e.Text)); err != nil || k != i || len(e.Text) != width {
			t.Fatalf("key %d is %q", i, e.Text)
		}
	}
	if r := c.reply(); show(&r) != "+PONG" {
		t.Fatal(show(&r))
	}
}
