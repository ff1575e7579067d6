package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"tskv/backup"
	"tskv/disk"
)

// backupFlags are the command line of tskv backup.
type backupFlags struct {
	server       cliFlags
	dir, to      string
	keepLog      bool
	allowDamaged bool
	json         bool
	keep         int
}

func newBackup() *cobra.Command {
	f := &backupFlags{}
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "copy the store of a running server, or of none, to a backup repository",
		Long: `backup makes a backup of everything acknowledged before it begins, while the
server goes on. --to is a directory that holds all backups; tables that are there
already are not copied again, so every backup but the first is incremental, and
each one is whole. It runs on the server's machine, as a user who may read the
data directory. With --dir it backs up a store that no server has open.`,
		Example: `  tskv backup --to /backup/tskv                        # of the server on 127.0.0.1:7379
  tskv backup --to /backup/tskv --dir data             # while no server runs
  tskv backup list /backup/tskv
  tskv backup verify /backup/tskv
  tskv backup prune /backup/tskv --keep 14`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			f.server.password = cmp.Or(f.server.password, os.Getenv(passwordVariable))
			return runBackup(ctx, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "directory of the repository; made if it is not there")
	flags.StringVar(&f.server.addr, "addr", "127.0.0.1:7379", "host:port of the server")
	flags.StringVar(&f.server.socket, "socket", "", "unix socket of the server, instead of --addr")
	flags.StringVar(&f.server.password, "password", "", "password; better given in the environment as "+passwordVariable)
	flags.StringVar(&f.dir, "dir", "", "data directory that no server has open, instead of --addr")
	flags.BoolVar(&f.keepLog, "keep-log", false, "leave the archived log in the data directory, for a second repository")
	flags.BoolVar(&f.allowDamaged, "allow-damaged", false, "take tables whose own checksums are wrong, and note it, instead of giving up")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print the result as JSON")
	_ = cmd.MarkFlagRequired("to") // it is there
	cmd.AddCommand(newBackupList(f), newBackupVerify(f), newBackupPrune(f))
	return cmd
}

// repositoryFS returns a directory that must be there.
func repositoryFS(dir string) (disk.FS, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open backup repository: %w", err)
	}
	return disk.NewOS(dir)
}

func runBackup(ctx context.Context, f *backupFlags, out, errOut io.Writer) (err error) {
	abs, err := filepath.Abs(f.to)
	if err != nil {
		return err
	}
	fsys, err := disk.NewOS(abs)
	if err != nil {
		return err
	}
	p := newProgress(errOut, "backup")
	repo, err := backup.Create(fsys, backup.Options{Tool: version, Progress: p.report, AllowDamaged: f.allowDamaged})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	o, err := f.origin(errOut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	added, err := backUp(ctx, f, o, repo, fmt.Sprintf("backup-%08x-", disk.CRC(0, []byte(abs))))
	p.end()
	if err != nil {
		return err
	}
	return printAdded(f, &added, out)
}

func (f *backupFlags) origin(errOut io.Writer) (origin, error) {
	if f.dir != "" {
		return openOffline(f.dir, errOut)
	}
	return dialOnline(&f.server)
}

// backUp copies a checkpoint, which it removes whatever happens, and then lets the
// log go that it has copied.
func backUp(ctx context.Context, f *backupFlags, o origin, repo *backup.Repository, prefix string) (added backup.Added, err error) {
	name := prefix + rand.Text()[:8]
	c, err := o.checkpoint(ctx, name)
	if err != nil {
		return added, err
	}
	defer func() {
		if left := o.removeCheckpoint(name); left != nil {
			err = errors.Join(err, fmt.Errorf("remove checkpoint: %w (the next backup removes it)", left))
		}
	}()
	checkpoint, data, err := openCheckpoint(&c)
	if err != nil {
		return added, err
	}
	if err := removeStale(o, &c, prefix); err != nil {
		return added, err
	}
	added, err = repo.Add(ctx, backup.Source{Checkpoint: checkpoint, Database: c.Database, Data: data})
	if err == nil && added.LogUpTo > 0 && !f.keepLog {
		err = o.release(added.LogUpTo)
	}
	return added, err
}

// backupResult is what backup and list print of a backup as JSON.
type backupResult struct {
	ID             string   `json:"id"`
	Time           string   `json:"time"`
	Database       string   `json:"database"`
	Position       uint64   `json:"position"`
	Keys           uint64   `json:"keys"`
	Tables         int      `json:"tables"`
	Bytes          int64    `json:"bytes"`
	CopiedTables   *int     `json:"copied_tables,omitempty"`
	CopiedBytes    *int64   `json:"copied_bytes,omitempty"`
	CopiedSegments *int     `json:"copied_segments,omitempty"`
	Damaged        []string `json:"damaged,omitempty"`
}

func resultOf(b *backup.Backup) backupResult {
	return backupResult{
		ID: b.ID, Time: b.Time.Format("2006-01-02T15:04:05.000Z07:00"), Database: b.Database, Position: b.Position, Keys: b.Keys,
		Tables: len(b.Tables), Bytes: b.Bytes, Damaged: b.Damaged,
	}
}

func printAdded(f *backupFlags, a *backup.Added, out io.Writer) error {
	if f.json {
		r := resultOf(&a.Backup)
		r.CopiedTables, r.CopiedBytes, r.CopiedSegments = &a.Copied, &a.CopiedBytes, &a.Segments
		return printJSON(out, r)
	}
	_, err := fmt.Fprintf(out, "backup %s of position %d: %d tables, %s\ncopied %d tables, %s, and %d log segments, %s\n",
		a.ID, a.Position, len(a.Tables), sizeText(a.Bytes), a.Copied, sizeText(a.CopiedBytes), a.Segments, sizeText(a.LogBytes))
	for _, d := range a.Damaged {
		_, err = fmt.Fprintln(out, "damaged at its source:", d)
	}
	return err
}
