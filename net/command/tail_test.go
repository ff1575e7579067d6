package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tskv/net/resp"
)

// next returns the text form of the next reply or push.
func (c *client) next() string {
	c.t.Helper()
	r := c.reply()
	return strings.Replace(show(&r), "?"+fmt.Sprint(resp.KindPush), "", 1)
}

func (c *client) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.next(); got != want {
			c.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestSubscribeTail(t *testing.T) {
	h := newHost(t, Options{})
	p := h.dial(t)
	for i := range 5 {
		p.line(fmt.Sprintf("PUT orders %d v%d", i+1, i+1))
	}
	all, after, last, news, wide := h.dial(t), h.dial(t), h.dial(t), h.dial(t), h.dial(t)
	all.send(split("SUBSCRIBE tail:orders@-"))
	all.expect(`["subscribe" "tail:orders@-" :1]`)
	for i := range 5 {
		all.expect(fmt.Sprintf(`["message" "tail:orders@-" "%d-0 v%d"]`, i+1, i+1))
	}
	after.send(split("SUBSCRIBE tail:orders@3-0"))
	after.expect(`["subscribe" "tail:orders@3-0" :1]`, `["message" "tail:orders@3-0" "4-0 v4"]`, `["message" "tail:orders@3-0" "5-0 v5"]`)
	last.send(split("SUBSCRIBE tail:orders@-2"))
	last.expect(`["subscribe" "tail:orders@-2" :1]`, `["message" "tail:orders@-2" "4-0 v4"]`, `["message" "tail:orders@-2" "5-0 v5"]`)
	news.send(split("SUBSCRIBE tail:orders tail:a@b"))
	news.expect(`["subscribe" "tail:orders" :1]`, `["subscribe" "tail:a@b" :2]`)
	wide.send(split("PSUBSCRIBE tail:or*"))
	wide.expect(`["psubscribe" "tail:or*" :1]`)
	p.line("PUT orders 6 six")
	p.line("PUT orders 2 again")
	p.line("PUT a@b 1 x")
	all.expect(`["message" "tail:orders@-" "6-0 six"]`, `["message" "tail:orders@-" "2-0 again"]`)
	news.expect(`["message" "tail:orders" "6-0 six"]`, `["message" "tail:orders" "2-0 again"]`, `["message" "tail:a@b" "1-0 x"]`)
	wide.expect(`["pmessage" "tail:or*" "tail:orders" "6-0 six"]`, `["pmessage" "tail:or*" "tail:orders" "2-0 again"]`)

	// Between messages PING is answered, and other commands are refused with RESP2.
	news.want([][2]string{
		{"PING", `["pong" ""]`},
		{"PING x", `["pong" "x"]`},
		{"GET a", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"},
		{"UNSUBSCRIBE tail:orders", `["unsubscribe" "tail:orders" :1]`},
		{"UNSUBSCRIBE", `["unsubscribe" "tail:a@b" :0]`},
		{"UNSUBSCRIBE", `["unsubscribe" nil :0]`},
		{"GET a@b", `"x"`},
	})
	wide.want([][2]string{{"RESET", "+RESET"}, {"PUT orders 7 seven", `"7-0"`}})
	all.expect(`["message" "tail:orders@-" "7-0 seven"]`)
	p.want([][2]string{
		{"SUBSCRIBE tail:", "-ERR a key has 1 to 65535 bytes"},
		{"PUBLISH tail:orders x", "-ERR channels that start with tail: carry the records of keys: write them with PUT"},
	})
}

// TestTailTransaction delivers an EXEC whole and nothing of one that fails.
func TestTailTransaction(t *testing.T) {
	h := newHost(t, Options{})
	p, c := h.dial(t), h.dial(t)
	c.send(split("PSUBSCRIBE tail:t:*"))
	c.expect(`["psubscribe" "tail:t:*" :1]`)
	p.want([][2]string{
		{"MULTI", "+OK"},
		{"PUT t:1 1 a", "+QUEUED"},
		{"PUT t:2 1 b", "+QUEUED"},
		{"EXEC", `["1-0" "1-0"]`},
		{"WATCH t:1", "+OK"},
		{"PUT t:1 2 c", `"2-0"`},
		{"MULTI", "+OK"},
		{"PUT t:1 3 never", "+QUEUED"},
		{"EXEC", "nil"},
		{"MPUT t:1 4 d t:2 x bad", "-ERR Invalid stream ID specified as stream command argument"},
		{"PUT t:1 9 value XX", "nil"},
		{"PUT t:1 5 e AFTER 1", "-CONFLICT last=2-0"},
		{"PUT t:1 6 end AFTER 2", `"6-0"`},
	}[:])
	c.expect(`["pmessage" "tail:t:*" "tail:t:1" "1-0 a"]`, `["pmessage" "tail:t:*" "tail:t:2" "1-0 b"]`,
		`["pmessage" "tail:t:*" "tail:t:1" "2-0 c"]`, `["pmessage" "tail:t:*" "tail:t:1" "6-0 end"]`)
}

func TestPubSub(t *testing.T) {
	h := newHost(t, Options{})
	a, b, p := h.dial(t), h.dial(t), h.dial(t)
	a.send(split("SUBSCRIBE news sport"), split("PSUBSCRIBE n*"))
	a.expect(`["subscribe" "news" :1]`, `["subscribe" "sport" :2]`, `["psubscribe" "n*" :3]`)
	b.line("HELLO 3")
	b.send(split("SUBSCRIBE news"))
	b.reply()
	p.want([][2]string{
		{"PUBLISH news hello", ":3"},
		{"PUBLISH other x", ":0"},
		{"PUBLISH sport goal", ":1"},
		{"PUBSUB CHANNELS", `["news" "sport"]`},
		{"PUBSUB CHANNELS s*", `["sport"]`},
		{"PUBSUB NUMSUB news none", `["news" :2 "none" :0]`},
		{"PUBSUB NUMPAT", ":1"},
	})
	if got := p.line("INFO stats"); !strings.Contains(got, `pubsub_channels:2\r\npubsub_patterns:1\r\n`) {
		t.Error(got)
	}
	a.expect(`["message" "news" "hello"]`, `["pmessage" "n*" "news" "hello"]`, `["message" "sport" "goal"]`)
	if r := b.reply(); r.Kind != resp.KindPush || len(r.Elems) != 3 || string(r.Elems[2].Text) != "hello" {
		t.Errorf("RESP3: %v", r)
	}
	b.want([][2]string{{"GET x", "nil"}, {"PING", "+PONG"}}) // RESP3 may do both
	if err := a.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for p.line("PUBSUB NUMPAT") != ":0" { // the session ends soon
		continue
	}
	p.want([][2]string{{"PUBLISH news x", ":1"}})
	if n := h.handler.mailBytes.Load(); n > 1<<20 {
		t.Errorf("%d bytes of mail", n)
	}
}

// TestSubscriberThatDoesNotRead is cut off, and its memory is given back.
func TestSubscriberThatDoesNotRead(t *testing.T) {
	h := newHost(t, Options{})
	slow, p := h.dial(t), h.dial(t)
	slow.send(split("SUBSCRIBE flood"))
	slow.next()
	message := strings.Repeat("x", 1<<20)
	cut := false
	for range 200 {
		if p.do("PUBLISH", "flood", message) == ":0" {
			cut = true
			break
		}
	}
	if !cut {
		t.Error("it still listens")
	}
	for h.handler.mailBytes.Load() != 0 {
		p.line("PING")
	}
}

// TestSubscribersShareABound: several that do not read are cut off long before each
// of them has used up its own bound.
func TestSubscribersShareABound(t *testing.T) {
	h := newHost(t, Options{HeldBytes: maxMailBytes})
	p := h.dial(t)
	const subscribers = 4
	for range subscribers {
		c := h.dial(t)
		c.send(split("SUBSCRIBE flood"))
		c.next()
	}
	message := strings.Repeat("x", 1<<20)
	cut := false
	for range 200 {
		reached := p.do("PUBLISH", "flood", message)
		if held := h.handler.mailBytes.Load(); held > maxMailBytes {
			t.Fatalf("%d bytes are held", held)
		}
		if cut = reached == ":0"; cut {
			break
		}
	}
	if !cut {
		t.Error("some still listen")
	}
}

func TestMonitor(t *testing.T) {
	h := newHost(t, Options{Password: "secret"})
	p, all, key := h.dial(t), h.dial(t), h.dial(t)
	for _, c := range []*client{p, all, key} {
		c.want([][2]string{{"AUTH secret", "+OK"}})
	}
	p.line("PUT k 1 one")
	p.line("PUT k 2 two TAG x")
	key.want([][2]string{
		{"MONITOR k FROM nonsense", "-ERR invalid time bound 'nonsense': use - + $ id (id now now-5m @unix-seconds or RFC 3339"},
		{"MONITOR k FROM", "-ERR syntax error"},
		{"MONITOR k FROM -1", "+OK"},
	})
	key.expect(`["2-0" "two"]`)
	all.want([][2]string{{"MONITOR", "+OK"}})
	p.line("PUT k 3 a\x01b")
	key.expect(`["3-0" "a\x01b"]`)
	want := fmt.Sprintf(`+%d.678000 [0 %s] "PUT" "k" "3" "a\x01b"`, fixedNow/1000, p.conn.LocalAddr())
	all.expect(want)
	h.dial(t).want([][2]string{{"AUTH secret", "+OK"}})
	p.line("GET k")
	if got := all.next(); strings.Contains(got, "secret") || !strings.Contains(got, `"GET" "k"`) {
		t.Errorf("%s", got)
	}
	tagged := h.dial(t)
	tagged.want([][2]string{{"AUTH secret", "+OK"}, {"MONITOR k FROM - TAG x", "+OK"}})
	tagged.expect(`["2-0" "two"]`)
	tagged.want([][2]string{{"MONITOR k", "-ERR this connection monitors a key already: RESET ends that"}})
}

func TestScanBlock(t *testing.T) {
	h := newHost(t, Options{})
	c, p := h.dial(t), h.dial(t)
	p.line("PUT k 5 five")
	c.want([][2]string{
		{"SCAN k - + BLOCK 0", `["(5-0" [["5-0" "five"]]]`},
		{"SCAN k (5-0 + BLOCK 1", `["5-1" []]`},
		{"SCAN k ($ + BLOCK 1", `["5-1" []]`},
		{"SCAN none $ + BLOCK 1", `["0-0" []]`},
		{"SCAN k - + REV BLOCK 1", "-ERR BLOCK waits for new records and cannot be used with REV or OFFSET"},
		{"SCAN k - + BLOCK -1", "-ERR timeout is negative"},
		{"SCAN k - + BLOCK x", "-ERR timeout is not an integer or out of range"},
		{"SCAN k - + COUNT 1 BLOCK 0", `["(5-0" [["5-0" "five"]]]`},
		{"MULTI", "+OK"},
		{"SCAN k ($ + BLOCK 0", "+QUEUED"},
		{"EXEC", `[["5-1" []]]`},
	})
	blocked := func() {
		t.Helper()
		for deadline := time.Now().Add(patience); h.handler.blocked.Load() == 0; {
			if time.Now().After(deadline) {
				t.Fatal("nobody is blocked")
			}
		}
	}
	c.send(split("SCAN k ($ + BLOCK 0"))
	blocked()
	p.want([][2]string{{"PUT other 6 x", `"6-0"`}, {"PUT k 6 six", `"6-0"`}})
	c.expect(`["(6-0" [["6-0" "six"]]]`)
	c.send(split("SCAN new - 10 TAG t BLOCK 0"))
	blocked()
	p.want([][2]string{{"PUT new 11 outside TAG t", `"11-0"`}, {"PUT new 3 untagged", `"3-0"`}, {"PUT new 4 it TAG t", `"4-0"`}})
	c.expect(`["(4-0" [["4-0" "it"]]]`)

	id := strings.TrimPrefix(c.line("CLIENT ID"), ":")
	for _, row := range [][2]string{{"TIMEOUT", `["6-1" []]`}, {"ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"}} {
		c.send(split("SCAN k (6-0 + BLOCK 0"))
		blocked()
		for p.line("CLIENT UNBLOCK "+id+" "+row[0]) != ":1" { // it is about to wait
			continue
		}
		c.expect(row[1])
	}
	c.send(split("SCAN k (6-0 + BLOCK 0"))
	blocked()
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); h.handler.blocked.Load() != 0; {
		if time.Now().After(deadline) {
			t.Fatal("a client that is gone still waits")
		}
	}
}
