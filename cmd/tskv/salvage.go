package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"tskv/disk"
	"tskv/engine"
	"tskv/inspect"
)

// salvage makes a new store in newDir of what verifies in dir. It is made beside
// under a temporary name, so newDir is there as a whole or not at all.
func (f *checkFlags) salvageTo(dir, newDir string, out, errOut io.Writer) error {
	raiseFileLimit()
	report, err := f.salvage(dir, newDir, errOut)
	if err != nil {
		return &exitError{exitNotPossible, fmt.Errorf("%s: %w", dir, err)}
	}
	if err := f.printSalvage(out, dir, newDir, report); err != nil {
		return &exitError{exitNotPossible, err}
	}
	if !report.Complete {
		return &exitError{exitProblems, nil}
	}
	return nil
}

func (f *checkFlags) salvage(dir, newDir string, errOut io.Writer) (report *inspect.SalvageReport, err error) {
	from, err := disk.NewReadOnly(dir)
	if err != nil {
		return nil, err
	}
	temp, err := newPlace(dir, newDir)
	if err != nil {
		return nil, err
	}
	to, err := disk.NewOS(temp)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp)) // it was made here, and is worth nothing
		}
	}()
	bar := newProgress(errOut, "salvaging")
	defer bar.end()
	report, err = inspect.Salvage(from, to, inspect.SalvageOptions{
		Progress: bar.report, KeepOlder: f.keepOlder,
		Replay: func(fsys disk.FS) error {
			db, err := engine.Open(temp, engine.Options{FS: fsys, MinFreeBytes: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return err
			}
			return db.Close()
		},
	})
	if err != nil {
		return nil, err
	}
	parent, err := disk.NewOS(filepath.Dir(temp))
	if err != nil {
		return nil, err
	}
	if err := parent.Rename(filepath.Base(temp), filepath.Base(newDir)); err != nil {
		return nil, err
	}
	return report, parent.SyncDir(".")
}

// newPlace checks that a store can be made in newDir and returns the name under
// which it is made.
func newPlace(dir, newDir string) (temp string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if newDir, err = filepath.Abs(newDir); err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(dir, newDir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("%s is inside the damaged store", newDir)
	}
	temp = newDir + disk.TempSuffix
	for _, path := range []string{newDir, temp} {
		if _, err := os.Lstat(path); err == nil {
			return "", fmt.Errorf("%s is there already: give a new name, or remove it", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return temp, nil
}

func (f *checkFlags) printSalvage(out io.Writer, dir, newDir string, r *inspect.SalvageReport) error {
	if f.json {
		return printJSON(out, struct {
			Dir    string `json:"dir"`
			NewDir string `json:"new_dir"`
			*inspect.SalvageReport
		}{dir, newDir, r})
	}
	var b strings.Builder
	for i := range r.Losses {
		b.WriteString(r.Losses[i].String() + "\n")
	}
	if r.Omitted > 0 {
		_, _ = fmt.Fprintf(&b, "... and %d more\n", r.Omitted)
	}
	verdict := "nothing is lost"
	if !r.Complete {
		verdict = "SOMETHING IS LOST"
	}
	_, _ = fmt.Fprintf(&b, "%s: %s has %s, %s; %s copied, %s written, %s from the log; %s left out, %s got a new catalog entry\n",
		verdict, newDir, count(r.Keys, "key"), count(r.Rows, "row"), count(r.Copied, "table"), count(r.Written, "table"),
		count(r.LogOps, "operation"), count(r.Older, "older version"), count(r.Reborn, "key"))
	_, err := io.WriteString(out, b.String())
	return err
}
