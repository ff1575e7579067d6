package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
)

func maintenanceCommands() []spec {
	return []spec{
		{
			name: "checkpoint", arity: -2, flags: flagAdmin, group: "server", since: "0.2.0",
			syntax: "<directory | REMOVE name>", summary: "Makes a directory of hard links that holds the store at one position, or removes one.", run: (*session).checkpoint,
		},
		{
			name: "archive", arity: -2, flags: flagAdmin, group: "server", since: "0.2.0",
			syntax: "subcommand", summary: "Looks after the log segments that are kept for backups.",
			subs: []spec{
				{name: "release", arity: 3, flags: flagAdmin, syntax: "segment", summary: "Removes the archived segments up to a number, because a backup has them.", run: (*session).archiveRelease},
			},
		},
		{
			name: "verify", arity: -1, flags: flagAdmin, group: "server", since: "0.2.0",
			syntax: "[key]", summary: "Checks every checksum of the table files, or of those that hold a key, and lists the damaged ones.", run: (*session).verify,
		},
		{
			name: "compact", arity: -1, flags: flagAdmin, group: "server", since: "0.2.0",
			syntax: "[key]", summary: "Merges table files until there is nothing to gain, or those that hold a key.", run: (*session).compact,
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
	ctx, stop := s.presence()
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

func (s *session) archiveRelease(args [][]byte) error {
	last, ok := parseInt(args[2])
	if !ok || last < 0 {
		return errInteger
	}
	n, err := s.db.ReleaseArchive(uint64(last))
	if err != nil {
		return err
	}
	s.out.Int(int64(n))
	return nil
}

// verify answers what was read and what is damaged; damage is no error of the
// command.
func (s *session) verify(args [][]byte) error {
	key, err := optionalKey(args)
	if err != nil {
		return err
	}
	ctx, stop := s.presence()
	defer stop()
	found, err := s.db.Verify(ctx, key)
	if err != nil {
		return maintenanceError(err)
	}
	s.out.MapHeader(5)
	s.count64("files", uint64(found.Files))
	s.count64("bytes", uint64(found.Bytes))
	s.count64("rows", found.Rows)
	s.count64("damaged_files", uint64(found.Broken))
	s.out.BulkString("damaged")
	s.out.ArrayHeader(len(found.Damaged))
	for _, d := range found.Damaged {
		s.out.BulkString(d.File + ": " + strings.ReplaceAll(d.Err.Error(), "\n", " "))
	}
	return nil
}

// optionalKey returns the one argument, or nil.
func optionalKey(args [][]byte) ([]byte, error) {
	switch len(args) {
	case 1:
		return nil, nil
	case 2:
		return args[1], nil
	}
	return nil, errSyntax
}

// compact waits for the work, which goes on when the client leaves: half of a
// merge is worth nothing.
func (s *session) compact(args [][]byte) error {
	key, err := optionalKey(args)
	if err != nil {
		return err
	}
	if !s.h.compacting.CompareAndSwap(false, true) {
		return reply("ERR a COMPACT is running already")
	}
	ctx, stop := s.presence()
	defer stop()
	db, done := s.db, make(chan error, 1)
	key = bytes.Clone(key)
	go func() { // ends with the work, at the latest when the store closes
		defer s.h.compacting.Store(false)
		if key == nil {
			done <- db.Compact()
		} else {
			done <- db.CompactKey(key)
		}
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return errStopped
	}
	if err != nil {
		return err
	}
	s.out.OK()
	return nil
}

// presence returns a context that ends when nobody can get the command's answer any
// more: the client has gone, or the server shuts down. stop must be called before
// the command returns.
func (s *session) presence() (ctx context.Context, stop func()) {
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
