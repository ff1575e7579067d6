package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"tskv/disk"
	"tskv/manifest"
)

// Checkpoint is a copy of the store as it was at one position, made of hard
// links: it takes no room of its own until the store merges or drops the files.
type Checkpoint struct {
	Dir      string // absolute path of the operating system; empty on a disk in memory
	Database uint64 // ID of the database that it was taken of; its own is another one
	Position uint64 // sequence of the last write that is in it
	Files    int    // table files
	Bytes    int64  // of them
}

// maxCheckpointName bounds the name of a checkpoint, bytes.
const maxCheckpointName = 100

// errBadCheckpoint is wrapped for names that no checkpoint can have.
var errBadCheckpoint = errors.New("use a name of letters, digits and . _ - that does not begin with a dot nor end in " +
	disk.TempSuffix + ", or an absolute path outside the data directory")

// Checkpoint makes a directory that can be opened as a store of its own and holds
// everything acknowledged before the call, and all of the store up to one
// position. Reads and writes go on meanwhile. dst is a name, for a directory
// below checkpoints/ in the data directory, or an absolute path on the same file
// system, which nobody may have (fs.ErrExist). After an error, or a crash at any
// moment, there is no such directory. Any goroutine.
func (db *DB) Checkpoint(ctx context.Context, dst string) (Checkpoint, error) {
	name, err := checkpointName(dst)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint %q: %w", dst, err)
	}
	if err := db.Flush(); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	if db.closed.Load() {
		return Checkpoint{}, ErrClosed
	}
	// Whoever backs the checkpoint up finds the log before it in the archive.
	db.releaseLog(db.state.Load().MinSegment)
	c, err := db.checkpoint(ctx, name, dst)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint %s: %w", dst, err)
	}
	db.metrics.Checkpoints.Inc()
	db.log.Info("checkpoint", "directory", c.Dir, "position", c.Position, "files", c.Files, "bytes", c.Bytes)
	return c, nil
}

// checkpointName is the name under which a checkpoint is made: its last one,
// unless it goes outside.
func checkpointName(dst string) (string, error) {
	name := dst
	if filepath.IsAbs(dst) {
		name = filepath.Base(filepath.Clean(dst))
	}
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	if name == "" || len(name) > maxCheckpointName || name[0] == '.' || strings.HasSuffix(name, disk.TempSuffix) || !plain {
		return "", errBadCheckpoint
	}
	return name, nil
}

// checkpoint works in a directory of a temporary name, which the last rename
// makes whole. checkpointMu is held.
func (db *DB) checkpoint(ctx context.Context, name, dst string) (Checkpoint, error) {
	final := path.Join(disk.CheckpointDir, name)
	temp := final + disk.TempSuffix
	outside := filepath.IsAbs(dst)
	if _, err := db.fs.List(final); !outside && err == nil {
		return Checkpoint{}, fs.ErrExist
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, err
	}
	if err := disk.RemoveTree(db.fs, temp); err != nil {
		return Checkpoint{}, err
	}
	// From here on no file loses its name. The state is loaded after that, so it
	// names none that has lost it before.
	db.doomed.hold()
	defer db.doomed.letGo(db)
	c, err := db.fillCheckpoint(ctx, temp)
	if err == nil && outside {
		c.Dir, err = filepath.Clean(dst), db.fs.MoveOut(temp, dst)
	} else if err == nil {
		err = errors.Join(db.fs.Rename(temp, final), db.fs.SyncDir(disk.CheckpointDir))
		if db.dir != "" {
			c.Dir = filepath.Join(db.dir, filepath.FromSlash(final))
		}
	}
	if err != nil {
		if left := disk.RemoveTree(db.fs, temp); left != nil {
			db.log.Warn("remove unfinished checkpoint", "error", left) // the next start removes it
		}
		return Checkpoint{}, err
	}
	return c, nil
}

// fillCheckpoint makes all that a checkpoint holds, durably.
func (db *DB) fillCheckpoint(ctx context.Context, dir string) (Checkpoint, error) {
	state := *db.state.Load()
	c := Checkpoint{Database: state.DBID, Position: state.FlushedSeq, Files: len(state.Files)}
	tables := path.Join(dir, disk.TableDir)
	for _, sub := range []string{tables, path.Join(dir, disk.SegmentDir)} {
		if err := db.fs.MkdirAll(sub); err != nil {
			return c, err
		}
	}
	for _, f := range state.Files {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		name := disk.TableName(f.ID)
		if err := db.fs.Link(name, path.Join(dir, name)); err != nil {
			return c, err
		}
		c.Bytes += f.Size
	}
	if err := db.fs.SyncDir(tables); err != nil {
		return c, err
	}
	state.DBID = newDatabaseID() // what is written to it is another history
	return c, manifest.Store(disk.Sub(db.fs, dir), &state)
}

// newDatabaseID draws an ID that seeds the checksums of a log.
func newDatabaseID() uint64 {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return binary.LittleEndian.Uint64(id[:])
}

// RemoveCheckpoint removes a checkpoint below the data directory;
// fs.ErrNotExist if there is none of that name. Any goroutine.
func (db *DB) RemoveCheckpoint(name string) error {
	if _, err := checkpointName(name); err != nil || filepath.IsAbs(name) {
		return fmt.Errorf("remove checkpoint %q: %w", name, errBadCheckpoint)
	}
	db.checkpointMu.Lock()
	defer db.checkpointMu.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	final := path.Join(disk.CheckpointDir, name)
	temp := final + disk.TempSuffix
	err := disk.RemoveTree(db.fs, temp)
	if err == nil {
		err = db.fs.Rename(final, temp) // half of a checkpoint must not look like one
	}
	if err == nil {
		err = disk.RemoveTree(db.fs, temp)
	}
	if err != nil {
		return fmt.Errorf("remove checkpoint %s: %w", name, err)
	}
	return nil
}

// Checkpoints returns the names of the checkpoints below the data directory.
func (db *DB) Checkpoints() ([]string, error) {
	names, err := db.fs.List(disk.CheckpointDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	var whole []string
	for _, name := range names {
		if !strings.HasSuffix(name, disk.TempSuffix) {
			whole = append(whole, name)
		}
	}
	return whole, nil
}

// removeUnfinished removes what a crash left of checkpoints.
func (db *DB) removeUnfinished() error {
	names, err := db.fs.List(disk.CheckpointDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, disk.TempSuffix) {
			continue
		}
		if err := disk.RemoveTree(db.fs, path.Join(disk.CheckpointDir, name)); err != nil {
			return err
		}
		db.log.Info("removed an unfinished checkpoint", "name", name)
	}
	return nil
}

// doomed are dead files that keep their names while a checkpoint is being made.
type doomed struct {
	mu    sync.Mutex
	holds int
	files []uint64
}

func (d *doomed) hold() {
	d.mu.Lock()
	d.holds++
	d.mu.Unlock()
}

// keep reports whether a dead file has to keep its name for now.
func (d *doomed) keep(id uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds > 0 {
		d.files = append(d.files, id)
	}
	return d.holds > 0
}

// letGo ends a hold; the last one removes what waited.
func (d *doomed) letGo(db *DB) {
	d.mu.Lock()
	d.holds--
	var files []uint64
	if d.holds == 0 {
		files, d.files = d.files, nil
	}
	d.mu.Unlock()
	for _, id := range files {
		db.removeTable(id)
	}
}
