package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestGoRedis drives the server with go-redis as applications do, in both
// protocols and with the client's own defaults.
func TestGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			s, _ := start(t)
			db := redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: protocol, ClientName: "e2e"})
			defer func() { _ = db.Close() }()
			t.Run("strings", func(t *testing.T) { goRedisStrings(t, db) })
			t.Run("keys", func(t *testing.T) { goRedisKeys(t, db) })
			t.Run("records", func(t *testing.T) { goRedisRecords(t, db) })
			t.Run("admin", func(t *testing.T) { goRedisAdmin(t, db, protocol) })
			t.Run("errors", func(t *testing.T) { goRedisErrors(t, db) })
		})
	}
}

// same compares what a client made of a reply with what it should be.
func same(t *testing.T, what string, got any, err error, text string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if shown := fmt.Sprint(got); shown != text {
		t.Errorf("%s: %s, want %s", what, shown, text)
	}
}

func goRedisStrings(t *testing.T, db *redis.Client) {
	ctx := context.Background()
	check := func(what, text string) func(any, error) {
		return func(got any, err error) { t.Helper(); same(t, what, got, err, text) }
	}
	result := func(c interface{ Result() (string, error) }) (any, error) { return c.Result() }
	number := func(c interface{ Result() (int64, error) }) (any, error) { return c.Result() }
	check("set", "OK")(result(db.Set(ctx, "s", "v1", 0)))
	check("get", "v1")(result(db.Get(ctx, "s")))
	check("set get", "v1")(result(db.SetArgs(ctx, "s", "v2", redis.SetArgs{Get: true})))
	check("mset", "OK")(result(db.MSet(ctx, "a", "1", "b", "2")))
	values, err := db.MGet(ctx, "a", "nothing", "b").Result()
	same(t, "mget", values, err, "[1 <nil> 2]")
	check("incr", "2")(number(db.Incr(ctx, "a")))
	check("incrby", "42")(number(db.IncrBy(ctx, "a", 40)))
	check("decr", "41")(number(db.Decr(ctx, "a")))
	f, err := db.IncrByFloat(ctx, "a", 0.5).Result()
	same(t, "incrbyfloat", f, err, "41.5")
	set, err := db.SetNX(ctx, "a", "x", 0).Result()
	same(t, "setnx", set, err, "false")
	check("append", "5")(number(db.Append(ctx, "s", "abc")))
	check("getrange", "2ab")(result(db.GetRange(ctx, "s", 1, 3)))
	check("strlen", "5")(number(db.StrLen(ctx, "s")))
	if _, err := db.Get(ctx, "nothing").Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("get of nothing: %v", err)
	}
	binary := "\x00\xff\r\n$-1\r\n"
	check("set binary", "OK")(result(db.Set(ctx, "bin", binary, 0)))
	check("get binary", binary)(result(db.Get(ctx, "bin")))
}

func goRedisKeys(t *testing.T, db *redis.Client) {
	ctx := context.Background()
	commands, err := db.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 500 {
			p.Set(ctx, fmt.Sprintf("k:%03d", i), i, 0)
			p.Get(ctx, fmt.Sprintf("k:%03d", i))
		}
		return nil
	})
	if err != nil || len(commands) != 1000 {
		t.Fatalf("pipelined: %d commands, %v", len(commands), err)
	}
	for i := range 500 {
		if got, ok := commands[2*i+1].(*redis.StringCmd); !ok || got.Val() != fmt.Sprint(i) {
			t.Fatalf("reply %d: %v", i, commands[2*i+1])
		}
	}
	var keys []string
	it := db.Scan(ctx, 0, "k:*", 7).Iterator()
	for it.Next(ctx) {
		keys = append(keys, it.Val())
	}
	slices.Sort(keys)
	if err := it.Err(); err != nil || len(slices.Compact(keys)) != 500 {
		t.Errorf("scan: %d keys, %v", len(keys), err)
	}
	kind, err := db.Type(ctx, "k:001").Result()
	same(t, "type", kind, err, "string")
	n, err := db.Exists(ctx, "k:001", "k:001", "nothing").Result()
	same(t, "exists", n, err, "2")
	n, err = db.Del(ctx, keys...).Result()
	same(t, "del", n, err, "500")
	n, err = db.Unlink(ctx, "s", "nothing").Result()
	same(t, "unlink", n, err, "1")
	list, err := db.Keys(ctx, "?").Result()
	same(t, "keys", list, err, "[a b]")
	n, err = db.DBSize(ctx).Result()
	same(t, "dbsize", n, err, "3")
}

