package command

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConnection(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"PING", "+PONG"},
		{"PING hi", `"hi"`},
		{"PING a b", "-ERR wrong number of arguments for 'ping' command"},
		{"ECHO hi", `"hi"`},
		{"SELECT 0", "+OK"},
		{"SELECT 1", "-ERR DB index is out of range"},
		{"SELECT x", "-ERR value is not an integer or out of range"},
		{"AUTH p", "-" + string(errNoPassword)},
		{"AUTH default p", "+OK"},
		{"AUTH other p", "-" + string(errWrongPass)},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"HELLO -1", "-NOPROTO unsupported protocol version"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range"},
		{"HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'"},
		{"HELLO 2 SETNAME me", `["server" "tskv" "version" "7.4.0" "proto" :2 "id" :1 "mode" "standalone" "role" "master" "modules" []]`},
		{"CLIENT GETNAME", `"me"`},
		{"HELLO 3", `{"server" "tskv" "version" "7.4.0" "proto" :3 "id" :1 "mode" "standalone" "role" "master" "modules" []}`},
		{"GET none", "nil"},
		{"CONFIG GET save", `{"save" ""}`},
		{"RESET", "+RESET"},
		{"CLIENT GETNAME", "nil"},
		{"CONFIG GET save appendonl*", `["appendonly" "yes" "save" ""]`},
		{"NOPE a b", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b' "},
		{"GET", "-ERR wrong number of arguments for 'get' command"},
		{"QUIT", "+OK"},
	})
	if !c.closed() {
		t.Error("QUIT leaves the connection open")
	}
}

func TestUnknownCommandEchoIsBounded(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	long := strings.Repeat("x", 1000)
	if got := c.do(long, long, long); len(got) > 350 || !strings.HasPrefix(got, "-ERR unknown command 'xxx") {
		t.Error(got)
	}
	if got := c.do("a\r\nb", "c\r\nd"); strings.ContainsAny(got, "\r\n") {
		t.Errorf("%q", got)
	}
}

func TestPassword(t *testing.T) {
	h := newHost(t, Options{Password: "secret"})
	c := h.dial(t)
	c.want([][2]string{
		{"PING", "-NOAUTH Authentication required."},
		{"NOPE", "-NOAUTH Authentication required."},
		{"GET k", "-NOAUTH Authentication required."},
	})
	c.want([][2]string{
		{"HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"},
	})
	start := time.Now()
	c.want([][2]string{{"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."}})
	if took := time.Since(start); took < failureDelay {
		t.Errorf("a wrong password is answered after %v", took)
	}
	c.want([][2]string{
		{"AUTH secret", "+OK"},
		{"PING", "+PONG"},
		{"RESET", "+RESET"},
		{"PING", "-NOAUTH Authentication required."},
		{"AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 2 AUTH default secret SETNAME x", `["server" "tskv" "version" "7.4.0" "proto" :2 "id" :1 "mode" "standalone" "role" "master" "modules" []]`},
		{"SLOWLOG GET 5", "[]"},
	})
}

func TestLoading(t *testing.T) {
	h := newHost(t, Options{})
	h.ready.Store(false)
	c := h.dial(t)
	c.want([][2]string{
		{"PING", "-LOADING tskv is loading the dataset in memory"},
		{"ECHO x", `"x"`},
		{"GET k", "-LOADING tskv is loading the dataset in memory"},
		{"PUT k * v", "-LOADING tskv is loading the dataset in memory"},
		{"SAVE", "-LOADING tskv is loading the dataset in memory"},
	})
	if got := c.line("INFO persistence"); !strings.Contains(got, `loading:1\r\n`) {
		t.Error(got)
	}
	h.ready.Store(true)
	c.want([][2]string{{"GET k", "nil"}})
}

