package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tskv/disk"
	"tskv/engine"
	"tskv/net/resp"
)

// origin is the store that a backup is made of.
type origin interface {
	// checkpoint makes a checkpoint below the data directory.
	checkpoint(ctx context.Context, name string) (engine.Checkpoint, error)
	removeCheckpoint(name string) error
	// release lets archived log segments go.
	release(upTo uint64) error
	close() error
}

// offline is a store that no server has open: it is opened, which replays its log.
type offline struct{ db *engine.DB }

func openOffline(dir string, errOut io.Writer) (*offline, error) {
	if _, err := os.Stat(filepath.Join(dir, disk.ManifestName)); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	opt := engine.Options{MinFreeBytes: 1, Logger: quietLogger(errOut)}
	if _, err := os.Stat(filepath.Join(dir, disk.ArchiveDir)); err == nil {
		opt.ArchiveBytes = math.MaxInt64 // the archive is on: what is replayed belongs into it
	}
	db, err := engine.Open(dir, opt)
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%w: while the server runs, give its --addr instead of --dir", err)
	}
	if err != nil {
		return nil, err
	}
	return &offline{db}, nil
}

func quietLogger(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (o *offline) checkpoint(ctx context.Context, name string) (engine.Checkpoint, error) {
	return o.db.Checkpoint(ctx, name)
}

func (o *offline) removeCheckpoint(name string) error { return o.db.RemoveCheckpoint(name) }

func (o *offline) release(upTo uint64) error {
	_, err := o.db.ReleaseArchive(upTo)
	return err
}

func (o *offline) close() error { return o.db.Close() }

// online is the store of a running server on this machine.
type online struct{ shell *shell }

func dialOnline(f *cliFlags) (*online, error) {
	o := &online{shell: &shell{flags: f}}
	return o, o.shell.connect()
}

// ask sends a command and returns its reply; an error reply is an error. A broken
// connection is made anew for the next one.
func (o *online) ask(args ...string) (resp.Reply, error) {
	if o.shell.conn == nil {
		if err := o.shell.connect(); err != nil {
			return resp.Reply{}, err
		}
	}
	err := o.shell.send(args)
	var r resp.Reply
	if err == nil {
		r, err = o.shell.in.Read()
	}
	if err != nil {
		o.shell.disconnect()
		return r, fmt.Errorf("ask server: %w", err)
	}
	if r.IsError() {
		return r, fmt.Errorf("%s: the server answers: %s", args[0], r.Text)
	}
	return r, nil
}

// checkpoint waits for the server, or for ctx.
func (o *online) checkpoint(ctx context.Context, name string) (engine.Checkpoint, error) {
	conn := o.shell.conn
	stop := context.AfterFunc(ctx, func() { hangUp(conn) })
	r, err := o.ask("CHECKPOINT", name)
	stop()
	if err := errors.Join(ctx.Err(), err); err != nil {
		return engine.Checkpoint{}, err
	}
	return parseCheckpoint(&r)
}

func hangUp(conn net.Conn) { _ = conn.Close() } // the read that waits reports it

// parseCheckpoint reads the map that CHECKPOINT answers; names that it does not
// know are of a newer server.
func parseCheckpoint(r *resp.Reply) (c engine.Checkpoint, err error) {
	for i := 0; i+1 < len(r.Elems) && err == nil; i += 2 {
		value := &r.Elems[i+1]
		switch string(r.Elems[i].Text) {
		case "directory":
			c.Dir = string(value.Text)
		case "database":
			c.Database, err = strconv.ParseUint(string(value.Text), 16, 64)
		case "position":
			c.Position = uint64(value.Int)
		case "files":
			c.Files = int(value.Int)
		case "bytes":
			c.Bytes = value.Int
		}
	}
	if err != nil || !filepath.IsAbs(c.Dir) || c.Database == 0 {
		return c, errors.New("the server's answer to CHECKPOINT does not say where it is")
	}
	return c, nil
}

func (o *online) removeCheckpoint(name string) error {
	_, err := o.ask("CHECKPOINT", "REMOVE", name)
	return err
}

func (o *online) release(upTo uint64) error {
	_, err := o.ask("ARCHIVE", "RELEASE", strconv.FormatUint(upTo, 10))
	return err
}

func (o *online) close() error {
	o.shell.disconnect()
	return nil
}

// openCheckpoint returns a checkpoint, and the data directory that it lies in, as
// this process sees them.
func openCheckpoint(c *engine.Checkpoint) (checkpoint, data disk.FS, err error) {
	if _, err := os.ReadFile(filepath.Join(c.Dir, disk.ManifestName)); err != nil {
		return nil, nil, fmt.Errorf("the server's checkpoint cannot be read from here: %w: run tskv backup on the server's machine, as a user who may read its data directory", err)
	}
	if checkpoint, err = disk.NewOS(c.Dir); err != nil {
		return nil, nil, err
	}
	data, err = disk.NewOS(filepath.Dir(filepath.Dir(c.Dir)))
	return checkpoint, data, err
}

// removeStale removes the checkpoints that killed runs for the same repository have
// left; its lock is held, so no other run is using them.
func removeStale(o origin, c *engine.Checkpoint, prefix string) error {
	entries, err := os.ReadDir(filepath.Dir(c.Dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, prefix) || name == filepath.Base(c.Dir) || strings.HasSuffix(name, disk.TempSuffix) {
			continue
		}
		if err := o.removeCheckpoint(name); err != nil {
			return err
		}
	}
	return nil
}