func goRedisRecords(t *testing.T, db *redis.Client) {
	ctx := context.Background()
	for _, c := range []struct {
		text string
		args []any
	}{
		{"10-0", []any{"PUT", "r", 10, "1.50", "TAG", "x"}},
		{"10-1", []any{"PUT", "r", "10-*", "two", "TAG", "y", "TAG", "x"}},
		{"20-0", []any{"PUT", "r", "20-0", "-0.00"}},
		{"[30-0 40-0]", []any{"MPUT", "r", 30, "30", "r", 40, "4e1"}},
		{"4e1", []any{"GET", "r"}},
		{"two", []any{"GET", "r", "AT", "19"}},
		{"[10-1 two [x y]]", []any{"GETREC", "r", "AT", 10}},
		{"5", []any{"COUNT", "r"}},
		{"2", []any{"COUNT", "r", "-", "+", "TAG", "x"}},
		{"[0 [[10-0 1.50] [10-1 two] [20-0 -0.00] [30-0 30] [40-0 4e1]]]", []any{"SCAN", "r", "-", "+"}},
		{"[(30-0 [[40-0 4e1] [30-0 30]]]", []any{"SCAN", "r", "-", "+", "REV", "COUNT", 2}},
		{"[0 [[20-0 -0.00] [10-1 two] [10-0 1.50]]]", []any{"SCAN", "r", "-", "(30-0", "REV"}},
		{"[(20-0 [[20-0 -0.00 []]]]", []any{"TSCAN", "r", "-", "+", "OFFSET", 2, "COUNT", 1, "WITHTAGS"}},
		{"30-0", []any{"PUT", "r", "30-0", "30.0", "XX"}},
		{"50-0", []any{"PUT", "r", "50-0", "50", "AFTER", "40-0"}},
		{"3", []any{"DELRANGE", "r", "20", "40"}},
		{"[0 [[10-0 1.50] [10-1 two] [50-0 50]]]", []any{"SCAN", "r", "-", "+"}},
		{"50", []any{"GETSET", "r", "60"}},
		{"1", []any{"DEL", "r"}},
		{"[0 []]", []any{"SCAN", "r", "-", "+"}},
	} {
		got, err := db.Do(ctx, c.args...).Result()
		same(t, fmt.Sprint(c.args...), got, err, c.text)
	}
	if err := db.Do(ctx, "PUT", "r", "60-0", "1", "XX").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("unmet XX: %v", err)
	}
}

func goRedisAdmin(t *testing.T, db *redis.Client, protocol int) {
	ctx := context.Background()
	info, err := db.ClientInfo(ctx).Result()
	if err != nil || info.Name != "e2e" || info.LibName == "" || info.DB != 0 {
		t.Errorf("client info: %+v, %v", info, err)
	}
	config, err := db.ConfigGet(ctx, "append*").Result()
	same(t, "config get", config, err, "map[appendfsync:always appendonly:yes]")
	text, err := db.Info(ctx).Result()
	for _, field := range []string{"redis_version:", "tskv_version:", "role:master", "loading:0", "connected_clients:", "db0:keys="} {
		if err != nil || !strings.Contains(text, field) {
			t.Errorf("info has no %s (%v)", field, err)
		}
	}
	table, err := db.Command(ctx).Result()
	if put := table["put"]; err != nil || put == nil || put.FirstKeyPos != 1 || put.ReadOnly {
		t.Errorf("command: put is %+v of %d, %v", put, len(table), err)
	}
	hello, err := db.Do(ctx, "HELLO").Result()
	if err != nil || !strings.Contains(fmt.Sprint(hello), fmt.Sprint(protocol)) {
		t.Errorf("hello: %v, %v", hello, err)
	}
	if when, err := db.Time(ctx).Result(); err != nil || when.IsZero() {
		t.Errorf("time: %v, %v", when, err)
	}
	if pong, err := db.Ping(ctx).Result(); err != nil || pong != "PONG" {
		t.Errorf("ping: %q, %v", pong, err)
	}
	if err := db.FlushAll(ctx).Err(); err != nil {
		t.Error(err)
	}
	n, err := db.DBSize(ctx).Result()
	same(t, "dbsize after flushall", n, err, "0")
}

func goRedisErrors(t *testing.T, db *redis.Client) {
	ctx := context.Background()
	if err := db.Do(ctx, "PUT", "e", "7-0", "x").Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		args []any
	}{
		{"ERR unknown command 'nope', with args beginning with: 'a' 'b' ", []any{"nope", "a", "b"}},
		{"ERR wrong number of arguments for 'get' command", []any{"get"}},
		{"ERR wrong number of arguments for 'put' command", []any{"put", "k", "*"}},
		{"ERR Invalid stream ID specified as stream command argument", []any{"put", "k", "x", "v"}},
		{"ERR syntax error", []any{"put", "k", "*", "v", "huh"}},
		{"ERR value is not an integer or out of range", []any{"incr", "e"}},
		{"ERR value is not a valid float", []any{"incrbyfloat", "e", "x"}},
		{"ERR value is not an integer or out of range", []any{"scan", "e", "-", "+", "COUNT", "x"}},
		{"ERR invalid cursor", []any{"scan", "x", "count", "10"}},
		{"ERR a key has 1 to 65535 bytes", []any{"put", "", "*", "v"}},
		{"ERR a key has 1 to 65535 bytes", []any{"put", strings.Repeat("k", 65536), "*", "v"}},
		{"CONFLICT last=7-0", []any{"put", "e", "*", "v", "AFTER", "6-0"}},
		{"NOPROTO unsupported protocol version", []any{"hello", "4"}},
		{"ERR DB index is out of range", []any{"select", "1"}},
	} {
		if err := db.Do(ctx, c.args...).Err(); err == nil || err.Error() != c.text {
			t.Errorf("%.80q: %v, want %s", fmt.Sprint(c.args...), err, c.text)
		}
	}
	for _, args := range [][]any{{"scan", "k"}, {"scan", "k", "yesterday", "+"}} {
		err := db.Do(ctx, args...).Err()
		if err == nil || !strings.Contains(err.Error(), "SCAN cursor [MATCH") || !strings.Contains(err.Error(), "SCAN key from to") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
