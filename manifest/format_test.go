package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/kv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample() *State {
	return &State{
		Generation: 7, DBID: 0x1122334455667788, Unit: 0, NextFile: 12,
		FlushedSeq: 900, MinSegment: 4, Keys: 3, Expires: 2, Clean: true,
		Files: []File{
			{
				ID: 9, Size: 4096, Class: 11, Window: 604_800_000, MinSeq: 1, MaxSeq: 450,
				MinKey: []byte("\x02cpu"), MaxKey: []byte("\x02mem"), MinTime: 604_800_001, MaxTime: 1_000_000_000,
				Rows: 400, Deletes: 3, Series: 2, Tier: 1, FooterCRC: 0xDEADBEEF,
			},
			{
				ID: 11, Size: 1 << 40, Class: 255, Window: 0, MinSeq: 451, MaxSeq: 900,
				MinKey: []byte("\x01a"), MaxKey: []byte("\x01z"), MaxTime: math.MaxUint64,
				Rows: 1, Series: 1,
			},
			{
				ID: 3, Size: 1, Class: 11, Window: math.MinInt64, MinSeq: 451, MaxSeq: 900,
				MinKey: []byte{2}, MaxKey: []byte{2}, Rows: 1, Deletes: 1, Series: 1, Tier: 255,
			},
		},
		Tombstones: []kv.Tombstone{
			{Key: []byte("\x02cpu"), From: kv.ID{Time: 5, Seq: 1}, To: kv.ID{Time: 9, Seq: 2}, Seq: 899},
			{Key: []byte{}, Prefix: true, To: kv.MaxID, Seq: 2},
		},
		Retention: []Rule{
			{Pattern: []byte("logs."), Prefix: true, AgeMS: 86_400_000},
			{Pattern: []byte("audit"), Bytes: 1 << 30, Records: 1_000_000},
		},
	}
}

func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "v2.hex")
	data := appendState(nil, sample())
	if *update {
		if err := os.WriteFile(golden, []byte(hex.Dump(data)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(data) != string(want) {
		t.Errorf("the format has changed:\n%s", hex.Dump(data))
	}
	if len(data) != sizeOf(sample()) {
		t.Errorf("sizeOf is %d, the state has %d bytes", sizeOf(sample()), len(data))
	}
	got, err := parseState("m", data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("read back\n%+v, want\n%+v", got, sample())
	}
}

// TestReadsVersion1: the golden file of the first version is read as it was.
func TestReadsVersion1(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "|")
		if fields := strings.Fields(line); len(fields) > 1 {
			b, err := hex.DecodeString(strings.Join(fields[1:], ""))
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, b...)
		}
	}
	want := sample()
	want.Expires = 0
	got, err := parseState("m", data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	for i := range data {
		if _, err := parseState("m", data[:i]); err == nil {
			t.Fatalf("cut at %d accepted", i)
		}
	}
}

func TestEveryFlipAndCut(t *testing.T) {
	whole := appendState(nil, sample())
	wantCorrupt := func(what string, at int, data []byte) {
		t.Helper()
		s, err := parseState("m", data)
		var ce *disk.CorruptError
		if s != nil || !errors.As(err, &ce) {
			t.Errorf("%s at %d: state %v, error %v", what, at, s, err)
		}
	}
	for i := range whole {
		wantCorrupt("cut", i, whole[:i])
		for bit := range 8 {
			data := bytes.Clone(whole)
			data[i] ^= 1 << bit
			wantCorrupt("flip", i, data)
		}
		for _, b := range []byte{0, 0xFF} {
			if data := bytes.Clone(whole); data[i] != b {
				data[i] = b
				wantCorrupt("byte", i, data)
			}
		}
	}
	wantCorrupt("tail", len(whole), append(bytes.Clone(whole), 0))
	wantCorrupt("twice", len(whole), append(bytes.Clone(whole), whole...))
	wantCorrupt("zeros", 0, make([]byte, len(whole)))
}

