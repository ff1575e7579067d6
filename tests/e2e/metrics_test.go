package e2e

import (
	"fmt"
	"strings"
	"testing"

	"tskv/tests/harness"
)

// TestMetrics compares what /metrics says after a known load with what the client
// itself counted.
func TestMetrics(t *testing.T) {
	s, c := start(t)
	const puts, gets, refused, mistakes = 300, 200, 7, 5
	before := numbers(t, s)
	var sent, received int
	count := func(args ...string) {
		t.Helper()
		sent += len(fmt.Sprintf("*%d\r\n", len(args)))
		for _, a := range args {
			sent += len(fmt.Sprintf("$%d\r\n%s\r\n", len(a), a))
		}
		reply, err := c.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		text := harness.Text(reply)
		received += len(text) + 3
		if !reply.IsError() {
			received += len(fmt.Sprintf("%d\r\n", len(text)))
		}
	}
	for i := range puts {
		count("PUT", "m", fmt.Sprint(i+1), "12.5")
	}
	for range gets {
		count("GET", "m")
	}
	for range refused {
		count("PUT", "m", "*", "v", "AFTER", "1-0")
	}
	for range mistakes {
		count("NOPE")
	}
	after := numbers(t, s)
	diff := func(name string) float64 { return after[name] - before[name] }
	for name, expected := range map[string]int{
		`tskv_commands_total{command="put"}`:           puts + refused,
		`tskv_commands_total{command="get"}`:           gets,
		`tskv_command_errors_total{command="put"}`:     refused,
		`tskv_command_errors_total{command="get"}`:     0,
		`tskv_command_seconds_count{command="put"}`:    puts + refused,
		`tskv_command_seconds_count{command="get"}`:    gets,
		`tskv_error_replies_total{error="CONFLICT"}`:   refused,
		`tskv_error_replies_total{error="ERR"}`:        mistakes,
		`tskv_commit_group_operations_sum`:             puts + 1, // one is the row of the new key in the catalog
		`tskv_rx_bytes_total`:                          sent,
		`tskv_tx_bytes_total`:                          received,
		`tskv_connections_total`:                       0,
		`tskv_protocol_errors_total`:                   0,
		`tskv_handler_panics_total`:                    0,
		`tskv_fsync_errors_total`:                      0,
		`tskv_read_only`:                               0,
		`tskv_corrupt_reads_total`:                     0,
		`tskv_connections_rejected_total`:              0,
		`tskv_connection_timeouts_total`:               0,
		`tskv_accept_errors_total`:                     0,
		`tskv_command_errors_total{command="unknown"}`: 0,
	} {
		if diff(name) != float64(expected) {
			t.Errorf("%s grew by %v, want %d", name, diff(name), expected)
		}
	}
	checkPresent(t, after, diff)
	code, body, err := page(s, "/healthz")
	if err != nil || code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q %v", code, body, err)
	}
	if code, body, err := page(s, "/readyz"); err != nil || code != 200 || body != "ready\n" {
		t.Errorf("readyz: %d %q %v", code, body, err)
	}
	if code, body, err := page(s, "/"); err != nil || code != 200 || !strings.Contains(body, "/metrics") {
		t.Errorf("index: %d %q %v", code, body, err)
	}
}

// checkPresent looks at numbers whose value is known only roughly.
func checkPresent(t *testing.T, after map[string]float64, diff func(string) float64) {
	t.Helper()
	if after["tskv_connections_open"] != 1 || after["tskv_keys"] != 1 {
		t.Errorf("%v connections are open, %v keys", after["tskv_connections_open"], after["tskv_keys"])
	}
	if n := diff("tskv_fsyncs_total"); n < 300 { // one client that waits: a sync for each PUT
		t.Errorf("fsyncs grew by %v", n)
	}
	if n := diff("tskv_wal_appends_total"); n < 300 {
		t.Errorf("log appends grew by %v", n)
	}
	for _, command := range []string{"put", "get"} {
		var last float64
		for _, q := range []string{"0.5", "0.95", "0.99"} {
			v, ok := after[fmt.Sprintf("tskv_command_quantile_seconds{command=%q,quantile=%q}", command, q)]
			if !ok || v <= 0 || v < last || v > 1 {
				t.Errorf("%s: quantile %s is %v", command, q, v)
			}
			last = v
		}
	}
	for _, name := range []string{
		"tskv_backpressure_events_total", "tskv_flushes_total", "tskv_compactions_total", "tskv_files", "tskv_file_bytes",
		"tskv_bloom_checks_total", "tskv_bloom_negatives_total", "tskv_fsync_seconds_count", "tskv_commit_group_batches_count",
	} {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
}
