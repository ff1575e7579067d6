// Package console is the HTTP side door: metrics, health and an index page.
//
// It refuses to know RESP and the store: what it shows comes through Options. A
// Console's methods may be called from any goroutine.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of a request and of a connection. A scrape is small; who is slower than
// this is not a scraper.
const (
	readTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	maxScrapes     = 4 // at one time
)

// ErrOptions is wrapped by the errors of New.
var ErrOptions = errors.New("invalid console options")

// Options configure a Console.
type Options struct {
	Registry prometheus.Gatherer // what /metrics shows; required
	// Ready returns nil if reads and writes are served, else why not; required. It
	// may be called from any goroutine.
	Ready   func() error
	Version string       // shown on the index page
	Logger  *slog.Logger // default: discard
}

// Console serves HTTP on any number of listeners.
type Console struct {
	http http.Server
}

// New returns a console with no listener yet.
func New(opt Options) (*Console, error) {
	if opt.Registry == nil || opt.Ready == nil {
		return nil, fmt.Errorf("%w: Registry and Ready are required", ErrOptions)
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	errorLog := slog.NewLogLogger(opt.Logger.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(opt.Registry, promhttp.HandlerOpts{
		ErrorLog:            errorLog,
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := opt.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		answer(w, http.StatusOK, "ready\n")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, index(opt.Version)) })
	return &Console{http: http.Server{
		Handler:           mux,
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}}, nil
}

func index(version string) string {
	return "tskv " + version + `

/metrics  numbers for Prometheus
/healthz  200 while the process runs
/readyz   200 while reads and writes are served, else 503 and the reason
`
}

func answer(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // fails if the client is gone
}

// Serve accepts on l until Shutdown; it returns nil then.
func (c *Console) Serve(l net.Listener) error {
	if err := c.http.Serve(limit(l)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// Shutdown stops accepting, waits for requests in progress, and cuts them when
// ctx ends.
func (c *Console) Shutdown(ctx context.Context) error {
	if err := c.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down HTTP: %w", errors.Join(err, c.http.Close()))
	}
	return nil
}