func TestClient(t *testing.T) {
	h := newHost(t, Options{})
	c, d := h.dial(t), h.dial(t)
	c.want([][2]string{
		{"CLIENT ID", ":1"},
		{"CLIENT SETNAME a b", "-ERR wrong number of arguments for 'client|setname' command"},
		{"CLIENT SETNAME me", "+OK"},
		{"CLIENT GETNAME", `"me"`},
		{"CLIENT SETINFO LIB-NAME lib", "+OK"},
		{"CLIENT SETINFO LIB-VER 1.2", "+OK"},
		{"CLIENT SETINFO X y", "-ERR Unrecognized option 'X'"},
		{"CLIENT NO-EVICT on", "+OK"},
		{"CLIENT NO-TOUCH off", "+OK"},
		{"CLIENT NO-EVICT x", "-ERR syntax error"},
		{"CLIENT UNBLOCK 1", ":0"},
		{"CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"},
		{"CLIENT NOPE", "-ERR unknown subcommand 'NOPE'. Try CLIENT HELP."},
		{"CLIENT LIST TYPE x", "-ERR Unknown client type 'x'"},
		{"CLIENT LIST TYPE pubsub", `""`},
		{"CLIENT KILL 1.2.3.4:5", "-ERR No such client"},
		{"CLIENT KILL ID 77", ":0"},
		{"CLIENT KILL ID x", "-ERR client-id should be greater than 0"},
		{"CLIENT KILL FOO 1", "-ERR syntax error"},
	})
	if got := d.line("CLIENT ID"); got != ":2" {
		t.Error(got)
	}
	info := c.line("CLIENT INFO")
	for _, part := range []string{"id=1 ", "name=me ", "lib-name=lib lib-ver=1.2 ", "cmd=client|info ", "resp=2 "} {
		if !strings.Contains(info, part) {
			t.Errorf("no %q in %s", part, info)
		}
	}
	if got := c.line("CLIENT LIST"); strings.Count(got, `\n`) != 2 || !strings.Contains(got, "id=2 ") {
		t.Error(got)
	}
	if got := c.line("CLIENT LIST ID 2 9"); strings.Count(got, `\n`) != 1 || !strings.Contains(got, "cmd=client|id ") {
		t.Error(got)
	}
	if got := c.line("CLIENT KILL ID 2"); got != ":1" || !d.closed() {
		t.Error("CLIENT KILL leaves the connection open:", got)
	}
	if got := c.line("CLIENT KILL TYPE normal SKIPME no"); got != ":1" || !c.closed() {
		t.Error("a client that kills itself stays:", got)
	}
}

func TestClientReply(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.send(
		[]string{"SET", "a", "1"},
		[]string{"CLIENT", "REPLY", "SKIP"},
		[]string{"SET", "a", "2"},
		[]string{"GET", "a"},
		[]string{"CLIENT", "REPLY", "OFF"},
		[]string{"SET", "a", "3"},
		[]string{"NOPE"},
		[]string{"GET", "a"},
		[]string{"CLIENT", "REPLY", "ON"},
		[]string{"GET", "a"},
	)
	for _, want := range []string{"+OK", `"2"`, "+OK", `"3"`} {
		if r := c.reply(); show(&r) != want {
			t.Errorf("%s, want %s", show(&r), want)
		}
	}
}

func TestManyClientsWriteAtOnce(t *testing.T) {
	h := newHost(t, Options{})
	const clients, each = 8, 200
	done := make(chan error, clients)
	for range clients {
		c := h.dial(t)
		go func() {
			var commands [][]string
			for range each {
				commands = append(commands, []string{"INCR", "n"}, []string{"PUT", "log", "*", "1.5"}, []string{"GET", "n"})
			}
			c.send(commands...)
			last := int64(0)
			for i := range commands {
				r, err := c.in.Read()
				if err == nil && i%3 == 0 && r.Int <= last {
					err = fmt.Errorf("INCR answers %d after %d", r.Int, last)
				}
				if err != nil {
					done <- err
					return
				}
				if i%3 == 0 {
					last = r.Int
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	h.dial(t).want([][2]string{{"GET n", `"1600"`}, {"COUNT log", ":1600"}, {"COUNT n", ":1600"}})
}
