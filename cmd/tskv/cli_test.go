package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// canned is a server that answers the next command with reply and hangs up.
func canned(t *testing.T, reply string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when the client or the listener closes
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Read(make([]byte, 1024)); err == nil {
			_, _ = io.WriteString(conn, reply) // the client's text shows what arrived
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestReplies prints replies of every shape, as redis-cli does.
func TestReplies(t *testing.T) {
	for _, c := range []struct{ reply, want, raw string }{
		{"+OK", "OK", "OK"},
		{"-ERR no", "(error) ERR no", "ERR no"},
		{":-3", "(integer) -3", "-3"},
		{"$4|a\x00\"\xff", `"a\x00\"\xff"`, "a\x00\"\xff"},
		{"$-1", "(nil)", ""},
		{"_", "(nil)", ""},
		{"*-1", "(nil)", ""},
		{"*0", "(empty array)", ""},
		{"%0", "(empty hash)", ""},
		{"~0", "(empty set)", ""},
		{"#t", "(true)", "1"},
		{",1.5", "(double) 1.5", "1.5"},
		{"=6|txt:hi", "hi", "hi"},
		{"*2|$1|0|*2|*2|$1|a|:1|*2|$1|b|*0", "1) \"0\"\n2) 1) 1) \"a\"\n      2) (integer) 1\n   2) 1) \"b\"\n      2) (empty array)", "0\na\n1\nb"},
		{"%2|$1|a|:1|$1|b|*2|+x|+y", "1# \"a\" => (integer) 1\n2# \"b\" => 1) x\n   2) y", "a\n1\nb\nx\ny"},
		{"~1|+x", "1~ x", "x"},
	} {
		for _, raw := range []bool{false, true} {
			want := c.want
			if raw {
				want = c.raw
			}
			f := &cliFlags{addr: canned(t, strings.ReplaceAll(c.reply, "|", "\r\n")+"\r\n"), raw: raw}
			var out bytes.Buffer
			err := runCLI(f, []string{"ANY"}, nil, &out)
			if (err != nil) != strings.HasPrefix(c.reply, "-") {
				t.Errorf("%q: %v", c.reply, err)
			}
			if got := strings.TrimRight(out.String(), "\n"); got != want {
				t.Errorf("%q, raw %v:\n got %q\nwant %q", c.reply, raw, got, want)
			}
		}
	}
}

// TestHelpHidesPasswords looks for the environment's password in the help texts.
func TestHelpHidesPasswords(t *testing.T) {
	t.Setenv(passwordVariable, "hunter2")
	for _, name := range []string{"cli", "serve"} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{name, "--help"})
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), passwordVariable) {
			t.Error(out.String())
		}
	}
}
