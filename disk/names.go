package disk

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Names of the files and directories of a database, relative to its root.
const (
	SegmentDir       = "wal"           // directory of the log's segments
	TableDir         = "sst"           // directory of the SSTables
	ManifestName     = "MANIFEST"      // which files are live
	PrevManifestName = "MANIFEST.prev" // the manifest before that
	LockName         = "LOCK"          // held while a process has the database open
	ReserveName      = "RESERVE"       // room that is given back when the disk is full
	CheckpointDir    = "checkpoints"   // directory of checkpoints, each a directory that can be opened
	ArchiveDir       = "archive"       // directory of log segments that only a backup needs
	TempSuffix       = ".tmp"          // end of every name that recovery may remove
)

const (
	segmentSuffix = ".wal"
	tableSuffix   = ".sst"
	digits        = 16 // hexadecimal digits of a number in a name
)

// NameKind says what a file is, judged by its name alone.
type NameKind uint8

// The kinds of names. The zero kind belongs to a name that tskv does not give.
const (
	KindUnknown      NameKind = iota
	KindSegment               // a segment of the log; its number is in the name
	KindTable                 // an SSTable; its ID is in the name
	KindManifest              // ManifestName
	KindPrevManifest          // PrevManifestName
	KindLock                  // LockName
	KindTemp                  // unfinished work of a process that may be dead
	KindReserve               // ReserveName; it holds no data
)

// SegmentName is the name of a segment of the log.
func SegmentName(no uint64) string {
	return fmt.Sprintf(SegmentDir+"/%0*x"+segmentSuffix, digits, no)
}

// ArchivedName is the name of a segment in the archive.
func ArchivedName(no uint64) string {
	return fmt.Sprintf(ArchiveDir+"/%0*x"+segmentSuffix, digits, no)
}

// ParseArchived is the inverse of ArchivedName.
func ParseArchived(name string) (no uint64, ok bool) {
	return parseNumbered(name, ArchiveDir+"/", segmentSuffix)
}

// TableName is the name of an SSTable.
func TableName(id uint64) string { return fmt.Sprintf(TableDir+"/%0*x"+tableSuffix, digits, id) }

// ParseName is the inverse of SegmentName and TableName for a name with its
// directory ("wal/…", as path.Join makes from a List). It accepts only the
// exact spelling that those give, so a name and a number are one to one; ok is
// false, and the kind KindUnknown, for every name that is not tskv's.
func ParseName(name string) (kind NameKind, no uint64, ok bool) {
	if strings.HasSuffix(name, TempSuffix) {
		return KindTemp, 0, true
	}
	switch name {
	case ManifestName:
		return KindManifest, 0, true
	case PrevManifestName:
		return KindPrevManifest, 0, true
	case LockName:
		return KindLock, 0, true
	case ReserveName:
		return KindReserve, 0, true
	}
	if no, ok = parseNumbered(name, SegmentDir+"/", segmentSuffix); ok {
		return KindSegment, no, true
	}
	if no, ok = parseNumbered(name, TableDir+"/", tableSuffix); ok {
		return KindTable, no, true
	}
	return KindUnknown, 0, false
}

// parseNumbered reads prefix, exactly 16 lower-case hexadecimal digits, suffix.
func parseNumbered(name, prefix, suffix string) (uint64, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	if !ok || len(rest) != digits || strings.Trim(rest, "0123456789abcdef") != "" {
		return 0, false
	}
	no, err := strconv.ParseUint(rest, 16, 64)
	return no, err == nil
}

// CheckName returns a *fs.PathError that wraps ErrName unless name is a clean
// relative path of at least one element inside the root. Every implementation
// of FS calls it on the names of files.
func CheckName(op, name string) error {
	if name == "." || !fs.ValidPath(name) || strings.IndexByte(name, 0) >= 0 {
		return &fs.PathError{Op: op, Path: name, Err: ErrName}
	}
	return nil
}

// CheckDir is CheckName for directories, where "." and "" mean the root. It
// returns the name to use.
func CheckDir(op, dir string) (string, error) {
	if dir == "" || dir == "." {
		return ".", nil
	}
	return dir, CheckName(op, dir)
}
