package command

import "testing"

// TestPanicKeepsEarlierReplies breaks a handler in the middle of a pipeline: what
// was done before is answered, and only the broken command gets the error.
func TestPanicKeepsEarlierReplies(t *testing.T) {
	h := newHost(t, Options{})
	h.handler.table.byName["echo"].run = func(s *session, _ [][]byte) error {
		s.out.ArrayHeader(2)
		panic("a test")
	}
	c := h.dial(t)
	c.send([]string{"PING"}, []string{"PUT", "k", "1", "v"}, []string{"ECHO", "x"}, []string{"PUT", "k", "2", "v"})
	for _, want := range []string{"+PONG", `"1-0"`, "-ERR internal error"} {
		r := c.reply()
		if got := show(&r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !c.closed() {
		t.Error("the connection stays open")
	}
	h.dial(t).want([][2]string{{"COUNT k", ":1"}})
}
