package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tskv/disk"
	"tskv/engine"
)

// passwordVariable is the environment's way to give the password, for the server
// and for the client. It is no flag's default, because --help prints those.
const passwordVariable = "TSKV_PASSWORD"

// serveFlags are the command line of tskv serve.
type serveFlags struct {
	dir, addr, http, socket, sync, password string
	syncInterval                            time.Duration
	memory                                  byteSize
	budget                                  int64 // memory, or its default
	memtableBytes                           int64
	maxClients                              int
	minFree                                 uint64
	noMmap                                  bool
	archiveBytes                            int64
}

func newServe() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the server",
		Long: `serve opens the store in --dir and answers Redis clients on --addr. Without a
password it listens on loopback addresses only. SIGTERM or Ctrl-C ends it cleanly;
after kill -9 the next start recovers everything acknowledged.`,
		Args: cobra.NoArgs,
		Example: `  tskv serve
  tskv serve --dir /var/lib/tskv --addr 127.0.0.1:6379 --sync interval
  tskv serve --addr 0.0.0.0:7379 --requirepass secret`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			f.password = cmp.Or(f.password, os.Getenv(passwordVariable))
			return serve(ctx, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "data", "directory of the data; made if it is not there")
	flags.StringVar(&f.addr, "addr", "127.0.0.1:7379", "host:port for Redis clients")
	flags.StringVar(&f.http, "http", "127.0.0.1:7380", "host:port for metrics and health, which ask for no password; empty to switch off")
	flags.StringVar(&f.socket, "unixsocket", "", "path of a unix socket for Redis clients, beside TCP")
	flags.StringVar(&f.sync, "sync", "always", "what an acknowledged write has survived: always (power cut), interval or os (kill -9)")
	flags.DurationVar(&f.syncInterval, "sync-interval", time.Second, "time between syncs with --sync interval")
	flags.Var(&f.memory, "memory", "what the process should use, such as 256MiB or 4GiB; 0 for half of the control group or machine, at most 4GiB")
	flags.Int64Var(&f.memtableBytes, "memtable-bytes", 0, "bytes of one memtable, of which up to four wait for their flush; 0 for a sixteenth of --memory")
	flags.StringVar(&f.password, "requirepass", "", "password that clients must give with AUTH; better given in the environment as "+passwordVariable)
	flags.IntVar(&f.maxClients, "maxclients", 10_000, "most connections at a time")
	flags.Uint64Var(&f.minFree, "min-free-bytes", 512<<20, "refuse writes when fewer bytes of the disk are free")
	flags.Int64Var(&f.archiveBytes, "archive-bytes", 0, "keep that many bytes of the log for backups, so that restore reaches positions between them; 0 keeps none")
	flags.BoolVar(&f.noMmap, "no-mmap", false, "read tables with pread instead of memory maps")
	return cmd
}

// errProtected is protected mode: an open door needs a password.
var errProtected = errors.New("refusing to listen on an address that other machines reach without a password: give --requirepass, or listen on 127.0.0.1")

// serve runs until ctx ends or a client sends SHUTDOWN, then closes everything in
// order: doors, connections, store.
func serve(ctx context.Context, f *serveFlags, out, errOut io.Writer) error {
	logger := slog.New(slog.NewTextHandler(errOut, nil))
	mode, err := engine.ParseSyncMode(f.sync)
	if err != nil {
		return err
	}
	if err := checkExposure(f); err != nil {
		return err
	}
	f.budget = memoryBudget(f.memory, os.DirFS("/"))
	if err := checkMemory(f.budget); err != nil {
		return err
	}
	limitHeap(f.budget, logger)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := openDoors(f, logger, cancel)
	if err != nil {
		return err
	}
	db, err := engine.Open(f.dir, engine.Options{
		Sync: mode, SyncInterval: f.syncInterval, Memory: f.budget, MemtableBytes: f.memtableBytes,
		MinFreeBytes: f.minFree, NoMmap: f.noMmap, ArchiveBytes: f.archiveBytes, Logger: logger, Metrics: d.engine,
	})
	if err != nil {
		return errors.Join(repairHint(f.dir, err), d.close())
	}
	d.db.Store(db)
	printBanner(out, f, d)
	select {
	case <-ctx.Done():
	case err = <-d.failed:
	}
	logger.Info("shutting down")
	if cut := d.close(); cut != nil { // a client that does not take its reply is no failure of ours
		logger.Warn("close connections", "error", cut)
	}
	return errors.Join(err, db.Close())
}

// repairHint says what to do about a store that cannot be opened.
func repairHint(dir string, err error) error {
	switch {
	case errors.Is(err, disk.ErrCorrupt), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w\nthe store is damaged and was not changed; keep a copy of it. What is damaged, and what can be saved:"+
			"\n  tskv check %s\n  tskv check %s --salvage NEWDIR", err, dir, dir)
	}
	return err
}

func checkExposure(f *serveFlags) error {
	for _, addr := range []string{f.addr, f.http} {
		if addr == "" {
			continue
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("address %q: %w", addr, err)
		}
		if f.password == "" && !isLoopback(host) {
			return fmt.Errorf("%s: %w", addr, errProtected)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func printBanner(out io.Writer, f *serveFlags, d *doors) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		dir = f.dir
	}
	host, port, _ := net.SplitHostPort(d.tcp.Addr().String())
	auth := ""
	if f.password != "" {
		auth = " --askpass"
	}
	_, _ = fmt.Fprintf(out, "tskv %s ready\n  redis  %s\n", version, d.tcp.Addr())
	if f.socket != "" {
		_, _ = fmt.Fprintf(out, "  unix   %s\n", f.socket)
	}
	if d.http != nil {
		_, _ = fmt.Fprintf(out, "  http   http://%s/metrics\n", d.http.Addr())
	}
	_, _ = fmt.Fprintf(out, "  data   %s\n  sync   %s\ntry:\n", dir, f.sync)
	_, _ = fmt.Fprintf(out, "  redis-cli -h %s -p %s%s PUT room:1 '*' 21.5\n", host, port, auth)
	_, _ = fmt.Fprintf(out, "  redis-cli -h %s -p %s%s SCAN room:1 - +\n", host, port, auth)
	_, _ = fmt.Fprintf(out, "without redis-cli:\n  %s cli --addr %s PUT room:1 '*' 21.5\n", os.Args[0], d.tcp.Addr())
	if f.password != "" {
		_, _ = fmt.Fprintln(out, "  (the password in the environment as TSKV_PASSWORD)")
	}
}

// raiseFileLimit lets the process open as many files as it may.
func raiseFileLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && limit.Cur < limit.Max {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // the server counts on what it really got
	}
}

// removeStaleSocket deletes a socket file that nobody listens on any more.
func removeStaleSocket(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerror // nothing to remove; listening will tell
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fmt.Errorf("another process listens on %s", path)
	}
	return os.Remove(path)
}
