package command

import (
	"strings"
	"testing"

	"tskv/engine"
)

func TestPut(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"PUT k 5-1 1.50", `"5-1"`},
		{"PUT k 5 a", `"5-0"`},
		{"PUT k 7-* x", `"7-0"`},
		{"put k 7-* y", `"7-1"`},
		{"PUT k 5-* z", "-ERR The ID specified is equal or smaller than the key's last ID"},
		{"PUT k * now", `"1704164645678-0"`},
		{"PUT k * again", `"1704164645678-1"`},
		{"PUT k now-1s early", `"1704164644678-0"`},
		{"PUT k @1.25 e", `"1250-0"`},
		{"PUT k 1970-01-01T00:00:02Z e", `"2000-0"`},
		{"PUT k 9-9 v NX", `"9-9"`},
		{"PUT k 9-9 w NX", "nil"},
		{"PUT k 9-9 w XX", `"9-9"`},
		{"PUT k 9-8 w XX", "nil"},
		{"GET k AT 9-9", `"w"`},
		{"PUT k 9-9 v AFTER 9-9", "-CONFLICT last=1704164645678-1"},
		{"PUT k * v AFTER 1704164645678-1", `"1704164645678-2"`},
		{"PUT fresh 3-3 v AFTER 0-0", `"3-3"`},
		{"PUT fresh 4-4 v AFTER 0-0", "-CONFLICT last=3-3"},
		{"PUT fresh 4-4 v TAG a TAG b TAG a AFTER 3-3", `"4-4"`},
		{"GETREC fresh", `["4-4" "v" ["a" "b"]]`},
		{"PUT k 1-1 v NX XX", "-ERR syntax error"},
		{"PUT k 1-1 v AFTER", "-ERR syntax error"},
		{"PUT k 1-1 v TAG", "-ERR syntax error"},
		{"PUT k 1-1 v EX 5", "-ERR syntax error"},
		{"PUT k 1-1 v AFTER x", "-ERR Invalid stream ID specified as stream command argument"},
		{"PUT k nope v", "-ERR Invalid stream ID specified as stream command argument"},
		{"PUT k -5 v", "-ERR Invalid stream ID specified as stream command argument"},
		{"PUT k 1-1", "-ERR wrong number of arguments for 'put' command"},
		{`PUT "" 1-1 v`, "-ERR a key has 1 to 65535 bytes"},
		{`PUT k 1-1 v TAG ""`, "-ERR " + tagError(t)},
		{"GET k AT 1-1", "nil"},
		{"COUNT fresh", ":2"},
	})
}

func tagError(t *testing.T) string {
	t.Helper()
	err := parsePutOptions([][]byte{[]byte("TAG"), {}}, &engine.Op{})
	if err == nil {
		t.Fatal("an empty tag is taken")
	}
	return err.Error()
}

func TestMput(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"MPUT a 1-1 x b 2 y a * z", `["1-1" "2-0" "1704164645678-0"]`},
		{"MPUT a 5-5 x a 9-* y", "-ERR The ID specified is equal or smaller than the key's last ID"},
		{"GETREC a AT 9", `["1-1" "x" []]`},
		{"MPUT new 5-5 x a 9-* y", "-ERR The ID specified is equal or smaller than the key's last ID"},
		{"EXISTS new", ":0"},
		{"MPUT a 1 x b", "-ERR wrong number of arguments for 'mput' command"},
		{"MPUT a bad x", "-ERR Invalid stream ID specified as stream command argument"},
		{"DBSIZE", ":2"},
	})
}

