package command

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"tskv/metrics"
)

func TestAdmin(t *testing.T) {
	h := newHost(t, Options{Parameters: []Parameter{{Name: "port", Value: func() string { return "7379" }}}})
	c := h.dial(t)
	c.want([][2]string{
		{"TIME", `["1704164645" "678000"]`},
		{"SET k v", "+OK"},
		{"SAVE", "+OK"},
		{"LASTSAVE", ":1704164645"},
		{"BGSAVE NOPE", "-ERR syntax error"},
		{"BGSAVE", "+Background saving started"},
		{"WAIT 0 10", ":0"},
		{"WAIT x 10", "-ERR value is not an integer or out of range"},
		{"WAIT 0 x", "-ERR timeout is not an integer or out of range"},
		{"WAIT 0 -1", "-ERR timeout is negative"},
		{"WAITAOF 1 0 10", "[:1 :0]"},
		{"WAITAOF 0 0 -1", "-ERR timeout is negative"},
		{"WAITAOF 2 0 10", "-ERR value is out of range, value must between 0 and 1"},
		{"FUNCTION FLUSH", "+OK"},
		{"FUNCTION FLUSH ASYNC", "+OK"},
		{"FUNCTION LIST", "-ERR unknown subcommand 'LIST'. Try FUNCTION HELP."},
		{"CLUSTER INFO", "-ERR This instance has cluster support disabled"},
		{"ACL WHOAMI", `"default"`},
		{"CONFIG GET port", `["port" "7379"]`},
		{"CONFIG GET nope", "[]"},
		{"CONFIG SET port 1", "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config"},
		{"CONFIG SET nope 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'"},
		{"CONFIG SET slowlog-max-len 9 slowlog-max-len 9", "-ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - duplicate parameter"},
		{"CONFIG SET slowlog-max-len 9 slowlog-log-slower-than x", "-ERR CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - argument couldn't be parsed into an integer"},
		{"CONFIG GET slowlog-max-len", `["slowlog-max-len" "128"]`},
		{"COMMAND INFO nope", "[nil]"},
		{"CONFIG SET save", "-ERR wrong number of arguments for 'config|set' command"},
		{"CONFIG SET slowlog-max-len 2 slowlog-log-slower-than 0", "+OK"},
		{"CONFIG GET slowlog-*", `["slowlog-log-slower-than" "0" "slowlog-max-len" "2"]`},
		{"GET k", `"v"`},
		{"TYPE k", "+string"},
		{"TYPE k", "+string"},
		{"SLOWLOG LEN", ":2"},
		{"CONFIG SET slowlog-log-slower-than -1", "+OK"},
		{"CONFIG GET slowlog-log-slower-than", `["slowlog-log-slower-than" "-1"]`},
		{"SLOWLOG RESET", "+OK"},
		{"SLOWLOG GET -1", "[]"},
		{"SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"},
		{"CONFIG REWRITE", "-ERR The server is running without a config file"},
		{"LATENCY LATEST", "[]"},
		{"LATENCY HISTORY command", "[]"},
		{"LATENCY RESET", ":0"},
		{"MEMORY USAGE none", "nil"},
		{"MPUT m 1 12345 m 2 12345", `["1-0" "2-0"]`},
		{"MEMORY USAGE m", ":43"},
		{"MEMORY USAGE m SAMPLES 0", ":43"},
		{"MEMORY USAGE m SAMPLES -1", "-ERR syntax error"},
		{"MEMORY USAGE m SAMPLES x", "-ERR value is not an integer or out of range"},
		{"SHUTDOWN MAYBE", "-ERR syntax error"},
	})
	if h.stopped.Load() != 0 {
		t.Fatal("the server was shut down")
	}
	c.send([]string{"SHUTDOWN", "NOSAVE"})
	if !c.closed() || h.stopped.Load() != 1 {
		t.Fatal("SHUTDOWN does not shut down")
	}
}

