package kv

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestDecodeMalformed(t *testing.T) {
	big := "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	for name, c := range map[string]struct {
		payload string
		ops     uint32
	}{
		"empty":                    {"", 0},
		"no operation":             {"\x01", 1},
		"too many operations":      {"\x01\x00\x01k\x00\x00\x02", 2},
		"too few operations":       {"\x01\x00\x01k\x00\x00\x02\x10\x00\x00", 1},
		"bytes at the end":         {"\x01\x00\x01k\x00\x00\x02\x00", 1},
		"unknown kind":             {"\x01\x18\x01k\x00\x00\x02", 1},
		"last kind":                {"\x01\x1c", 1},
		"key of no bytes":          {"\x01\x00\x00\x00\x00\x02", 1},
		"new key of no bytes":      {"\x01\x01\x00\x00\x00\x02", 1},
		"key too long":             {"\x01\x00\x81\x80\x04" + strings.Repeat("k", MaxKey+1) + "\x00\x00\x02", 1},
		"key longer than the rest": {"\x01\x00" + big + "k", 1},
		"number not in dictionary": {"\x01\x02\x00\x00\x00\x02", 1},
		"huge number":              {"\x01\x02" + big + "\x00\x00\x02", 1},
		"no previous key":          {"\x01\x03\x00\x00\x02", 1},
		"prefix bit on a put":      {"\x01\x80\x01k\x00\x00\x02", 1},
		"sequence 0":               {"\x01\x20\x01k\x00\x00\x00\x02", 1},
		"no tags":                  {"\x01\x40\x01k\x00\x00\x00\x02", 1},
		"bad tags":                 {"\x01\x40\x01k\x00\x02\x00\x00\x00\x02", 1},
		"tags too long":            {"\x01\x40\x01k\x00" + "\xa1\x40" + strings.Repeat("\x01a", 5000), 1},
		"tags on a delete":         {"\x01\x48\x01k\x00\x02\x01a", 1},
		"scale":                    {"\x01\x00\x01k\x00\x13\x02", 1},
		"mantissa":                 {"\x01\x00\x01k\x00\x00" + big, 1},
		"raw longer than the rest": {"\x01\x04\x01k\x00\x02a", 1},
		"raw too long":             {"\x01\x04\x01k\x00\x81\x80\x80\x20", 1},
		"uvarint not the shortest": {"\x01\x00\x81\x00k\x00\x00\x02", 1},
		"uvarint of 65 bits":       {"\x01\x00\x01k\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x02", 1},
		"uvarint of 11 bytes":      {"\x01\x00\x01k\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00\x00\x02", 1},
		"range key of no bytes":    {"\x01\x0c\x00\x00\x00\x00\x00", 1},
		"range backwards":          {"\x01\x0c\x01k\x00\x01\x00\x00", 1},
		"range with a key mode":    {"\x01\x0d\x01k\x00\x00\x00\x00", 1},
		"range with tags":          {"\x01\x4c\x01k\x00\x00\x00\x00", 1},
		"meta with bits":           {"\x01\x11\x00\x00", 1},
		"meta with prefix bit":     {"\x01\x90\x00\x00", 1},
		"gap of nothing":           {"\x01\x14\x00", 1},
		"gap over the end":         {"\x01\x14\x02", 1},
		"gap with bits":            {"\x01\x15\x01", 1},
		"huge gap":                 {"\x01\x14" + big, 1},
		"meta cut":                 {"\x01\x10\x00\x05abc", 1},
	} {
		if _, err := decodeTexts(new(Decoder), []byte(c.payload), c.ops); !errors.Is(err, ErrBatch) || errors.Is(err, ErrBatchVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeVersion(t *testing.T) {
	for _, version := range []string{"\x00", "\x02", "\xff"} {
		_, err := decodeTexts(new(Decoder), []byte(version), 0)
		if !errors.Is(err, ErrBatchVersion) || errors.Is(err, ErrBatch) {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

// TestDecodeTruncated cuts the golden batch at every byte: what comes out is a
// beginning of the right operations and an error.
func TestDecodeTruncated(t *testing.T) {
	w := newWriter()
	everyOperation(w)
	whole := w.encoder.Bytes()
	for n := range whole {
		got, err := decodeTexts(new(Decoder), whole[:n:n], w.encoder.Ops())
		if !errors.Is(err, ErrBatch) || len(got) >= len(w.want) || !slices.Equal(got, w.want[:len(got)]) {
			t.Errorf("cut at %d: %v, %q", n, err, got)
		}
	}
}

// TestDecodeFlipped flips every bit of the golden batch. The log's checksum
// catches that; the decoder must only stay in its bounds.
func TestDecodeFlipped(t *testing.T) {
	w := newWriter()
	everyOperation(w)
	for i := range w.encoder.Bytes() {
		for bit := range 8 {
			payload := bytes.Clone(w.encoder.Bytes())
			payload[i] ^= 1 << bit
			checkDecode(t, payload, w.encoder.Ops())
		}
	}
}

// checkDecode decodes arbitrary bytes and checks the bounds of what comes out,
// that memory is in proportion, and that encoding it again gives the same.
func checkDecode(t *testing.T, payload []byte, ops uint32) {
	t.Helper()
	var d Decoder
	w := newWriter()
	fillGap := func(index uint32) {
		if n := index - w.encoder.Ops(); n > 0 {
			w.encoder.Gap(n)
		}
	}
	err := d.Decode(payload, ops, func(op *Op) error {
		checkOp(t, op)
		fillGap(op.Index)
		switch op.Kind {
		case OpPut:
			w.put(string(op.Key), op.Row)
		case OpDeleteRange:
			w.deleteRange(op.Tombstone)
		case OpMeta:
			w.meta(op.MetaKind, string(op.Meta))
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrBatch) && !errors.Is(err, ErrBatchVersion) {
		t.Fatalf("error %v", err)
	}
	if err == nil {
		fillGap(ops)
	}
	if kept := cap(d.keys) + 8*cap(d.ends); kept > 64*len(payload) {
		t.Fatalf("%d bytes kept of a payload of %d", kept, len(payload))
	}
	w.check(t, new(Decoder))
}

func checkOp(t *testing.T, op *Op) {
	t.Helper()
	row := &op.Row
	switch {
	case op.Kind == OpPut && (len(op.Key) == 0 || len(op.Key) > MaxKey):
		t.Fatalf("key of %d bytes", len(op.Key))
	case row.Form.IsDecimal() && !validMantissa(row.Num), CheckTagSet(row.Tags) != nil, len(row.Raw) > MaxValue:
		t.Fatalf("row %s", text(*row))
	case !row.Form.IsDecimal() && row.Form != FormRaw && row.Form != FormDelete:
		t.Fatalf("form %#x", uint8(row.Form))
	}
}

func TestDecodeStopsAtAnError(t *testing.T) {
	w := newWriter()
	everyOperation(w)
	calls := 0
	err := new(Decoder).Decode(w.encoder.Bytes(), w.encoder.Ops(), func(*Op) error {
		calls++
		return errBroken
	})
	if !errors.Is(err, errBroken) || errors.Is(err, ErrBatch) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestDecodeMemory decodes hostile batches and measures what is allocated.
func TestDecodeMemory(t *testing.T) {
	for name, payload := range map[string][]byte{
		"new keys":    append([]byte{1}, bytes.Repeat([]byte("\x01\x01k\x00\x00\x02"), 50_000)...),
		"huge size":   append([]byte("\x01\x04\x01k\x00\xff\xff\xff\x1f"), make([]byte, 1000)...),
		"huge number": []byte("\x01\x10\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
	} {
		var before, after runtime.MemStats
		var d Decoder
		runtime.ReadMemStats(&before)
		err := d.Decode(payload, 50_000, func(*Op) error { return nil })
		runtime.ReadMemStats(&after)
		if (err == nil) != (name == "new keys") {
			t.Errorf("%s: %v", name, err)
		}
		const noise = 64 << 10
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*len(payload)+noise) {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(payload))
		}
	}
}

func FuzzDecoder(f *testing.F) {
	w := newWriter()
	everyOperation(w)
	f.Add(bytes.Clone(w.encoder.Bytes()), w.encoder.Ops())
	f.Add(readGolden(f, "testdata/batch_v1.hex"), w.encoder.Ops()-1)
	for _, seed := range []string{
		"", "\x01", "\x02", "\x01\x00\x01k\x00\x00\x02", "\x01\x01\x01k\x02\x00\x02\x03\x02\x00\x02\x02\x00\x02\x00\x02",
		"\x01\x04\x01k\x00\x02ab", "\x01\x14\x01", "\x01\x48\x01k\x00", "\x01\x8c\x00\x00\x00\x01\x01", "\x01\x10\x07\x03abc", "\x01\x03\x00\x00\x02",
	} {
		f.Add([]byte(seed), uint32(1))
	}
	f.Fuzz(func(t *testing.T, payload []byte, ops uint32) {
		checkDecode(t, payload, ops)
	})
}

// TestLoseKeys: behind a missing batch the numbers of keys that were known before
// it still hold, and no later number is taken for the wrong key.
func TestLoseKeys(t *testing.T) {
	var enc Encoder
	enc.StartSegment()
	refs := map[string]*KeyRef{"a": {}, "b": {}, "c": {}}
	batch := func(keys ...string) ([]byte, uint32) {
		enc.Begin(nil)
		for _, k := range keys {
			enc.Put(refs[k], []byte(k), &Row{ID: ID{Time: 7}, Num: int64(k[0])})
		}
		return bytes.Clone(enc.Bytes()), enc.Ops()
	}
	first, n1 := batch("a")
	_, _ = batch("b") // is lost
	third, n3 := batch("c", "c", "a", "b", "b", "c")
	var dec Decoder
	var got []string
	collect := func(op *Op) error {
		if op.Row.ID.Time != 7 || op.Kind == OpPut && op.Row.Num != int64(op.Key[0]) {
			t.Errorf("row %+v of key %q", op.Row, op.Key)
		}
		got = append(got, fmt.Sprint(op.Kind, " ", string(op.Key)))
		return nil
	}
	dec.StartSegment()
	if err := dec.Decode(first, n1, collect); err != nil {
		t.Fatal(err)
	}
	dec.LoseKeys()
	if err := dec.Decode(third, n3, collect); err != nil {
		t.Fatal(err)
	}
	want := []string{"1 a", "1 c", "1 c", "1 a", "4 ", "4 ", "4 "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	dec.StartSegment()
	if err := dec.Decode(third, n3, func(*Op) error { return nil }); !errors.Is(err, ErrBatch) {
		t.Errorf("a new segment: %v", err)
	}
}
