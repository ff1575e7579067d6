package manifest

import (
	"encoding/binary"
	"fmt"

	"tskv/disk"
	"tskv/kv"
)

// The layout of MANIFEST, version 2. All numbers are little-endian; crc is
// CRC32C.
//
//	  0  head        16 B  magic "TSKVMANI" | version u32 | crc u32 over the 12 bytes before
//	 16  numbers     80 B  length u64 (of the whole file)
//	                       generation u64 | dbID u64 | nextFile u64
//	                       flushedSeq u64 | minSegment u64 | keys u64 | expires u64
//	                       files u32 | tombstones u32 | rules u32
//	                       unit u8 | flags u8 (bit 0: clean) | zero u16
//	 96  files       96 B + keys, each:
//	                       id u64 | size u64
//	                       class u8 | tier u8 | zero u16 | footerCRC u32
//	                       window i64 | minSeq u64 | maxSeq u64 | minTime u64 | maxTime u64
//	                       rows u64 | deletes u64 | series u64
//	                       minKeyLen u32 | maxKeyLen u32 | minKey | maxKey
//	  …  tombstones  48 B + key, each:
//	                       seq u64 | from time u64, seq u64 | to time u64, seq u64
//	                       keyLen u32 | flags u8 (bit 0: prefix) | zero u24 | key
//	  …  rules       32 B + pattern, each:
//	                       age u64 (ms) | bytes u64 | records u64
//	                       patternLen u32 | flags u8 (bit 0: prefix) | zero u24 | pattern
//	end  crc          4 B  over everything before
//
// Version 1 has no expires, which counts as 0; what follows is 8 bytes earlier.
// It is read, and never written.
//
// Every version keeps the head, so that a reader can tell "newer" from
// "damaged": a sound head with a higher version is ErrVersion, whatever
// follows it. Anything else that does not fit, a single zero byte that is not
// zero included, is corruption: there is no torn tail, the file is replaced by
// rename as a whole.
const (
	magic   = "TSKVMANI"
	version = 2

	headLen      = 16
	fixedLen     = headLen + 80
	fixedLenV1   = headLen + 72
	fileLen      = 96
	tombstoneLen = 48
	ruleLen      = 32
	crcLen       = 4

	// maxBytes bounds the file, and so the memory that a damaged length can
	// claim: two million files of 120 bytes.
	maxBytes = 256 << 20
)

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendState appends s in the layout above.
func appendState(dst []byte, s *State) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, magic...)
	dst = le.AppendUint32(dst, version)
	dst = le.AppendUint32(dst, disk.CRC(0, dst[start:]))
	for _, n := range []uint64{0, s.Generation, s.DBID, s.NextFile, s.FlushedSeq, s.MinSegment, s.Keys, s.Expires} {
		dst = le.AppendUint64(dst, n)
	}
	dst = le.AppendUint32(dst, uint32(len(s.Files)))
	dst = le.AppendUint32(dst, uint32(len(s.Tombstones)))
	dst = le.AppendUint32(dst, uint32(len(s.Retention)))
	dst = append(dst, s.Unit, bit(s.Clean), 0, 0)
	for i := range s.Files {
		dst = appendFile(dst, &s.Files[i])
	}
	for i := range s.Tombstones {
		t := &s.Tombstones[i]
		for _, n := range [...]uint64{t.Seq, t.From.Time, t.From.Seq, t.To.Time, t.To.Seq} {
			dst = le.AppendUint64(dst, n)
		}
		dst = le.AppendUint32(dst, uint32(len(t.Key)))
		dst = append(dst, bit(t.Prefix), 0, 0, 0)
		dst = append(dst, t.Key...)
	}
	for i := range s.Retention {
		r := &s.Retention[i]
		for _, n := range [...]uint64{r.AgeMS, r.Bytes, r.Records} {
			dst = le.AppendUint64(dst, n)
		}
		dst = le.AppendUint32(dst, uint32(len(r.Pattern)))
		dst = append(dst, bit(r.Prefix), 0, 0, 0)
		dst = append(dst, r.Pattern...)
	}
	le.PutUint64(dst[start+headLen:], uint64(len(dst)-start+crcLen))
	return le.AppendUint32(dst, disk.CRC(0, dst[start:]))
}