func TestSlowLog(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"CLIENT SETNAME me", "+OK"},
		{"CONFIG SET slowlog-log-slower-than 0", "+OK"},
	})
	args := []string{"MGET", strings.Repeat("x", 200)}
	for range 40 {
		args = append(args, "k")
	}
	c.send(args, []string{"AUTH", "default", "topsecret"}, []string{"SLOWLOG", "GET"})
	c.reply()
	c.reply()
	r := c.reply()
	if len(r.Elems) != 1 { // CONFIG SET and AUTH may carry a secret
		t.Fatal(show(&r))
	}
	mget := r.Elems[0].Elems
	if got := mget[3].Elems; len(got) != 32 || string(got[31].Text) != "... (11 more arguments)" || !strings.HasSuffix(string(got[1].Text), "x... (72 more bytes)") {
		t.Error(show(&mget[3]))
	}
	if string(mget[4].Text) != c.conn.LocalAddr().String() || string(mget[5].Text) != "me" || mget[1].Int != fixedNow/1000 {
		t.Error(show(&r.Elems[0]))
	}
}

// TestRefusedWritesHaveNoLatency keeps nanoseconds of refusals out of what PUT takes.
func TestRefusedWritesHaveNoLatency(t *testing.T) {
	h := newHost(t, Options{})
	h.dial(t).want([][2]string{
		{"PUT k x v", "-" + string(errInvalidID)},
		{"PUT k 1 v", `"1-0"`},
	})
	m := h.handler.metrics.At(h.handler.table.byName["put"].index)
	if calls, failed, observed := m.Calls.Value(), m.Failed.Value(), m.Latency.Count(); calls != 2 || failed != 1 || observed != 1 {
		t.Errorf("%d calls, %d failed, %d observed", calls, failed, observed)
	}
}

func TestRunID(t *testing.T) {
	seen := map[string]bool{}
	id := regexp.MustCompile(`\\r\\nrun_id:([0-9a-f]{40})\\r\\n`)
	for range 2 {
		got := newHost(t, Options{}).dial(t).line("INFO server")
		m := id.FindStringSubmatch(got)
		if m == nil || seen[m[1]] || !strings.Contains(got, `\r\nredis_build_id:`) {
			t.Fatal(got)
		}
		seen[m[1]] = true
	}
}

func TestInfo(t *testing.T) {
	h := newHost(t, Options{Version: "1.2.3", Net: func() metrics.NetStats { return metrics.NetStats{Accepted: 5} }})
	c := h.dial(t)
	for _, line := range []string{"SET a 1", "GET a", "GET a", "GET", "NOPE", "INCR a", "SET a x", "INCR a"} {
		c.line(line)
	}
	all := c.line("INFO all")
	for _, want := range []string{
		"redis_version:7.4.0", "tskv_version:1.2.3", "role:master", "loading:0", "connected_clients:1", "blocked_clients:0",
		"tcp_port:7379", "total_connections_received:5", "total_error_replies:3", "errorstat_ERR:count=3", "db0:keys=1,expires=0,avg_ttl=0",
		"cmdstat_get:calls=2,usec=", ",rejected_calls=1,failed_calls=0", "cmdstat_incr:calls=2", ",rejected_calls=0,failed_calls=1",
		"latency_percentiles_usec_get:p50=", "rdb_changes_since_last_save:4", "# CPU", "cluster_enabled:0", "sync:always", "used_memory:",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
	if got := c.line("INFO"); strings.Contains(got, "cmdstat_") || !strings.Contains(got, "# Server") {
		t.Error(got)
	}
	if got := c.line("INFO replication"); got != `"# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n"` {
		t.Error(got)
	}
	if got := c.line("INFO nothing"); got != `""` {
		t.Error(got)
	}
	if got := c.line("LATENCY HISTOGRAM get"); !strings.HasPrefix(got, `["get" ["calls" :2 "histogram_usec" [`) {
		t.Error(got)
	}
	c.line("CONFIG RESETSTAT")
	if got := c.line("INFO commandstats"); strings.Contains(got, "cmdstat_get") {
		t.Error(got)
	}
	c.line("HELLO 3")
	if got := c.line("INFO cluster"); !strings.HasPrefix(got, `="# Cluster`) {
		t.Error(got)
	}
	if got := c.line("MEMORY DOCTOR"); !strings.HasPrefix(got, `="The process has`) {
		t.Error(got)
	}
	if got := c.line("MEMORY STATS"); !strings.Contains(got, `"keys.count" :1`) {
		t.Error(got)
	}
}

func TestCommand(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"COMMAND INFO get", `[["get" :-2 [+readonly +fast] :1 :1 :1 [+@series +@read +@fast] [] [["flags" [+RO] "begin_search" ["type" "index" "spec" ["index" :1]] "find_keys" ["type" "range" "spec" ["lastkey" :0 "keystep" :1 "limit" :0]]]] []]]`},
		{"COMMAND INFO nope client|id", `[nil ["client|id" :2 [+loading +noscript +stale] :0 :0 :0 [+@connection +@slow] [] [] []]]`},
		{"COMMAND LIST FILTERBY PATTERN *range", `["delrange" "getrange"]`},
		{"COMMAND LIST FILTERBY MODULE x", "[]"},
		{"COMMAND LIST FILTERBY X x", "-ERR syntax error"},
		{"COMMAND GETKEYS MPUT a 1 x b 2 y", `["a" "b"]`},
		{"COMMAND GETKEYS MSET a 1 b 2", `["a" "b"]`},
		{"COMMAND GETKEYS DEL a b c", `["a" "b" "c"]`},
		{"COMMAND GETKEYS OBJECT ENCODING k", `["k"]`},
		{"COMMAND GETKEYS PING", "-ERR The command has no key arguments"},
		{"COMMAND GETKEYS NOPE", "-ERR Invalid command specified"},
		{"COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command"},
		{"COMMAND DOCS strlen", `["strlen" ["summary" "The length of the newest value in bytes." "since" "0.1.0" "group" "string" "arguments" [["name" "key" "type" "key" "display_text" "key" "key_spec_index" :0]]]]`},
		{"COMMAND NOPE", "-ERR unknown subcommand 'NOPE'. Try COMMAND HELP."},
		{"HELP nope", "-ERR no help for 'nope'"},
		{"HELP echo", `["ECHO message - Answers the message."]`},
	})
	n := len(newTable().list)
	for _, line := range []string{"COMMAND", "COMMAND INFO", "COMMAND LIST", "HELP"} {
		c.send(split(line))
		if r := c.reply(); len(r.Elems) != n {
			t.Errorf("%s: %d elements, want %d", line, len(r.Elems), n)
		}
	}
	c.send([]string{"COMMAND", "DOCS"}, []string{"COMMAND", "COUNT"}, []string{"CLIENT", "HELP"})
	if r := c.reply(); len(r.Elems) != 2*n {
		t.Errorf("COMMAND DOCS: %d elements", len(r.Elems))
	}
	if r := c.reply(); int(r.Int) != n {
		t.Errorf("COMMAND COUNT: %d", r.Int)
	}
	if r := c.reply(); len(r.Elems) < 20 {
		t.Error(show(&r))
	}
}