// seal puts right length and checksums into damaged data, so that only what
// lies behind them can find the damage.
func seal(data []byte) []byte {
	if len(data) < fixedLen+crcLen {
		return data
	}
	le := binary.LittleEndian
	copy(data, magic)
	le.PutUint32(data[8:], version)
	le.PutUint32(data[12:], disk.CRC(0, data[:12]))
	le.PutUint64(data[headLen:], uint64(len(data)))
	le.PutUint32(data[len(data)-crcLen:], disk.CRC(0, data[:len(data)-crcLen]))
	return data
}

// TestSealedDamage: with right checksums a byte may change a number, but never
// make a state that breaks the rules, a panic or a large allocation.
func TestSealedDamage(t *testing.T) {
	whole := appendState(nil, sample())
	refused := 0
	for i := headLen + 8; i < len(whole)-crcLen; i++ {
		for _, b := range []byte{0, 1, 0x7F, 0x80, 0xFF} {
			data := bytes.Clone(whole)
			data[i] = b
			s, err := parseState("m", seal(data))
			if err != nil {
				refused++
				if !errors.Is(err, disk.ErrCorrupt) {
					t.Fatalf("byte %d = %#x: %v", i, b, err)
				}
				continue
			}
			if err := s.check(); err != nil {
				t.Fatalf("byte %d = %#x: accepted, but %v", i, b, err)
			}
			if !bytes.Equal(appendState(nil, s), data) {
				t.Fatalf("byte %d = %#x: accepted, but written otherwise", i, b)
			}
		}
		if _, err := parseState("m", seal(bytes.Clone(whole[:i]))); err == nil {
			t.Fatalf("cut at %d accepted", i)
		}
	}
	if refused == 0 {
		t.Error("no damage was refused")
	}
}

func TestHostileCounts(t *testing.T) {
	for off := 80; off < 92; off += 4 {
		data := appendState(nil, &State{NextFile: 1})
		binary.LittleEndian.PutUint32(data[off:], math.MaxUint32)
		allocs := testing.AllocsPerRun(1, func() {
			if _, err := parseState("m", seal(data)); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("count at %d: %v", off, err)
			}
		})
		if allocs > 20 {
			t.Errorf("count at %d: %v allocations", off, allocs)
		}
	}
}

func TestVersion(t *testing.T) {
	data := appendState(nil, sample())
	setVersion := func(v uint32) []byte {
		b := bytes.Clone(data)
		binary.LittleEndian.PutUint32(b[8:], v)
		binary.LittleEndian.PutUint32(b[12:], disk.CRC(0, b[:12]))
		return b
	}
	for _, b := range [][]byte{setVersion(3), setVersion(math.MaxUint32), setVersion(3)[:headLen]} {
		_, err := parseState("MANIFEST", b)
		if !errors.Is(err, ErrVersion) || errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("newer version: %v", err)
		}
		if err != nil && !strings.Contains(err.Error(), "reads up to 2") {
			t.Errorf("unclear message: %v", err)
		}
	}
	if _, err := parseState("m", setVersion(0)); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("version 0: %v", err)
	}
}

func TestCheck(t *testing.T) {
	refused := func(name string, change func(s *State)) {
		t.Helper()
		s := sample()
		change(s)
		if s.check() == nil {
			t.Errorf("%s: accepted by check", name)
		}
		if _, err := parseState("m", appendState(nil, s)); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: read as %v", name, err)
		}
	}
	refused("next file 0", func(s *State) { s.NextFile = 0 })
	refused("id 0", func(s *State) { s.Files[0].ID = 0 })
	refused("id beyond next", func(s *State) { s.Files[0].ID = s.NextFile })
	refused("id twice", func(s *State) { s.Files[0].ID = s.Files[2].ID })
	refused("size 0", func(s *State) { s.Files[0].Size = 0 })
	refused("size < 0", func(s *State) { s.Files[0].Size = -1 })
	refused("sequences", func(s *State) { s.Files[0].MinSeq = s.Files[0].MaxSeq + 1 })
	refused("keys", func(s *State) { s.Files[0].MinKey = []byte("\x02n") })
	refused("no key", func(s *State) { s.Files[0].MinKey = []byte{} })
	refused("long key", func(s *State) { s.Files[0].MaxKey = bytes.Repeat([]byte{9}, kv.MaxKey+1) })
	refused("times", func(s *State) { s.Files[0].MinTime = s.Files[0].MaxTime + 1 })
	refused("deletes", func(s *State) { s.Files[0].Deletes = s.Files[0].Rows + 1 })
	refused("series", func(s *State) { s.Files[0].Series = s.Files[0].Rows + 1 })
	refused("no series", func(s *State) { s.Files[0].Series = 0 })
	refused("tombstone without key", func(s *State) { s.Tombstones[0].Key = []byte{} })
	refused("long tombstone", func(s *State) { s.Tombstones[0].Key = make([]byte, kv.MaxKey+1) })
	refused("tombstone backwards", func(s *State) { s.Tombstones[0].From = kv.MaxID })
	refused("long pattern", func(s *State) { s.Retention[0].Pattern = make([]byte, kv.MaxKey+1) })
}