func appendFile(dst []byte, f *File) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, f.ID)
	dst = le.AppendUint64(dst, uint64(f.Size))
	dst = append(dst, f.Class, f.Tier, 0, 0)
	dst = le.AppendUint32(dst, f.FooterCRC)
	for _, n := range [...]uint64{
		uint64(f.Window), f.MinSeq, f.MaxSeq, f.MinTime, f.MaxTime, f.Rows, f.Deletes, f.Series,
	} {
		dst = le.AppendUint64(dst, n)
	}
	dst = le.AppendUint32(dst, uint32(len(f.MinKey)))
	dst = le.AppendUint32(dst, uint32(len(f.MaxKey)))
	dst = append(dst, f.MinKey...)
	return append(dst, f.MaxKey...)
}

// parseState reads what appendState wrote. The state shares data's memory.
func parseState(name string, data []byte) (*State, error) {
	format, err := checkFrame(name, data)
	if err != nil {
		return nil, err
	}
	r := &reader{name: name, data: data[:len(data)-crcLen], off: headLen + 8}
	s := &State{
		Generation: r.u64(), DBID: r.u64(), NextFile: r.u64(),
		FlushedSeq: r.u64(), MinSegment: r.u64(), Keys: r.u64(),
	}
	if format > 1 {
		s.Expires = r.u64()
	}
	files, tombstones, rules := r.u32(), r.u32(), r.u32()
	s.Unit, s.Clean = r.u8(), r.flag()
	r.zero(2)
	if s.NextFile == 0 {
		r.fail("next file is 0")
	}
	s.Files = entries(r, files, fileLen, "files", func(f *File) error {
		r.file(f)
		return f.check(s.NextFile)
	})
	s.Tombstones = entries(r, tombstones, tombstoneLen, "tombstones", func(t *kv.Tombstone) error {
		r.tombstone(t)
		return checkTombstone(t)
	})
	s.Retention = entries(r, rules, ruleLen, "rules", func(u *Rule) error {
		r.rule(u)
		return checkRule(u)
	})
	if r.err == nil && r.off != len(r.data) {
		r.fail("%d bytes left over", len(r.data)-r.off)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := s.checkUnique(); err != nil {
		return nil, disk.Corrupt(name, fixedLen, "%v", err)
	}
	return s, nil
}

// checkFrame checks head, length and checksum, and returns the version.
func checkFrame(name string, data []byte) (uint32, error) {
	le := binary.LittleEndian
	if len(data) < headLen {
		return 0, disk.Corrupt(name, 0, "%d bytes are no manifest", len(data))
	}
	if string(data[:len(magic)]) != magic {
		return 0, disk.Corrupt(name, 0, "not a manifest: magic %q", data[:len(magic)])
	}
	if disk.CRC(0, data[:headLen-crcLen]) != le.Uint32(data[headLen-crcLen:]) {
		return 0, disk.Corrupt(name, 0, "checksum of the head")
	}
	v := le.Uint32(data[len(magic):])
	fixed := fixedLen
	switch {
	case v == 1:
		fixed = fixedLenV1
	case v > version:
		return 0, fmt.Errorf("%s: %w: it is version %d, this build reads up to %d", name, ErrVersion, v, version)
	case v != version:
		return 0, disk.Corrupt(name, int64(len(magic)), "version %d was never written", v)
	}
	if len(data) < fixed+crcLen {
		return 0, disk.Corrupt(name, headLen, "%d bytes are too few", len(data))
	}
	if n := le.Uint64(data[headLen:]); n != uint64(len(data)) {
		return 0, disk.Corrupt(name, headLen, "length %d in a file of %d bytes", n, len(data))
	}
	end := len(data) - crcLen
	if disk.CRC(0, data[:end]) != le.Uint32(data[end:]) {
		return 0, disk.Corrupt(name, int64(end), "checksum")
	}
	return v, nil
}
