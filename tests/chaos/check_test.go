package chaos

import (
	"fmt"
	"testing"

	"tskv/tests/harness"
)

// check compares everything that a writer's keys hold with its ledger:
// acknowledged commands are there, exactly; the others are there whole or not at
// all, and nothing else is. A command found right once is checked again only by
// check from zero.
func (led *ledger) check(t *testing.T, c *harness.Conn, from int) {
	t.Helper()
	found := map[int]int{} // command: records seen
	for key := range keysPerWriter {
		led.checkKey(t, c, key, from, found)
	}
	for n := from; n < len(led.commands); n++ {
		cmd := led.commands[n]
		switch {
		case cmd.acked && found[n] != len(cmd.keys):
			t.Errorf("writer %d: acknowledged command %d %v: %d of %d records are there", led.writer, n, cmd.keys, found[n], len(cmd.keys))
		case found[n] != 0 && found[n] != len(cmd.keys):
			t.Errorf("writer %d: command %d %v is there in part: %d of %d records", led.writer, n, cmd.keys, found[n], len(cmd.keys))
		}
	}
	led.settle(found, from)
	led.checked = len(led.commands)
}

// settle turns commands that were only asked into what became of them, so that
// later checks expect the same.
func (led *ledger) settle(found map[int]int, from int) {
	for n := from; n < len(led.commands); n++ {
		if found[n] == len(led.commands[n].keys) {
			led.commands[n].acked = true
		} else if !led.commands[n].acked {
			led.commands[n].keys = nil // it must never appear
		}
	}
}

func (led *ledger) checkKey(t *testing.T, c *harness.Conn, key, from int, found map[int]int) {
	t.Helper()
	start := "-"
	if from > 0 {
		start = fmt.Sprint(1_700_000_000_000 + from*10 - 40)
	}
	wants := led.expect(key, max(from-8, 0))
	reply := c.Must(t, "SCAN", led.key(key), start, "+")
	last := ""
	for _, r := range reply.Elems[1].Elems {
		id, value := string(r.Elems[0].Text), string(r.Elems[1].Text)
		if id <= last { // all IDs have the same length
			t.Errorf("%s: %s comes after %s", led.key(key), id, last)
		}
		last = id
		w, ok := wants[id]
		if !ok {
			t.Errorf("%s: %s %q was never written", led.key(key), id, value)
			continue
		}
		if value != led.value(w.n, key) {
			t.Errorf("%s: %s is %q, want %q", led.key(key), id, value, led.value(w.n, key))
		}
		found[w.n]++
	}
}
