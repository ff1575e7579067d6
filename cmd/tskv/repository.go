package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tskv/backup"
)

// errRepository says that a check of a repository found damage, which was printed.
var errRepository = errors.New("the repository is damaged")

func newBackupList(f *backupFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "list DIR",
		Short:   "list the backups in a repository",
		Example: "  tskv backup list /backup/tskv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listBackups(f, args[0], cmd.OutOrStdout())
		},
	}
}

func listBackups(f *backupFlags, dir string, out io.Writer) error {
	fsys, err := repositoryFS(dir)
	if err != nil {
		return err
	}
	repo, err := backup.Open(fsys, backup.Options{Unlocked: true})
	if err != nil {
		return err
	}
	all, damaged, err := repo.List()
	if err != nil {
		return err
	}
	results := make([]backupResult, len(all))
	for i := range all {
		results[i] = resultOf(&all[i])
	}
	if f.json {
		err = printJSON(out, results)
	} else {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ID\tPOSITION\tKEYS\tTABLES\tSIZE\tDATABASE") // Flush returns the error
		for _, r := range results {
			_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", r.ID, r.Position, r.Keys, r.Tables, sizeText(r.Bytes), r.Database)
		}
		err = w.Flush()
	}
	for _, d := range damaged {
		err = errors.Join(err, fmt.Errorf("%s: %w", d.File, d.Err))
	}
	return err
}

func newBackupVerify(f *backupFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "read a whole repository and compare every checksum",
		Long: `verify reads every table and log segment of the repository and compares it with
the checksum that was noted when it was copied. It ends with exit code 1 if
something is damaged.`,
		Example: "  tskv backup verify /backup/tskv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return verifyBackups(ctx, f, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// verifyResult is what verify prints as JSON.
type verifyResult struct {
	Backups  int      `json:"backups"`
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Damaged  []string `json:"damaged"`
	Affected []string `json:"affected_backups"`
}

func verifyBackups(ctx context.Context, f *backupFlags, dir string, out, errOut io.Writer) (err error) {
	fsys, err := repositoryFS(dir)
	if err != nil {
		return err
	}
	p := newProgress(errOut, "verify")
	repo, err := backup.Open(fsys, backup.Options{Progress: p.report})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	rep, err := repo.Verify(ctx)
	p.end()
	if err != nil {
		return err
	}
	r := verifyResult{Backups: rep.Backups, Files: rep.Files, Bytes: rep.Bytes, Damaged: []string{}, Affected: append([]string{}, rep.Affected...)}
	for _, d := range rep.Damaged {
		r.Damaged = append(r.Damaged, fmt.Sprintf("%s: %v", d.File, d.Err))
	}
	if f.json {
		err = printJSON(out, r)
	} else {
		_, err = fmt.Fprintf(out, "%d backups, %d files, %s read\n", r.Backups, r.Files, sizeText(r.Bytes))
		for _, d := range r.Damaged {
			_, _ = fmt.Fprintln(out, "damaged:", d) // the exit code tells, too
		}
		for _, id := range r.Affected {
			_, _ = fmt.Fprintln(out, "cannot be restored:", id)
		}
	}
	if err == nil && len(r.Damaged) > 0 {
		err = errRepository
	}
	return err
}

func newBackupPrune(f *backupFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune DIR --keep N",
		Short: "remove all but the newest backups from a repository",
		Long: `prune keeps the newest N backups of each database and removes the others, and
the files that none of those left needs. The log is kept from the oldest backup
left on.`,
		Example: "  tskv backup prune /backup/tskv --keep 14",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return pruneBackups(f, args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&f.keep, "keep", 0, "how many backups stay, at least 1")
	_ = cmd.MarkFlagRequired("keep") // it is there
	return cmd
}

func pruneBackups(f *backupFlags, dir string, out io.Writer) (err error) {
	fsys, err := repositoryFS(dir)
	if err != nil {
		return err
	}
	repo, err := backup.Open(fsys, backup.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	p, err := repo.Prune(f.keep)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(out, map[string]any{"backups": append([]string{}, p.Backups...), "files": p.Files, "bytes": p.Bytes})
	}
	_, err = fmt.Fprintf(out, "removed %d backups and %d files, %s\n", len(p.Backups), p.Files, sizeText(p.Bytes))
	return err
}
