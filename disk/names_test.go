package disk_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"tskv/disk"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name string
		kind disk.NameKind
		no   uint64
	}{
		{disk.SegmentName(0), disk.KindSegment, 0},
		{"wal/00000000000000ff.wal", disk.KindSegment, 255},
		{disk.SegmentName(math.MaxUint64), disk.KindSegment, math.MaxUint64},
		{"sst/0123456789abcdef.sst", disk.KindTable, 0x0123456789abcdef},
		{disk.TableName(math.MaxUint64), disk.KindTable, math.MaxUint64},
		{"MANIFEST", disk.KindManifest, 0},
		{"MANIFEST.prev", disk.KindPrevManifest, 0},
		{"LOCK", disk.KindLock, 0},
		{"RESERVE", disk.KindReserve, 0},
		{"MANIFEST.tmp", disk.KindTemp, 0},
		{"wal/spare-1.tmp", disk.KindTemp, 0},
	} {
		kind, no, ok := disk.ParseName(c.name)
		if !ok || kind != c.kind || no != c.no {
			t.Errorf("ParseName(%q) = %d, %d, %t, want %d, %d, true", c.name, kind, no, ok, c.kind, c.no)
		}
	}
	for _, name := range []string{
		"", ".", "wal", "wal/", "sst/.sst", "manifest", "MANIFEST.prev2", "LOCK/x", "notes.txt",
		"wal/0123456789abcdef", "0123456789abcdef.wal", "sst/0123456789abcdef.wal",
		"wal/0123456789abcdef.sst", "wal/0123456789ABCDEF.wal", "wal/123456789abcdef.wal",
		"wal/00123456789abcdef.wal", "wal/+123456789abcdef.wal", "wal/0x23456789abcdef.wal",
		"wal/012345678_abcdef.wal", "wal/wal/0123456789abcdef.wal", "wal/0123456789abcdef.wal ",
		"wal//0123456789abcdef.wal",
	} {
		if kind, no, ok := disk.ParseName(name); ok || kind != disk.KindUnknown || no != 0 {
			t.Errorf("ParseName(%q) = %d, %d, %t, want nothing", name, kind, no, ok)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "wal/a", "..a", "a..", "a/..b"} {
		if err := disk.CheckName("open", name); err != nil {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "/", "/a", "a/", "a//b", "./a", "a/.", "../a", "a/../b", "a/..", "a\x00b"} {
		if err := disk.CheckName("open", name); !errors.Is(err, disk.ErrName) {
			t.Errorf("CheckName(%q) = %v, want ErrName", name, err)
		}
	}
	for dir, want := range map[string]string{"": ".", ".": ".", "wal": "wal"} {
		if got, err := disk.CheckDir("list", dir); got != want || err != nil {
			t.Errorf("CheckDir(%q) = %q, %v, want %q", dir, got, err, want)
		}
	}
	if _, err := disk.CheckDir("list", "../x"); !errors.Is(err, disk.ErrName) {
		t.Errorf("CheckDir(../x) = %v, want ErrName", err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{disk.SegmentName(7), disk.TableName(1 << 63), "MANIFEST", "x.tmp", "wal/-"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		kind, no, ok := disk.ParseName(name)
		want := name
		switch kind {
		case disk.KindSegment:
			want = disk.SegmentName(no)
		case disk.KindTable:
			want = disk.TableName(no)
		case disk.KindTemp:
			if !strings.HasSuffix(name, disk.TempSuffix) {
				t.Errorf("%q is no temporary name", name)
			}
		}
		if want != name || ok == (kind == disk.KindUnknown) {
			t.Errorf("ParseName(%q) = %d, %d, %t", name, kind, no, ok)
		}
	})
}

func TestCorruptError(t *testing.T) {
	err := disk.Corrupt("sst/1.sst", 4096, "crc %#x, want %#x", 1, 2)
	if got, want := err.Error(), "corrupt file=sst/1.sst offset=4096: crc 0x1, want 0x2"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	var corrupt *disk.CorruptError
	if !errors.Is(err, disk.ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.Offset != 4096 {
		t.Errorf("%v is not found as a CorruptError", err)
	}
	if got := disk.Corrupt("a", disk.UnknownOffset, "x").Error(); got != "corrupt file=a offset=unknown: x" {
		t.Errorf("error %q", got)
	}
}
