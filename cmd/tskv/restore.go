package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"tskv/backup"
	"tskv/disk"
	"tskv/engine"
)

// restoreSuffix ends the name of the directory in which a restore works. Whatever
// has such a name was left by a restore that did not end.
const restoreSuffix = ".tskv-restore" + disk.TempSuffix

// restoreFlags are the command line of tskv restore.
type restoreFlags struct {
	from, dir, id string
	to            uint64
	bounded       bool // --to was given
	json          bool
}

func newRestore() *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "make a data directory of a backup",
		Long: `restore copies a backup, by default the newest one, into a new directory, which
tskv serve then opens. With --to it takes the newest backup that is not after the
position and replays the archived log from there: the store holds every write up
to the position, in whole groups, and none after it. Each byte is verified. The
directory appears when all is done; until then it has another name.`,
		Example: `  tskv restore --from /backup/tskv --dir data
  tskv restore --from /backup/tskv --dir data --backup 20251120T081500.000Z
  tskv restore --from /backup/tskv --dir data --to 123456`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			f.bounded = cmd.Flags().Changed("to")
			return runRestore(ctx, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "directory of the backup repository")
	flags.StringVar(&f.dir, "dir", "", "the new data directory; must not be there, or be empty")
	flags.StringVar(&f.id, "backup", "", "ID of the backup, as tskv backup list shows it; default: the newest")
	flags.Uint64Var(&f.to, "to", 0, "position (sequence of a write) to restore to; default: that of the backup")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	_ = errors.Join(cmd.MarkFlagRequired("from"), cmd.MarkFlagRequired("dir")) // they are there
	return cmd
}

// restored is what restore prints as JSON.
type restored struct {
	Directory string   `json:"directory"`
	Backup    string   `json:"backup"`
	Position  uint64   `json:"position"` // reached
	Tables    int      `json:"tables"`
	Segments  int      `json:"log_segments"`
	Bytes     int64    `json:"bytes"`
	Damaged   []string `json:"damaged,omitempty"`
}

func runRestore(ctx context.Context, f *restoreFlags, out, errOut io.Writer) (err error) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := checkVacant(dir); err != nil {
		return err
	}
	fsys, err := repositoryFS(f.from)
	if err != nil {
		return err
	}
	p := newProgress(errOut, "restore")
	repo, err := backup.Open(fsys, backup.Options{Progress: p.report})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	var to *uint64
	if f.bounded {
		to = &f.to
	}
	plan, err := repo.Plan(f.id, to)
	if err != nil {
		return err
	}
	r := restored{Directory: dir, Backup: plan.ID, Tables: len(plan.Tables), Segments: len(plan.Log), Bytes: plan.Bytes(), Damaged: plan.Damaged}
	r.Position, err = restoreTo(ctx, repo, plan, dir, errOut)
	p.end()
	if err != nil {
		return err
	}
	return printRestored(f, &r, out)
}

// checkVacant wants a directory that is not there, or is empty.
func checkVacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("restore: %s is not empty: choose a directory that is not there", dir)
	}
	return nil
}

// restoreTo builds the store under another name, and gives it its own as the last
// step. It returns the position reached.
func restoreTo(ctx context.Context, repo *backup.Repository, plan backup.Plan, dir string, errOut io.Writer) (position uint64, err error) {
	temp := dir + restoreSuffix
	if err := os.RemoveAll(temp); err != nil {
		return 0, fmt.Errorf("restore: remove what an earlier one has left: %w", err)
	}
	dst, err := disk.NewOS(temp)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temp) // the next restore removes it, too
		}
	}()
	if free, _, err := dst.Free(); err == nil && free < uint64(plan.Bytes()) {
		return 0, fmt.Errorf("restore: the backup has %s, and %s are free in %s", sizeText(plan.Bytes()), sizeText(int64(free)), filepath.Dir(dir))
	}
	if err := repo.Extract(ctx, plan, dst); err != nil {
		return 0, err
	}
	position, err = engine.Restore(temp, engine.Options{MinFreeBytes: 1, Logger: quietLogger(errOut)}, plan.To)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	parent, err := disk.NewOS(filepath.Dir(dir))
	if err != nil {
		return 0, err
	}
	if err := os.Rename(temp, dir); err != nil {
		return 0, err
	}
	return position, parent.SyncDir(".")
}

func printRestored(f *restoreFlags, r *restored, out io.Writer) error {
	if f.json {
		return printJSON(out, r)
	}
	_, err := fmt.Fprintf(out, "restored backup %s to %s: position %d, %d tables, %s\n", r.Backup, r.Directory, r.Position, r.Tables, sizeText(r.Bytes))
	if r.Segments > 0 {
		_, err = fmt.Fprintf(out, "replayed %d log segments\n", r.Segments)
	}
	for _, d := range r.Damaged {
		_, err = fmt.Fprintln(out, "was damaged when it was backed up:", d)
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "start it with: tskv serve --dir %s\n", r.Directory)
	}
	return err
}
