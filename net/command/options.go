package command

import (
	"errors"
	"log/slog"
	"time"

	"tskv/engine"
	"tskv/metrics"
)

// RedisVersion is what clients are told where they choose behaviour by the
// version of a Redis server.
const RedisVersion = "7.4.0"

const defaultHeldBytes = 256 << 20

// Parameter is one row of CONFIG GET and CONFIG SET.
type Parameter struct {
	Name  string
	Value func() string
	Set   func(value string) error // nil: cannot be changed at run time
}

// Options configure a Handler. The functions may be called from any goroutine.
type Options struct {
	DB       func() *engine.DB // nil while the store is loading; required
	Password string            // empty: none is asked for
	Version  string            // of tskv; default "dev"
	Addr     string            // host:port that clients use, for INFO
	Engine   *metrics.Engine   // instruments of the store; default: none, all zero
	Net      func() metrics.NetStats
	// Parameters are CONFIG parameters that only cmd knows, such as dir and port.
	Parameters []Parameter
	// HeldBytes bounds what waits for all subscribers together, and, but never
	// below one transaction's bound, what all transactions hold before their EXEC.
	// Bytes; 8 MiB at least; default 256 MiB.
	HeldBytes int64
	Logger    *slog.Logger     // default: discard
	Shutdown  func()           // asks the process to end; must not wait for it
	Now       func() time.Time // default time.Now
}

// Validate checks the options and fills in the defaults.
func (o *Options) Validate() error {
	if o.DB == nil {
		return errors.New("command options: DB is required")
	}
	if o.HeldBytes == 0 {
		o.HeldBytes = defaultHeldBytes
	}
	if o.HeldBytes < maxMailBytes {
		return errors.New("command options: HeldBytes is less than one subscriber may have")
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Engine == nil {
		o.Engine = metrics.NewEngine()
	}
	if o.Net == nil {
		o.Net = func() metrics.NetStats { return metrics.NetStats{} }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Shutdown == nil {
		o.Shutdown = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}