func TestGetAt(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"GET k", "nil"},
		{"GETREC k", "nil"},
		{"MPUT k 10-0 a k 10-5 b k 20-0 c", `["10-0" "10-5" "20-0"]`},
		{"GET k", `"c"`},
		{"GET k AT 10", `"b"`},
		{"GET k at (10-5", `"a"`},
		{"GET k AT (10", "nil"},
		{"GET k AT -", "nil"},
		{"GET k AT +", `"c"`},
		{"GET k AT $", `"c"`},
		{"GET k AT ($", `"b"`},
		{"GET none AT ($", "nil"},
		{"GETREC k AT 19", `["10-5" "b" []]`},
		{"GET k AT", "-ERR wrong number of arguments for 'get' command"},
		{"GETREC k AT 1 2", "-ERR wrong number of arguments for 'getrec' command"},
		{"GET k FOO 1", "-ERR syntax error"},
		{"GET k AT x", "-ERR invalid time bound 'x': use - + $ id (id now now-5m @unix-seconds or RFC 3339"},
		{"GET k AT 1969-01-01T00:00:00Z", "nil"},
	})
	// Each SET is a version of its own.
	c.want([][2]string{{"SET s one", "+OK"}})
	h.now.Add(3_600_000)
	c.want([][2]string{
		{"SET s two", "+OK"},
		{"GET s", `"two"`},
		{"GET s AT now-1h", `"one"`},
		{"GET s AT now-61m", "nil"},
		{"SCAN s - + COUNT 1", `["(1704164645678-0" [["1704164645678-0" "one"]]]`},
	})
}

func TestScanRange(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"PUT k 1-0 1.50 TAG red", `"1-0"`},
		{"PUT k 2-0 2 TAG red TAG big", `"2-0"`},
		{"PUT k 3-0 x", `"3-0"`},
		{"PUT k 4-7 y TAG big", `"4-7"`},
		{"SCAN none - +", `["0" []]`},
		{"SCAN k - +", `["0" [["1-0" "1.50"] ["2-0" "2"] ["3-0" "x"] ["4-7" "y"]]]`},
		{"TSCAN k 2 3", `["0" [["2-0" "2"] ["3-0" "x"]]]`},
		{"SCAN k (2 $", `["0" [["3-0" "x"] ["4-7" "y"]]]`},
		{"SCAN k ($ +", `["0" []]`},
		{"SCAN k 3 2", `["0" []]`},
		{"SCAN k - + REV", `["0" [["4-7" "y"] ["3-0" "x"] ["2-0" "2"] ["1-0" "1.50"]]]`},
		{"SCAN k - + COUNT 2", `["(2-0" [["1-0" "1.50"] ["2-0" "2"]]]`},
		{"SCAN k (2-0 + COUNT 2", `["0" [["3-0" "x"] ["4-7" "y"]]]`},
		{"SCAN k - + COUNT 4", `["0" [["1-0" "1.50"] ["2-0" "2"] ["3-0" "x"] ["4-7" "y"]]]`},
		{"SCAN k - + REV COUNT 3", `["(2-0" [["4-7" "y"] ["3-0" "x"] ["2-0" "2"]]]`},
		{"SCAN k - (2-0 REV COUNT 3", `["0" [["1-0" "1.50"]]]`},
		{"SCAN k - + OFFSET 3", `["0" [["4-7" "y"]]]`},
		{"SCAN k - + OFFSET 1 COUNT 1", `["(2-0" [["2-0" "2"]]]`},
		{"SCAN k - + OFFSET 9", `["0" []]`},
		{"SCAN k - + TAG red", `["0" [["1-0" "1.50"] ["2-0" "2"]]]`},
		{"SCAN k - + TAG red TAG big", `["0" [["2-0" "2"]]]`},
		{"SCAN k - + TAG big COUNT 1 WITHTAGS", `["(2-0" [["2-0" "2" ["big" "red"]]]]`},
		{"SCAN k 3 + WITHTAGS", `["0" [["3-0" "x" []] ["4-7" "y" ["big"]]]]`},
		{"SCAN k - + TAG none", `["0" []]`},
		{"SCAN k - + COUNT 0", "-ERR value is out of range, must be positive"},
		{"SCAN k - + COUNT x", "-ERR value is not an integer or out of range"},
		{"SCAN k - + OFFSET -1", "-ERR value is not an integer or out of range"},
		{"SCAN k - + COUNT", "-ERR syntax error"},
		{"SCAN k -", "-" + string(errScan)},
		{"SCAN k - nope", "-" + string(errScan)},
		{"TSCAN k - nope", "-ERR invalid time bound 'nope': use - + $ id (id now now-5m @unix-seconds or RFC 3339"},
		{"COUNT k", ":4"},
		{"COUNT k 2 3", ":2"},
		{"COUNT k TAG big", ":2"},
		{"COUNT k - 2 TAG big TAG red", ":1"},
		{"COUNT k 3 2", ":0"},
		{"COUNT none", ":0"},
		{"COUNT k 1", "-ERR syntax error"},
		{"COUNT k - + FOO", "-ERR syntax error"},
	})
}

