package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"tskv/disk"
	"tskv/manifest"
	"tskv/sstable"
)

// Damage is one file that is not what was written.
type Damage struct {
	File string // relative to the data directory
	Err  error
}

// Verified is what Verify has read and found.
type Verified struct {
	Files   int    // tables read, damaged ones included
	Bytes   int64  // of sound tables
	Rows    uint64 // in sound tables, catalog rows and deletes included
	Broken  int    // damaged files
	Damaged []Damage
}

// maxDamages bounds the list of damaged files of one Verify.
const maxDamages = 100

// ErrVerifying is returned by Verify while another one runs.
var ErrVerifying = errors.New("a verification is running already")

// Verify reads the manifest and all live tables, or with a key those that may
// hold records of it, and checks every checksum in them and that their parts
// agree. It stops nothing, takes at most half of one processor and yields to
// flushes. Tables that a merge drops meanwhile are left out. Damage is in the
// result; an error means that the work could not be done: ErrVerifying, the
// context's error, ErrClosed. Any goroutine.
//
// Like every reader it reads through the page cache: what lies in memory is
// checked there, not on the medium.
func (db *DB) Verify(ctx context.Context, key []byte) (Verified, error) {
	if key != nil {
		if err := checkKey(key); err != nil {
			return Verified{}, err
		}
	}
	if !db.verifyMu.TryLock() {
		return Verified{}, ErrVerifying
	}
	defer db.verifyMu.Unlock()
	if db.closed.Load() {
		return Verified{}, ErrClosed
	}
	v := verification{db: db, ctx: ctx}
	v.pace.rested = time.Now()
	if _, err := manifest.Load(db.fs); err != nil && !v.note(disk.ManifestName, err) {
		return v.found, fmt.Errorf("verify: %w", err)
	}
	for _, f := range db.filesOf(key) {
		if err := v.table(f); err != nil {
			return v.found, fmt.Errorf("verify: %w", err)
		}
	}
	return v.found, nil
}

// filesOf returns the live files that may hold a key, all for no key.
func (db *DB) filesOf(key []byte) []manifest.File {
	v := db.acquire()
	if v == nil {
		return nil
	}
	defer v.release()
	data, catalog := internalKey(nil, spaceData, key), internalKey(nil, spaceCatalog, key)
	var files []manifest.File
	for _, t := range v.tables() {
		if key == nil || t.mayHold(data) || t.mayHold(catalog) {
			files = append(files, t.file)
		}
	}
	return files
}

// mayHold reports whether a table has rows of a key; true also if that cannot be
// told.
func (t *table) mayHold(key []byte) bool {
	hash := sstable.KeyHash(key)
	if !t.MayContain(&hash) {
		return false
	}
	_, found, err := t.SeriesStats(key)
	return found || err != nil
}

type verification struct {
	db    *DB
	ctx   context.Context
	pace  pace
	found Verified
}

// table checks one file by a reader of its own, so that nothing that the others
// know of it hides what is on disk.
func (v *verification) table(f manifest.File) error {
	name := disk.TableName(f.ID)
	r, err := sstable.Open(&pacedFS{FS: v.db.fs, v: v},
		sstable.Expect{FileID: f.ID, Size: f.Size, FooterCRC: f.FooterCRC}, sstable.ReaderOptions{NoMmap: true})
	if err == nil {
		err = errors.Join(r.Verify(), r.Close())
	}
	if err != nil && !v.db.isLive(f.ID) {
		return v.ctx.Err() // dropped meanwhile
	}
	if err != nil {
		if !v.note(name, err) {
			return err
		}
		v.found.Files++
		return nil
	}
	v.found.Files++
	v.found.Bytes += f.Size
	v.found.Rows += f.Rows
	return nil
}

// isLive reports whether a table is in the current version.
func (db *DB) isLive(id uint64) bool {
	for _, f := range db.state.Load().Files {
		if f.ID == id {
			return true
		}
	}
	return false
}

// note puts damage on the list; false for errors that are none.
func (v *verification) note(file string, err error) bool {
	damage := errors.Is(err, disk.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
	if !damage || v.ctx.Err() != nil || v.db.isStopping() {
		return false
	}
	v.found.Broken++
	if len(v.found.Damaged) < maxDamages {
		v.found.Damaged = append(v.found.Damaged, Damage{File: file, Err: err})
	}
	v.db.metrics.CorruptReads.Inc()
	v.db.log.Error("damaged file", "file", file, "error", err)
	return true
}

// pace lets work rest for as long as it has run.
type pace struct {
	left   int64 // bytes until the next rest
	rested time.Time
}

const (
	// paceBytes lie between two rests: some milliseconds of work.
	paceBytes = 1 << 20
	// maxRest ends a rest after work that waited itself, for a slow disk.
	maxRest = 100 * time.Millisecond
)

// wait is called before each read.
func (v *verification) wait(n int) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	if v.db.isStopping() {
		return ErrClosed
	}
	if v.pace.left -= int64(n); v.pace.left > 0 {
		return nil
	}
	v.pace.left = paceBytes
	rest := time.NewTimer(min(time.Since(v.pace.rested), maxRest))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-v.ctx.Done():
		return v.ctx.Err()
	case <-v.db.stopping:
		return ErrClosed
	}
	err := v.db.pace(0) // lets a flush go first
	v.pace.rested = time.Now()
	return err
}

// pacedFS is the disk as a verification reads it.
type pacedFS struct {
	disk.FS
	v *verification
}

// Open implements disk.FS.
func (p *pacedFS) Open(name string) (disk.File, error) {
	f, err := p.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &pacedFile{File: f, v: p.v}, nil
}

type pacedFile struct {
	disk.File
	v *verification
}

// ReadAt implements disk.File.
func (p *pacedFile) ReadAt(b []byte, off int64) (int, error) {
	if err := p.v.wait(len(b)); err != nil {
		return 0, err
	}
	return p.File.ReadAt(b, off)
}
