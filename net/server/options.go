package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"tskv/net/resp"
)

// Defaults of Options, from PROTOCOL.md; each was tried against hostile clients.
const (
	DefaultMaxClients       = 10_000
	DefaultMaxInput         = 256 << 20
	DefaultMaxOutput        = 1 << 20
	DefaultMaxHeld          = 256 << 20
	DefaultAuthTimeout      = 10 * time.Second
	DefaultCommandTimeout   = 60 * time.Second
	DefaultWriteTimeout     = 10 * time.Second
	DefaultHandshakeTimeout = 5 * time.Second
)

// reservedFiles is how many descriptors of the process's limit are left to the
// data files, the logs and the HTTP door.
const reservedFiles = 256

// Options configures a Server. A zero field means its default.
type Options struct {
	Limits     resp.Limits // of requests; resp.DefaultLimits
	MaxClients int         // open connections; 10,000, or fewer if the process may not open as many files
	MaxInput   int64       // bytes of input buffers of all clients together; 256 MiB
	MaxOutput  int         // bytes of replies buffered per client before they must be written; 1 MiB
	MaxHeld    int64       // bytes of replies that wait for slow clients, of all together; 256 MiB

	AuthRequired     bool          // new connections start unauthenticated
	AuthTimeout      time.Duration // from accept or SetAuthenticated(false) to SetAuthenticated(true); 10 s
	CommandTimeout   time.Duration // without a byte inside a command; 60 s
	WriteTimeout     time.Duration // without progress of a write; 10 s
	HandshakeTimeout time.Duration // for the TLS handshake; 5 s

	TLS     *tls.Config  // for all listeners but unix sockets; nil: plain
	Logger  *slog.Logger // slog.Default
	OnPanic func(c *Conn, value any, stack []byte)
}

// withDefaults fills in zero fields.
func (o Options) withDefaults() Options {
	if o.Limits == (resp.Limits{}) {
		o.Limits = resp.DefaultLimits()
	}
	if o.MaxClients == 0 {
		o.MaxClients = DefaultMaxClients
	}
	if o.MaxInput == 0 {
		o.MaxInput = DefaultMaxInput
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = DefaultMaxOutput
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.AuthTimeout, DefaultAuthTimeout},
		{&o.CommandTimeout, DefaultCommandTimeout},
		{&o.WriteTimeout, DefaultWriteTimeout},
		{&o.HandshakeTimeout, DefaultHandshakeTimeout},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Validate reports the first field that cannot be kept; zero fields are valid.
func (o Options) Validate() error {
	o = o.withDefaults()
	if err := o.Limits.Validate(); err != nil {
		return fmt.Errorf("check server options: %w", err)
	}
	for _, field := range []struct {
		name       string
		value, min int64
	}{
		{"MaxClients", int64(o.MaxClients), 1},
		{"MaxInput", o.MaxInput, 1 << 20},
		{"MaxOutput", int64(o.MaxOutput), 1 << 10},
		{"MaxHeld", o.MaxHeld, 1 << 20},
		{"AuthTimeout", int64(o.AuthTimeout), 1},
		{"CommandTimeout", int64(o.CommandTimeout), 1},
		{"WriteTimeout", int64(o.WriteTimeout), 1},
		{"HandshakeTimeout", int64(o.HandshakeTimeout), 1},
	} {
		if field.value < field.min {
			return fmt.Errorf("check server option %s=%d: %w: below %d", field.name, field.value, ErrOptions, field.min)
		}
	}
	return nil
}

// clientsWithin returns how many of want connections a process may hold that
// may open files descriptors.
func clientsWithin(want int, files uint64) int {
	if files >= uint64(want)+reservedFiles {
		return want
	}
	if files > 2*reservedFiles {
		return int(files - reservedFiles)
	}
	return max(1, int(files/2))
}

// openFiles returns the process's limit of descriptors.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 20
	}
	return limit.Cur
}
