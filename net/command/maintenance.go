package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
)

func maintenanceCommands() []spec {
	return []spec{
		{
			name: "checkpoint", arity: -2, flags: flagAdmin, group: "server", since: "0.2.0",
			syntax: "<directory | REMOVE name>", summary: "Makes a directory of hard links that holds the store at one position, or removes one.", run: (*session).checkpoint,
		},
	}
}

// checkpoint answers a map, so that a later version can say more.
func (s *session) checkpoint(args [][]byte) error {
	switch {
	case len(args) == 3 && equalFold(args[1], "remove"):
		if err := s.db.RemoveCheckpoint(string(args[2])); err != nil {
			return err
		}
		s.out.OK()
		return nil
	case len(args) != 2:
		return errSyntax
	}
	ctx, stop := s.watch()
	defer stop()
	c, err := s.db.Checkpoint(ctx, string(args[1]))
	if err != nil {
		return maintenanceError(err)
	}
	s.out.MapHeader(5)
	s.field("directory", c.Dir)
	s.field("database", fmt.Sprintf("%016x", c.Database))
	s.count64("position", c.Position)
	s.count64("files", uint64(c.Files))
	s.count64("bytes", uint64(c.Bytes))
	return nil
}

func (s *session) field(name, value string) {
	s.out.BulkString(name)
	s.out.BulkString(value)
}

func (s *session) count64(name string, n uint64) {
	s.out.BulkString(name)
	s.out.Int(int64(n))
}

// watch returns a context that ends when nobody can get the command's answer any
// more: the client has gone, or the server shuts down. stop must be called before
// the command returns.
func (s *session) watch() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := s.c.Watch()
	var ended sync.WaitGroup
	ended.Go(func() { // ends with stop, or before
		select {
		case <-s.c.Done():
		case <-s.c.Stopping():
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() {
		cancel()
		ended.Wait()
		unwatch()
	}
}

// maintenanceError words what goes wrong with places, for an administrator.
func maintenanceError(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errStopped
	case errors.Is(err, fs.ErrExist):
		return reply("ERR " + err.Error() + ": choose a name that nobody has")
	case errors.Is(err, syscall.EXDEV):
		return reply("ERR " + err.Error() + ": a checkpoint is made of hard links, so it must lie on the file system of the data")
	}
	return err
}
