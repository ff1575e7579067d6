package command

import (
	"context"
	"strings"
	"testing"
	"time"
)

// keyBomb sends a KEYS that would take minutes: a long pattern on long keys.
func keyBomb(t *testing.T, h *host) *client {
	t.Helper()
	c := h.dial(t)
	for i := range 150 {
		c.do("SET", string(rune('a'+i%26))+strings.Repeat("a", 60_000+i), "x")
	}
	c.send([]string{"KEYS", "*" + strings.Repeat("?a", 2000) + "b"})
	return c
}

// TestKeyBombEndsWithItsClient closes the connection under the command.
func TestKeyBombEndsWithItsClient(t *testing.T) {
	if testing.Short() {
		t.Skip("burns a core for some tenths of a second")
	}
	h := newHost(t, Options{})
	bomb := keyBomb(t, h)
	if err := bomb.conn.Close(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); len(h.handler.clients()) > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the command goes on without its client")
		}
	}
}

// TestKeyBombEndsWithTheServer shuts down under the command.
func TestKeyBombEndsWithTheServer(t *testing.T) {
	if testing.Short() {
		t.Skip("burns a core for some tenths of a second")
	}
	h := newHost(t, Options{})
	keyBomb(t, h)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
