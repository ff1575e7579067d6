package console

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tskv/metrics"
)

func start(t *testing.T, ready func() error) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.NewEngine())
	s, err := New(Options{Registry: reg, Ready: ready, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func request(t *testing.T, method, url, accept string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestPages(t *testing.T) {
	var down atomic.Bool
	base := start(t, func() error {
		if down.Load() {
			return errors.New("writes are refused: sync failed")
		}
		return nil
	})
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/", 200, "tskv 1.2.3"},
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, "ready\n"},
		{"GET", "/metrics", 200, "tskv_wal_appends_total 0"},
		{"POST", "/metrics", 405, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/x", 404, ""},
	} {
		resp, body := request(t, c.method, base+c.path, "")
		if resp.StatusCode != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s %s: %d %q", c.method, c.path, resp.StatusCode, body)
		}
	}
	down.Store(true)
	resp, body := request(t, "GET", base+"/readyz", "")
	if resp.StatusCode != 503 || body != "not ready: writes are refused: sync failed\n" {
		t.Errorf("not ready: %d %q", resp.StatusCode, body)
	}
}

func TestOpenMetrics(t *testing.T) {
	base := start(t, func() error { return nil })
	resp, body := request(t, "GET", base+"/metrics", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Fatalf("%s", resp.Header.Get("Content-Type"))
	}
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{}); !errors.Is(err, ErrOptions) {
		t.Fatal(err)
	}
}

// TestLimit opens more connections than there are slots: the request behind them
// waits, and is served when they go.
func TestLimit(t *testing.T) {
	base := start(t, func() error { return nil })
	var idle []net.Conn
	for range maxConns + 3 {
		nc, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, nc)
	}
	served := make(chan string, 1)
	go func() {
		_, body := request(t, "GET", base+"/healthz", "")
		served <- body
	}()
	select {
	case <-served:
		t.Error("served beyond the limit")
	case <-time.After(50 * time.Millisecond):
	}
	for _, nc := range idle {
		if err := nc.Close(); err != nil {
			t.Error(err)
		}
	}
	if body := <-served; body != "ok\n" {
		t.Errorf("received %q", body)
	}
}