func randomState(rng *rand.Rand) *State {
	key := func(most int) []byte {
		b := make([]byte, 1+rng.IntN(most))
		for i := range b {
			b[i] = byte(rng.UintN(256))
		}
		return b
	}
	s := &State{
		Generation: rng.Uint64(), DBID: rng.Uint64(), Unit: uint8(rng.UintN(4)), NextFile: 1_000_000,
		FlushedSeq: rng.Uint64(), MinSegment: rng.Uint64(), Keys: rng.Uint64(), Expires: rng.Uint64(), Clean: rng.IntN(2) == 0,
	}
	for i := range rng.IntN(50) {
		f := File{
			ID: uint64(i)*7 + 1, Size: 1 + rng.Int64N(math.MaxInt64), Class: uint8(rng.UintN(256)),
			Window: int64(rng.Uint64()), MinSeq: rng.Uint64(), MinTime: rng.Uint64(),
			MinKey: key(40), Rows: rng.Uint64(), Tier: uint8(rng.UintN(256)), FooterCRC: rng.Uint32(),
		}
		f.MaxSeq = f.MinSeq + rng.Uint64N(math.MaxUint64-f.MinSeq)
		f.MaxTime = f.MinTime + rng.Uint64N(math.MaxUint64-f.MinTime)
		f.MaxKey = append(bytes.Clone(f.MinKey), key(20)...)
		f.Deletes = rng.Uint64N(f.Rows)
		f.Series = 1 + rng.Uint64N(f.Rows)
		s.Files = append(s.Files, f)
	}
	for range rng.IntN(10) {
		from := kv.ID{Time: rng.Uint64() / 2, Seq: rng.Uint64()}
		s.Tombstones = append(s.Tombstones, kv.Tombstone{
			Key: key(300), Prefix: rng.IntN(2) == 0, From: from, To: kv.MaxID, Seq: rng.Uint64(),
		})
	}
	for range rng.IntN(10) {
		s.Retention = append(s.Retention, Rule{
			Pattern: key(30), Prefix: rng.IntN(2) == 0, AgeMS: rng.Uint64(), Bytes: rng.Uint64(), Records: rng.Uint64(),
		})
	}
	return s
}

func TestRandomStates(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 500 {
		want := randomState(rng)
		got, err := parseState("m", appendState(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read back %+v, %v, want %+v", got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(appendState(nil, sample()))
	f.Add(appendState(nil, &State{NextFile: 1}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, seal(bytes.Clone(data))} {
			s, err := parseState("m", b)
			if err != nil {
				if !errors.Is(err, disk.ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Fatalf("error of an unknown kind: %v", err)
				}
				continue
			}
			if err := s.check(); err != nil {
				t.Fatalf("accepted, but %v", err)
			}
			if b[len(magic)] == version && !bytes.Equal(appendState(nil, s), b) {
				t.Fatal("accepted, but written otherwise")
			}
		}
	})
}

func BenchmarkMarshal(b *testing.B) {
	s := randomState(rand.New(rand.NewPCG(1, 1)))
	for len(s.Files) < 8192 {
		f := s.Files[0]
		f.ID = uint64(len(s.Files) + 500_000)
		s.Files = append(s.Files, f)
	}
	data := appendState(nil, s)
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			data = appendState(data[:0], s)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := parseState("m", data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
