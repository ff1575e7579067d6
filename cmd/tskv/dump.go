package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"tskv/disk"
	"tskv/inspect"
)

// dumpFlags are the command lines of tskv dump.
type dumpFlags struct {
	json, ops, beyond, rows bool
}

func newDump() *cobra.Command {
	f := &dumpFlags{}
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "show what is in the files of a store",
		Long: `dump shows the files of a store for people, or with --json as one JSON object per
line. Keys and values are shown as ASCII, other bytes escaped. It changes nothing
and takes no lock: beside a running server the end of the log may look unfinished,
and files may go away. A damaged file is shown as far as it verifies; then the exit
code is 1.`,
		Example: `  tskv dump manifest data
  tskv dump wal data --ops | less
  tskv dump sst data/sst/000000000000002a.sst`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("unknown kind of file %q: use manifest, sst or wal", args[0])
		},
	}
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print one JSON object per line")
	cmd.AddCommand(newDumpLog(f), newDumpTable(f), newDumpManifest(f))
	return cmd
}

func newDumpLog(f *dumpFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wal FILE|DIR",
		Short: "show the log of a store, or one segment of it",
		Long: `wal shows each segment and each record of the log: offset, first sequence, number
of operations, bytes stored and unpacked, and how far the segment was durable when
the record was written.`,
		Example: `  tskv dump wal data
  tskv dump wal data --json --ops | jq 'select(.type == "op" and .op == "delete-range")'
  tskv dump wal data/wal/0000000000000006.wal --beyond-damage`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys, name, err := openPath(args[0], disk.SegmentDir)
			if err == nil && name == "" {
				if _, missing := fsys.List(disk.SegmentDir); missing != nil {
					err = fmt.Errorf("%s: not a tskv store: %w", args[0], missing)
				}
			}
			if err != nil {
				return err
			}
			return f.dump(cmd.OutOrStdout(), func(emit inspect.Emit) (bool, error) {
				return inspect.DumpLog(fsys, inspect.DumpLogOptions{File: name, Ops: f.ops, Beyond: f.beyond}, emit)
			})
		},
	}
	cmd.Flags().BoolVar(&f.ops, "ops", false, "show every operation")
	cmd.Flags().BoolVar(&f.beyond, "beyond-damage", false, "go on behind damage; keys that were first written in a damaged record are lost")
	return cmd
}

func newDumpTable(f *dumpFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sst FILE",
		Short: "show a table file",
		Long: `sst shows what a table says of itself, and of each block its kind, rows, times and
the encoding and bytes of each column.`,
		Example: `  tskv dump sst data/sst/000000000000002a.sst
  tskv dump sst data/sst/000000000000002a.sst --rows --json | jq 'select(.type == "row")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys, name, err := openPath(args[0], disk.TableDir)
			if err == nil && name == "" {
				err = fmt.Errorf("%s is a directory: give one of its files in %s", args[0], disk.TableDir)
			}
			if err != nil {
				return err
			}
			return f.dump(cmd.OutOrStdout(), func(emit inspect.Emit) (bool, error) {
				return inspect.DumpTable(fsys, name, f.rows, emit)
			})
		},
	}
	cmd.Flags().BoolVar(&f.rows, "rows", false, "show every row")
	return cmd
}

func newDumpManifest(f *dumpFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "manifest FILE|DIR",
		Short: "show the manifest of a store",
		Long: `manifest shows the numbers of the manifest, the live files by class and window, the
range deletes and the retention rules.`,
		Example: `  tskv dump manifest data
  tskv dump manifest data/MANIFEST.prev --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys, name, err := openPath(args[0], "")
			if err != nil {
				return err
			}
			if name == "" {
				name = disk.ManifestName
			}
			return f.dump(cmd.OutOrStdout(), func(emit inspect.Emit) (bool, error) {
				return false, inspect.DumpManifest(fsys, name, emit)
			})
		},
	}
}

// openPath opens the directory of a store, or for a file the one that holds it:
// the store's if the file lies in its directory dir. The name is empty for a
// directory.
func openPath(file, dir string) (fsys disk.FS, name string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, "", err
	}
	if info.IsDir() {
		fsys, err = disk.NewReadOnly(file)
		return fsys, "", err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, "", err
	}
	root, name := filepath.Dir(file), filepath.Base(file)
	if dir != "" && filepath.Base(root) == dir {
		root, name = filepath.Dir(root), path.Join(dir, name)
	}
	fsys, err = disk.NewReadOnly(root)
	return fsys, name, err
}

// errDamaged says that a dump has met damage, and has shown where.
var errDamaged = errors.New("damaged: see the lines that say DAMAGE")

func (f *dumpFlags) dump(out io.Writer, run func(inspect.Emit) (bool, error)) error {
	w := bufio.NewWriterSize(out, 64<<10)
	damaged, err := run(func(v fmt.Stringer) error {
		if f.json {
			return printJSON(w, v)
		}
		_, err := fmt.Fprintln(w, v)
		return err
	})
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	if err == nil && damaged {
		err = errDamaged
	}
	return err
}
