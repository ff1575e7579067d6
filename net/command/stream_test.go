package command

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"tskv/engine"
	"tskv/net/resp"
)

// fill writes n records of the given width.
func (c *client) fill(key string, n, width int) {
	c.t.Helper()
	for i := 0; i < n; i += 500 {
		args := []string{"MPUT"}
		for j := i; j < min(i+500, n); j++ {
			args = append(args, key, strconv.Itoa(j+1), fmt.Sprintf("%0*d", width, j+1))
		}
		c.send(args)
		if r := c.reply(); r.IsError() {
			c.t.Fatal(show(&r))
		}
	}
}

// checkRun checks that a page holds the records first, first+step ... and next.
func checkRun(t *testing.T, r *resp.Reply, first, step, n int, next string) {
	t.Helper()
	if len(r.Elems) != 2 {
		t.Fatalf("%.200s", show(r))
	}
	if got := string(r.Elems[0].Text); got != next {
		t.Errorf("next is %s, want %s", got, next)
	}
	records := r.Elems[1].Elems
	if len(records) != n {
		t.Fatalf("%d records, want %d", len(records), n)
	}
	for i, rec := range records {
		id := first + i*step
		if string(rec.Elems[0].Text) != fmt.Sprintf("%d-0", id) || !strings.HasSuffix(string(rec.Elems[1].Text), strconv.Itoa(id)) {
			t.Fatalf("record %d is %s", i, show(&rec))
		}
	}
}

// TestScanStream: replies longer than what is collected, by all of the ways to
// end a page.
func TestScanStream(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const n, width = 5000, 1000
	c.fill("k", n, width)
	for _, q := range []struct {
		options        string
		first, step, n int
		next           string
	}{
		{"", 1, 1, n, "0"},
		{"COUNT 4000", 1, 1, 4000, "(4000-0"},
		{"COUNT 5000", 1, 1, 5000, "0"},
		{"COUNT 4999", 1, 1, 4999, "(4999-0"},
		{"COUNT 9000", 1, 1, n, "0"},
		{"OFFSET 1000", 1001, 1, 4000, "0"},
		{"OFFSET 1000 COUNT 3000", 1001, 1, 3000, "(4000-0"},
		{"REV", n, -1, n, "0"},
		{"REV COUNT 4000", n, -1, 4000, "(1001-0"},
		{"REV OFFSET 10 COUNT 4990", n - 10, -1, 4990, "0"},
		{"REV OFFSET 10 COUNT 4989", n - 10, -1, 4989, "(2-0"},
	} {
		c.send(split(strings.TrimSpace("SCAN k - + "+q.options)), []string{"PING"})
		r := c.reply()
		t.Run(q.options, func(t *testing.T) { checkRun(t, &r, q.first, q.step, q.n, q.next) })
		if r := c.reply(); show(&r) != "+PONG" {
			t.Fatal(show(&r))
		}
	}
	// Pages that follow each other, of a size around the edge of what is collected.
	for size := 1015; size < 1045; size += 3 {
		from, got := "-", 0
		for from != "0" {
			c.send([]string{"SCAN", "k", from, "+", "COUNT", strconv.Itoa(size)})
			r := c.reply()
			checkRun(t, &r, got+1, 1, min(size, n-got), string(r.Elems[0].Text))
			got += len(r.Elems[1].Elems)
			from = string(r.Elems[0].Text)
		}
		if got != n {
			t.Fatalf("pages of %d: %d records", size, got)
		}
	}
}

// TestScanStreamTags: the rest of a filtered range is counted by its tags.
func TestScanStreamTags(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	value := strings.Repeat("x", 2000)
	var commands [][]string
	for i := range 3000 {
		args := []string{"PUT", "k", strconv.Itoa(i + 1), value + strconv.Itoa(i+1)}
		if i%2 == 1 {
			args = append(args, "TAG", "even")
		}
		commands = append(commands, args)
	}
	c.send(commands...)
	for range commands {
		c.reply()
	}
	for options, want := range map[string]struct {
		n    int
		next string
	}{"": {1500, "0"}, " COUNT 1200": {1200, "(2400-0"}, " COUNT 1500": {1500, "0"}} {
		c.send(split("SCAN k - + TAG even" + options))
		r := c.reply()
		checkRun(t, &r, 2, 2, want.n, want.next)
	}
}

// TestScanStreamMuted: a long reply under CLIENT REPLY SKIP leaves no byte.
func TestScanStreamMuted(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.fill("k", 3000, 1000)
	c.send([]string{"CLIENT", "REPLY", "SKIP"}, []string{"SCAN", "k", "-", "+"}, []string{"PING"})
	if r := c.reply(); show(&r) != "+PONG" {
		t.Fatalf("%.100s", show(&r))
	}
}

// TestMgetLong: values that together are more than is collected.
func TestMgetLong(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	big := strings.Repeat("v", 700_000)
	for _, key := range []string{"a", "b", "c"} {
		if got := c.do("SET", key, big); got != "+OK" {
			t.Fatal(got)
		}
	}
	c.send([]string{"MGET", "a", "none", "b", "c"})
	r := c.reply()
	if len(r.Elems) != 4 || string(r.Elems[3].Text) != big || r.Elems[1].Kind != resp.KindNull {
		t.Fatal("wrong values")
	}
}

// TestScanDamaged: a damaged block in a reply that has begun ends the connection,
// one in a reply that has not is an error; other reads go on.
func TestScanDamaged(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const n, width = 5000, 1000
	c.fill("k", n, width)
	c.want([][2]string{{"SAVE", "+OK"}})
	h.reopen(t) // so that nothing is read from memory
	h.damage(t)
	c.want([][2]string{{"GET k AT 1", `"` + fmt.Sprintf("%0*d", width, 1) + `"`}})
	from, broken := 1, 0
	for ; from <= n; from++ {
		if got := c.do("GET", "k", "AT", strconv.Itoa(from)); strings.HasPrefix(got, "-CORRUPT file=sst/") {
			broken = from
			break
		}
	}
	if broken == 0 {
		t.Fatal("the damage is not seen")
	}
	if got := c.do("SCAN", "k", strconv.Itoa(broken), "+"); !strings.HasPrefix(got, "-CORRUPT file=sst/") {
		t.Errorf("%.100s", got)
	}
	d := h.dial(t)
	d.send([]string{"SCAN", "k", "-", "+"})
	if r, err := d.in.Read(); err == nil {
		t.Errorf("a damaged scan is answered: %.100s", show(&r))
	}
	c.want([][2]string{{"COUNT k", ":5000"}, {"PING", "+PONG"}})
}

// reopen closes the store and opens it again; no command may be running.
func (h *host) reopen(t *testing.T) {
	t.Helper()
	err := h.db.Close()
	if err == nil {
		h.db, err = engine.Open("test", h.store)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// damage flips bytes in the middle of the largest table.
func (h *host) damage(t *testing.T) {
	t.Helper()
	largest, size := "", 0
	for _, name := range h.disk.Files() {
		if b, err := h.disk.ReadFile(name); err == nil && strings.HasPrefix(name, "sst/") && len(b) > size {
			largest, size = name, len(b)
		}
	}
	if largest == "" {
		t.Fatal("there is no table")
	}
	h.disk.Corrupt(largest, func(b []byte) []byte {
		for i := len(b) * 6 / 10; i < len(b)*6/10+64; i++ {
			b[i] ^= 0xFF
		}
		return b
	})
}
