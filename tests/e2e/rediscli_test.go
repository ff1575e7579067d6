package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"tskv/net/resp"
	"tskv/tests/harness"
)

// redisCLI returns a function that runs redis-cli on s and wants exit code 0.
func redisCLI(t *testing.T, s *harness.Server) func(in string, args ...string) string {
	t.Helper()
	tool := needs(t, "redis-cli")
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return func(in string, args ...string) string {
		t.Helper()
		out, errOut, code := run(t, in, nil, tool, append([]string{"-h", host, "-p", port}, args...)...)
		if code != 0 {
			t.Errorf("redis-cli %.200q: exit code %d\n%s%s", args, code, out, errOut)
		}
		return out
	}
}

func TestRedisCLI(t *testing.T) {
	needs(t, "redis-cli")
	s, _ := start(t)
	cli := redisCLI(t, s)
	for _, c := range []struct {
		in, out string
		args    []string
	}{
		{"", "1000-0\n", []string{"PUT", "room", "1000", "21.50"}},
		{"", "1000-1\n", []string{"PUT", "room", "1000-*", "22", "TAG", "a b"}},
		{"", "21.50\n", []string{"GET", "room", "AT", "1000-0"}},
		{"", "0\n1000-0\n21.50\n\n1000-1\n22\na b\n", []string{"SCAN", "room", "-", "+", "WITHTAGS"}},
		{"", "\"0\"\n", []string{"--no-raw", "ECHO", "0"}},
		{"", "1) \"0\"\n2) 1) 1) \"1000-0\"\n      2) \"21.50\"\n   2) 1) \"1000-1\"\n      2) \"22\"\n", []string{"--no-raw", "SCAN", "room", "-", "+"}},
		{"", "1) \"0\"\n2) 1) 1) \"1000-0\"\n      2) \"21.50\"\n   2) 1) \"1000-1\"\n      2) \"22\"\n", []string{"-3", "--no-raw", "SCAN", "room", "-", "+"}},
		{"", "(nil)\n", []string{"-3", "--no-raw", "GET", "nothing"}},
		{"", "(integer) 2\n", []string{"-3", "--no-raw", "COUNT", "room"}},
		{"", "{\"appendfsync\":\"always\"}\n", []string{"-3", "--json", "CONFIG", "GET", "appendfsync"}},
		{"PUT b 1 one\nPUT b 2 \"two words\"\n\nSCAN b - +\n", "1-0\n2-0\n0\n1-0\none\n2-0\ntwo words\n", nil},
		{"three", "3-0\n", []string{"-x", "PUT", "b", "3"}},
		{"", "1-0\n1-0\n", []string{"-r", "2", "PUT", "c", "1", "v"}},
		{"", "b\nc\nroom\n", []string{"--scan"}},
		{"", "room\n", []string{"--scan", "--pattern", "r*"}},
		{"", "ERR wrong number of arguments for 'get' command\n\n", []string{"GET"}},
	} {
		out := cli(c.in, c.args...)
		if len(c.args) > 0 && c.args[0] == "--scan" {
			lines := slices.Sorted(strings.Lines(out))
			out = strings.Join(lines, "")
		}
		if out != c.out {
			t.Errorf("redis-cli %.200q:\n%q, want\n%q", c.args, out, c.out)
		}
	}
	for _, mode := range []string{"--bigkeys", "--memkeys"} {
		if out := cli("", mode); !strings.Contains(out, "Sampled 3 keys in the keyspace!") {
			t.Errorf("redis-cli %s:\n%s", mode, out)
		}
	}
}

// TestRedisCLIPipe is mass insertion as Redis' manual describes it.
func TestRedisCLIPipe(t *testing.T) {
	needs(t, "redis-cli")
	s, c := start(t)
	cli := redisCLI(t, s)
	const rows = 20_000
	var w resp.Writer
	for i := range rows {
		w.ArrayHeader(4)
		for _, arg := range []string{"PUT", "mass", fmt.Sprintf("%d-0", i+1), fmt.Sprint(i)} {
			w.BulkString(arg)
		}
	}
	if out := cli(string(w.Bytes()), "--pipe"); !strings.Contains(out, fmt.Sprintf("errors: 0, replies: %d\n", rows)) {
		t.Errorf("redis-cli --pipe:\n%s", out)
	}
	want(t, c, fmt.Sprint(rows), "COUNT", "mass")
	want(t, c, "777", "GET", "mass", "AT", "778")
}

func TestRedisBenchmark(t *testing.T) {
	tool := needs(t, "redis-benchmark")
	s, c := start(t)
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n := "20000"
	if testing.Short() {
		n = "2000"
	}
	for _, args := range [][]string{
		{"-t", "set,get", "-n", n, "-q"},
		{"-n", n, "-r", "100", "-P", "16", "-q", "PUT", "series:__rand_int__", "*", "12.5"},
	} {
		out, errOut, code := run(t, "", nil, tool, append([]string{"-h", host, "-p", port}, args...)...)
		if code != 0 || !strings.Contains(out, "requests per second") || strings.Contains(errOut, "WARN") || strings.Contains(out+errOut, "rror") {
			t.Errorf("redis-benchmark %q: exit code %d\n%s%s", args, code, out, errOut)
		}
	}
	want(t, c, "101", "DBSIZE")
}
