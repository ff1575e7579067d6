package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tskv/disk"
	"tskv/inspect"
)

// Exit codes of tskv check.
const (
	exitProblems    = 1
	exitNotPossible = 2
)

// exitError ends the process with a code of its own.
type exitError struct {
	code int
	err  error // printed unless nil
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// checkFlags are the command line of tskv check.
type checkFlags struct {
	json, keepOlder bool
	salvageDir      string
}

func newCheck() *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "check every file of a store that no server has open",
		Long: `check reads every file of the store in DIR by its documented format: manifest,
tables, log; every checksum, the order of keys and rows, counts and bounds, and
that the files fit together. It changes nothing and takes DIR's lock, so stop the
server first. A directory that is mounted read-only can be checked too.

Each finding is one line: severity, file, offset in the file, what it is.
  error    something is not as it was written
  warning  worth a look; the data may be as it should
  note     what a crash may leave; nothing to do

Exit code 0: no errors. 1: errors. 2: DIR could not be checked.

With --salvage it makes a new store of everything that verifies, and reports what
that leaves out: file, offset, length, and as far as they are known keys, IDs and
the number of records. DIR is not changed. Older versions of lost records are left
out too, because a lost record may have replaced or deleted them; --keep-older
leaves them in. Exit code 0: nothing is lost. 1: something is. 2: no store was made.`,
		Example: `  tskv check data
  tskv check /var/lib/tskv --json | jq .findings
  tskv check data --salvage data-new`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.salvageDir != "" {
				return f.salvageTo(args[0], f.salvageDir, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return f.run(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print one JSON object instead of lines")
	flags.StringVar(&f.salvageDir, "salvage", "", "make a new store of what verifies in this directory, which must not be there")
	flags.BoolVar(&f.keepOlder, "keep-older", false, "with --salvage: keep older versions of lost records")
	return cmd
}

func (f *checkFlags) run(dir string, out, errOut io.Writer) error {
	raiseFileLimit()
	fsys, err := disk.NewReadOnly(dir)
	if err != nil {
		return &exitError{exitNotPossible, err}
	}
	bar := newProgress(errOut, "checking")
	report, err := inspect.Check(fsys, inspect.CheckOptions{Progress: bar.report})
	bar.end()
	if report != nil {
		if err := f.print(out, dir, report); err != nil {
			return &exitError{exitNotPossible, err}
		}
	}
	switch {
	case err != nil:
		return &exitError{exitNotPossible, fmt.Errorf("%s: %w", dir, err)}
	case !report.Sound:
		return &exitError{exitProblems, nil}
	}
	return nil
}

func (f *checkFlags) print(out io.Writer, dir string, r *inspect.Report) error {
	if f.json {
		return printJSON(out, struct {
			Dir string `json:"dir"`
			*inspect.Report
		}{dir, r})
	}
	var b strings.Builder
	for _, finding := range r.Findings {
		b.WriteString(finding.String() + "\n")
	}
	if r.Omitted > 0 {
		_, _ = fmt.Fprintf(&b, "... and %d more\n", r.Omitted)
	}
	verdict := "sound"
	if !r.Sound {
		verdict = "NOT SOUND"
	}
	_, _ = fmt.Fprintf(&b, "%s: %s, %s of %s, %s; log: %s, %s, %s; %s, %s, %s\n", verdict,
		count(r.Tables, "table"), count(r.Rows, "row"), sizeText(r.Bytes), count(r.Keys, "key"),
		count(r.Segments, "segment"), count(r.Records, "record"), count(r.Ops, "operation"),
		count(r.Errors, "error"), count(r.Warnings, "warning"), count(r.Notes, "note"))
	if !r.Sound {
		_, _ = fmt.Fprintf(&b, "what still verifies can be saved: tskv check %s --salvage NEWDIR\n", dir)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// count is a number with its noun.
func count[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sizeText is a size for people.
func sizeText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, prefix := float64(n), -1
	for ; size >= unit && prefix < 4; prefix++ {
		size /= unit
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTP"[prefix])
}

// printJSON writes one object on one line.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// exitCode prints why the command failed and returns its exit code.
func exitCode(err error, errOut io.Writer) int {
	if err == nil {
		return 0
	}
	code := 1
	var exit *exitError
	if errors.As(err, &exit) {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	if !errors.Is(err, errReply) { // which was printed as the reply
		_, _ = fmt.Fprintln(errOut, "tskv:", err)
	}
	return code
}
