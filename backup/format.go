package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tskv/disk"
)

// A repository is a directory:
//
//	REPOSITORY                                 says that it is one, and of which format
//	LOCK                                       held by the process that works in it
//	backups/ID/backup.json                     description of a backup, see Backup
//	backups/ID/MANIFEST                        the manifest of the checkpoint it was made of
//	sst/DATABASE-FILE-FOOTERCRC-SIZE.sst       tables of all backups
//	wal/DATABASE-SEGMENT.wal                   log segments, for positions between backups
//	wal/DATABASE-SEGMENT.json                  description of the segment, see Segment
//	*.tmp                                      unfinished; removed by the next backup
//
// Numbers in names are hexadecimal, 16 digits (the checksum 8, the size as it
// is). DATABASE is the ID that a store draws when it is made or restored, so two
// histories never share a name. An ID of a backup is the time at which it was
// made, in UTC.
//
// A description is JSON with a checksum: CRC32C of the whole file as if the eight
// hexadecimal digits of the checksum were zeros. A reader refuses a higher
// format (ErrVersion) and takes a checksum that does not fit for damage. A file
// counts only once its description is there: the description of a segment is
// written after the segment, backups/ID gets its name as the last step of all.
const (
	formatVersion = 1

	markerName  = "REPOSITORY"
	markerText  = "tskv backup repository\nformat %d\n"
	backupDir   = "backups"
	description = "backup.json"
	tableDir    = disk.TableDir
	logDir      = disk.SegmentDir

	// idLayout gives IDs that sort by time.
	idLayout = "20060102T150405.000Z"

	zeroSum = "00000000"

	// maxDescription bounds a description, and so what a damaged one can claim:
	// two million tables of 150 bytes.
	maxDescription = 300 << 20
)

// Backup describes one backup.
type Backup struct {
	Checksum   string    `json:"checksum"`
	Format     int       `json:"format"`
	ID         string    `json:"id"`
	Time       time.Time `json:"time"` // of the end of the checkpoint
	Tool       string    `json:"tool"` // version of the program that made it
	Database   string    `json:"database"`
	Position   uint64    `json:"position"`    // sequence of the last write in it
	MinSegment uint64    `json:"min_segment"` // the log goes on from here
	Keys       uint64    `json:"keys"`
	Bytes      int64     `json:"bytes"` // of its tables
	Damaged    []string  `json:"damaged,omitempty"`
	Tables     []Table   `json:"tables"`
}

// Table is one table of a backup.
type Table struct {
	File      uint64 `json:"file"`
	Size      int64  `json:"size"`
	FooterCRC string `json:"footer_crc"`
	CRC       string `json:"crc"` // of the whole file
}

// Segment describes one segment of the log.
type Segment struct {
	Checksum string `json:"checksum"`
	Format   int    `json:"format"`
	Database string `json:"database"`
	Number   uint64 `json:"number"`
	Prev     uint64 `json:"prev"`  // the segment before; 0 = none
	First    uint64 `json:"first"` // sequences: no record has a lower one
	Last     uint64 `json:"last"`  // nor a higher one: the next segment begins after it
	Size     int64  `json:"size"`
	CRC      string `json:"crc"`
}

func hex64(n uint64) string { return fmt.Sprintf("%016x", n) }

func hex32(n uint32) string { return fmt.Sprintf("%08x", n) }

// pool is the name of a table in the repository.
func (t *Table) pool(database string) string {
	return fmt.Sprintf("%s/%s-%016x-%s-%d.sst", tableDir, database, t.File, t.FooterCRC, t.Size)
}

func (s *Segment) name() string { return segmentName(s.Database, s.Number) }

func segmentName(database string, no uint64) string {
	return fmt.Sprintf("%s/%s-%016x.wal", logDir, database, no)
}

func segmentDescription(database string, no uint64) string {
	return fmt.Sprintf("%s/%s-%016x.json", logDir, database, no)
}

// encode makes a description; sum points to the checksum in v.
func encode(v any, sum *string) ([]byte, error) {
	*sum = zeroSum
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	at := bytes.Index(data, []byte(zeroSum)) // the first field
	*sum = hex32(disk.CRC(0, data))
	copy(data[at:], *sum)
	return data, nil
}

// decode reads a description of at most maxDescription bytes into v, which has
// the checksum and the format as sum and format.
func decode(fsys disk.FS, name string, v any, sum *string, format *int) error {
	data, err := disk.ReadFile(fsys, name, maxDescription)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return disk.Corrupt(name, 0, "%v", err)
	}
	if *format > formatVersion {
		return fmt.Errorf("%s: %w: format %d, this build reads up to %d", name, ErrVersion, *format, formatVersion)
	}
	at := bytes.Index(data, []byte(`"`+*sum+`"`))
	if len(*sum) != len(zeroSum) || at < 0 || *format < 1 {
		return disk.Corrupt(name, 0, "no checksum or format")
	}
	copy(data[at+1:], zeroSum)
	if hex32(disk.CRC(0, data)) != *sum {
		return disk.Corrupt(name, 0, "checksum")
	}
	return nil
}

// check says what in a description cannot be.
func (b *Backup) check(id string) error {
	if b.ID != id || !isHex(b.Database, 16) {
		return fmt.Errorf("it says that it is backup %q of database %q", b.ID, b.Database)
	}
	for i := range b.Tables {
		t := &b.Tables[i]
		if t.File == 0 || t.Size <= 0 || !isHex(t.FooterCRC, 8) || !isHex(t.CRC, 8) {
			return fmt.Errorf("table %d of %d bytes", t.File, t.Size)
		}
	}
	return nil
}

func (s *Segment) check(database string, no uint64) error {
	if s.Database != database || s.Number != no || s.Size <= 0 || s.Last < s.First-1 || s.Prev >= s.Number || !isHex(s.CRC, 8) {
		return fmt.Errorf("segment %d of database %s", s.Number, s.Database)
	}
	return nil
}

// isHex reports whether s is a number as hex64 and hex32 write it.
func isHex(s string, digits int) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	return err == nil && len(s) == digits && fmt.Sprintf("%0*x", digits, n) == s
}
