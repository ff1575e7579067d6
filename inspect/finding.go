package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"tskv/disk"
	"tskv/manifest"
	"tskv/sstable"
	"tskv/wal"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // something is not as it was written
	SeverityWarning Severity = "warning" // worth a look; the data may be as it should
	SeverityNote    Severity = "note"    // what a crash may leave; nothing to do
)

// rank orders findings for the report.
func (s Severity) rank() int {
	return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityNote}, s)
}

// Finding is one thing that Check has found.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`   // relative to the store
	Offset   int64    `json:"offset"` // in the file, bytes; -1 if there is no single place
	What     string   `json:"what"`   // one line of printable text
}

// String is the finding as one line.
func (f Finding) String() string {
	offset := "-"
	if f.Offset >= 0 {
		offset = fmt.Sprint(f.Offset)
	}
	return fmt.Sprintf("%-7s %s %s %s", f.Severity, f.File, offset, f.What)
}

var (
	// ErrInUse is returned when a process has the store open.
	ErrInUse = errors.New("the store is in use")
	// ErrNoStore is returned for a directory without any file of tskv.
	ErrNoStore = errors.New("not a tskv store")
	// ErrVersion is returned when a file is of a newer format than this build
	// reads. The file is not damaged: use the newer tskv.
	ErrVersion = errors.New("written by a newer version of tskv")
)

// isVersion reports whether an error says that a file is of a newer format.
func isVersion(err error) bool {
	return errors.Is(err, manifest.ErrVersion) || errors.Is(err, sstable.ErrVersion) || errors.Is(err, wal.ErrVersion)
}

// maxFindings is how many findings of a severity are kept; the rest is counted.
const maxFindings = 10_000

// findings collects from many goroutines.
type findings struct {
	mu      sync.Mutex
	list    []Finding
	counts  map[Severity]uint64
	dropped uint64
	version error // the first file of a newer format
}

func (f *findings) add(severity Severity, file string, offset int64, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[Severity]uint64)
	}
	if f.counts[severity]++; f.counts[severity] > maxFindings {
		f.dropped++
		return
	}
	f.list = append(f.list, Finding{severity, file, max(offset, -1), printable(fmt.Sprintf(format, args...))})
}

// failure adds what an error says about a file.
func (f *findings) failure(file string, err error) {
	if isVersion(err) {
		f.mu.Lock()
		if f.version == nil {
			f.version = err
		}
		f.mu.Unlock()
	}
	var corrupt *disk.CorruptError
	if errors.As(err, &corrupt) {
		f.add(SeverityError, cmp.Or(corrupt.File, file), corrupt.Offset, "%s", corrupt.Reason)
		return
	}
	f.add(SeverityError, file, -1, "%v", err)
}

// sorted returns the findings: errors first, then by place.
func (f *findings) sorted() []Finding {
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset))
	})
	return slices.Compact(f.list)
}

// printable keeps a line a line: what is no printable text is escaped.
func printable(s string) string {
	clean := true
	for _, r := range s {
		clean = clean && r >= ' ' && r != 0x7f && r != '\ufffd'
	}
	if clean {
		return s
	}
	return strings.Trim(fmt.Sprintf("%+q", s), `"`)
}