func TestDeleteRange(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"MPUT k 1 a k 2 b k 3 c k 4 d", `["1-0" "2-0" "3-0" "4-0"]`},
		{"DELRANGE k 2 3", ":2"},
		{"DELRANGE k 2 3", ":0"},
		{"SCAN k - +", `["0" [["1-0" "a"] ["4-0" "d"]]]`},
		{"DELRANGE k $ $", ":1"},
		{"DELRANGE none - +", ":0"},
		{"DELRANGE none $ +", ":0"},
		{"DELRANGE k 3 2", ":0"},
		{"DELRANGE k - +", ":1"},
		{"EXISTS k", ":1"},
		{"GET k", "nil"},
		{"DEL k none", ":1"},
		{"EXISTS k", ":0"},
		{"DELRANGE k - x", "-ERR invalid time bound 'x': use - + $ id (id now now-5m @unix-seconds or RFC 3339"},
	})
}

// TestPipeline: replies come in order, a read sees the writes before it, and an
// error in the middle stops nothing else.
func TestPipeline(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	var lines, want []string
	for _, row := range [][2]string{
		{"PUT k 1 a", `"1-0"`},
		{"PUT k 2 b", `"2-0"`},
		{"COUNT k", ":2"},
		{"SET s 5", "+OK"},
		{"INCR s", ":6"},
		{"INCR s", ":7"},
		{"PUT k bad c", "-ERR Invalid stream ID specified as stream command argument"},
		{"PUT k 3 c NX", `"3-0"`},
		{"PUT k 3 d NX", "nil"},
		{"PUT k 1 d AFTER 2-0", "-CONFLICT last=3-0"},
		{"GET s", `"7"`},
		{"DEL k s x", ":2"},
		{"EXISTS k s", ":0"},
		{"NOPE", "-ERR unknown command 'NOPE', with args beginning with: "},
		{"DELRANGE s - +", ":0"},
		{"PING", "+PONG"},
	} {
		lines, want = append(lines, row[0]), append(want, row[1])
	}
	var commands [][]string
	for _, line := range lines {
		commands = append(commands, split(line))
	}
	c.send(commands...)
	for i := range commands {
		r := c.reply()
		if got := show(&r); got != want[i] {
			t.Errorf("%s\n got %s\nwant %s", lines[i], got, want[i])
		}
	}
}

// TestPipelineOverBounds sends more than one batch holds.
func TestPipelineOverBounds(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	const n = 2*maxQueueOps + 100
	var commands [][]string
	for range n {
		commands = append(commands, []string{"INCR", "n"})
	}
	big := strings.Repeat("x", maxQueueBytes/2)
	for range 4 {
		commands = append(commands, []string{"SET", "big", big})
	}
	go func() { c.send(commands...) }()
	for i := range n {
		if r := c.reply(); r.Int != int64(i+1) {
			t.Fatalf("reply %d is %s", i, show(&r))
		}
	}
	for range 4 {
		if r := c.reply(); show(&r) != "+OK" {
			t.Fatalf("%.100s", show(&r))
		}
	}
	if got := c.line("STRLEN big"); got != ":4194304" {
		t.Fatal(got)
	}
}
