package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tskv/engine"
	"tskv/metrics"
	"tskv/net/command"
	"tskv/net/console"
	"tskv/net/server"
)

// closeTimeout is how long shutting down waits for running commands; together
// with the store's own closing it stays under five seconds.
const closeTimeout = 2 * time.Second

// doors are the listeners and what answers behind them. They open before the
// store, so that clients get LOADING rather than a refused connection.
type doors struct {
	db      atomic.Pointer[engine.DB]
	engine  *metrics.Engine
	handler *command.Handler
	server  *server.Server
	console *console.Console
	tcp     net.Listener
	unix    net.Listener
	http    net.Listener
	failed  chan error
}

func openDoors(f *serveFlags, logger *slog.Logger, shutdown func()) (*doors, error) {
	raiseFileLimit()
	d := &doors{engine: metrics.NewEngine(), failed: make(chan error, 3)}
	var err error
	if d.handler, err = d.newHandler(f, logger, shutdown); err != nil {
		return nil, err
	}
	d.server, err = server.New(d.handler, server.Options{
		MaxClients: f.maxClients, MaxInput: clientShare(f.budget), MaxHeld: clientShare(f.budget), AuthRequired: f.password != "", Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if d.console, err = d.newConsole(); err != nil {
		return nil, err
	}
	if err := d.listen(f); err != nil {
		return nil, errors.Join(err, d.closeListeners())
	}
	d.serve()
	return d, nil
}

func (d *doors) newHandler(f *serveFlags, logger *slog.Logger, shutdown func()) (*command.Handler, error) {
	return command.New(command.Options{
		DB:         d.db.Load,
		Password:   f.password,
		Version:    version,
		Addr:       f.addr,
		Engine:     d.engine,
		Net:        d.netStats,
		Parameters: append(parameters(f), d.maxClients()),
		Logger:     logger,
		Shutdown:   shutdown,
	})
}

func (d *doors) newConsole() (*console.Console, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		d.engine, metrics.NewNet(d.netStats), d.handler.Metrics(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return console.New(console.Options{Registry: registry, Version: version, Ready: d.ready})
}

// ready tells why the server does not take writes, or nil.
func (d *doors) ready() error {
	db := d.db.Load()
	if db == nil {
		return errors.New("loading")
	}
	return db.ReadOnly()
}

func (d *doors) listen(f *serveFlags) error {
	var err error
	if d.tcp, err = net.Listen("tcp", f.addr); err != nil {
		return fmt.Errorf("listen for redis clients: %w", err)
	}
	if f.socket != "" {
		if err := removeStaleSocket(f.socket); err != nil {
			return err
		}
		if d.unix, err = net.Listen("unix", f.socket); err != nil {
			return fmt.Errorf("listen on unix socket: %w", err)
		}
	}
	if f.http != "" {
		if d.http, err = net.Listen("tcp", f.http); err != nil {
			return fmt.Errorf("listen for http: %w", err)
		}
	}
	return nil
}

func (d *doors) serve() {
	run := func(l net.Listener, serve func(net.Listener) error) {
		if l == nil {
			return
		}
		go func() { // ends when close() closes the listener
			if err := serve(l); err != nil {
				d.failed <- err
			}
		}()
	}
	run(d.tcp, d.server.Serve)
	run(d.unix, d.server.Serve)
	run(d.http, d.console.Serve)
}

// close stops accepting, lets running commands end and closes every connection.
func (d *doors) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := errors.Join(d.console.Shutdown(ctx), d.server.Shutdown(ctx))
	d.handler.Close()
	return err
}

func (d *doors) closeListeners() error {
	var errs []error
	for _, l := range []net.Listener{d.tcp, d.unix, d.http} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (d *doors) netStats() metrics.NetStats {
	if d.server == nil {
		return metrics.NetStats{}
	}
	s := d.server.Stats()
	return metrics.NetStats{
		Open:           uint64(max(s.ConnectionsOpen.Load(), 0)),
		Accepted:       s.ConnectionsTotal.Load(),
		Rejected:       s.ConnectionsRejected.Load(),
		AcceptErrors:   s.AcceptErrors.Load(),
		BytesIn:        s.BytesRead.Load(),
		BytesOut:       s.BytesWritten.Load(),
		Backpressure:   s.InputWaits.Load() + s.OutputWaits.Load(),
		ProtocolErrors: s.ProtocolErrors.Load(),
		Panics:         s.Panics.Load(),
		Timeouts:       s.HandshakeTimeouts.Load() + s.AuthTimeouts.Load() + s.CommandTimeouts.Load() + s.WriteTimeouts.Load() + s.HeldCuts.Load(),
		InputBytes:     uint64(max(s.InputBytes.Load(), 0)),
	}
}

// maxClients is the limit in force: fewer than asked for if the process may not
// open as many files.
func (d *doors) maxClients() command.Parameter {
	return command.Parameter{Name: "maxclients", Value: func() string {
		return strconv.Itoa(d.server.Options().MaxClients)
	}}
}

// parameters are what CONFIG GET shows of the flags, under the names that Redis
// clients ask for.
func parameters(f *serveFlags) []command.Parameter {
	fixed := func(name, value string) command.Parameter {
		return command.Parameter{Name: name, Value: func() string { return value }}
	}
	_, port, _ := net.SplitHostPort(f.addr)
	fsync := map[string]string{"always": "always", "interval": "everysec", "os": "no"}[f.sync]
	return []command.Parameter{
		fixed("dir", f.dir),
		fixed("bind", f.addr),
		fixed("port", port),
		fixed("unixsocket", f.socket),
		fixed("appendonly", "yes"),
		fixed("appendfsync", fsync),
		fixed("sync", f.sync),
		fixed("sync-interval", f.syncInterval.String()),
		fixed("maxmemory", strconv.FormatInt(f.budget, 10)),
		fixed("memtable-bytes", strconv.FormatInt(f.memtableBytes, 10)),
		fixed("archive-bytes", strconv.FormatInt(f.archiveBytes, 10)),
		fixed("min-free-bytes", strconv.FormatUint(f.minFree, 10)),
		fixed("io-threads", strconv.Itoa(runtime.GOMAXPROCS(0))),
	}
}