// TestTable checks that each row is whole.
func TestTable(t *testing.T) {
	for _, sp := range newTable().all {
		switch {
		case sp.run == nil && sp.subs == nil:
			t.Errorf("%s does nothing", sp.full)
		case sp.summary == "" || sp.group == "" || sp.since == "" || sp.arity == 0:
			t.Errorf("%s is not described", sp.full)
		case sp.flags&flagWrite != 0 && sp.flags&flagReadonly != 0:
			t.Errorf("%s both writes and only reads", sp.full)
		case sp.flags&flagQueued != 0 && (sp.flags&flagWrite == 0 || sp.flags&flagLoading != 0):
			t.Errorf("%s is queued but no write", sp.full)
		case sp.keys.first > 0 && (sp.keys.step < 1 || !strings.Contains(sp.syntax, "key")):
			t.Errorf("%s: keys %+v", sp.full, sp.keys)
		case len(sp.name) > 24 || sp.name != strings.ToLower(sp.name):
			t.Errorf("%s cannot be found", sp.full)
		}
	}
}

// TestMarkdown compares docs/commands.md with the table. TSKV_UPDATE=1 writes it.
func TestMarkdown(t *testing.T) {
	const path = "../../docs/commands.md"
	if os.Getenv("TSKV_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, sp := range newTable().sorted() {
		rows := sp.subs
		if sp.run != nil {
			rows = append([]spec{*sp}, rows...)
		}
		for i := range rows {
			if row := "| `" + strings.ReplaceAll(rows[i].usage(), "|", "\\|") + "` |"; !strings.Contains(Markdown(), row) {
				t.Errorf("the group %q of %s has no section", sp.group, rows[i].full)
			}
		}
	}
	if string(text) != Markdown() {
		t.Error("docs/commands.md differs from the table: run TSKV_UPDATE=1 go test ./net/command -run Markdown")
	}
}
