package kv

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// opText shows an operation in one line.
func opText(op *Op) string {
	switch op.Kind {
	case OpPut:
		return fmt.Sprintf("%d put %q %s", op.Index, op.Key, text(op.Row))
	case OpDeleteRange:
		ts := &op.Tombstone
		return fmt.Sprintf("%d delete %q prefix=%v %v..%v seq=%d", op.Index, ts.Key, ts.Prefix, ts.From, ts.To, ts.Seq)
	case OpMeta:
		return fmt.Sprintf("%d meta %d %q", op.Index, op.MetaKind, op.Meta)
	}
	return fmt.Sprintf("%d kind %d", op.Index, op.Kind)
}

// decodeTexts decodes a batch and shows its operations.
func decodeTexts(d *Decoder, payload []byte, ops uint32) ([]string, error) {
	var out []string
	err := d.Decode(payload, ops, func(op *Op) error {
		out = append(out, opText(op))
		return nil
	})
	return out, err
}

// writer encodes operations and remembers what a decoder must see.
type writer struct {
	encoder Encoder
	refs    map[string]*KeyRef
	want    []string
}

func newWriter() *writer {
	w := &writer{refs: map[string]*KeyRef{}}
	w.encoder.StartSegment()
	w.begin()
	return w
}

func (w *writer) begin() {
	w.encoder.Begin(nil)
	w.want = nil
}

func (w *writer) note(op Op) {
	op.Index = w.encoder.Ops() - 1
	w.want = append(w.want, opText(&op))
}

func (w *writer) put(key string, row Row) {
	if w.refs[key] == nil {
		w.refs[key] = new(KeyRef)
	}
	w.putRef(w.refs[key], key, row)
}

func (w *writer) putRef(ref *KeyRef, key string, row Row) {
	w.encoder.Put(ref, []byte(key), &row)
	if row.Form == FormDelete {
		row = Row{ID: row.ID, Form: FormDelete}
	}
	w.note(Op{Kind: OpPut, Key: []byte(key), Row: row})
}

func (w *writer) deleteRange(ts Tombstone) {
	w.encoder.DeleteRange(&ts)
	ts.Seq = 0
	w.note(Op{Kind: OpDeleteRange, Tombstone: ts})
}

func (w *writer) meta(kind uint8, payload string) {
	w.encoder.Meta(kind, []byte(payload))
	w.note(Op{Kind: OpMeta, MetaKind: kind, Meta: []byte(payload)})
}

// check decodes the batch and compares.
func (w *writer) check(t *testing.T, d *Decoder) {
	t.Helper()
	got, err := decodeTexts(d, w.encoder.Bytes(), w.encoder.Ops())
	if err != nil || !slices.Equal(got, w.want) {
		t.Fatalf("%v, %s", err, firstDifference(got, w.want))
	}
}

// everyOperation writes one of everything; the golden file holds its bytes.
func everyOperation(w *writer) {
	w.put("cpu", Row{ID: ID{Time: 1_700_000_000_000}, Form: 2, Num: 2150})
	w.put("cpu", Row{ID: ID{Time: 1_700_000_010_000}, Form: 2, Num: -2150})
	w.put("mem", Row{ID: ID{1_700_000_010_000, 7}, Num: 999_999_999_999_999_999})
	w.put("cpu", Row{ID: ID{Time: 1_700_000_009_999}, Form: MaxScale, Num: -999_999_999_999_999_999})
	w.putRef(nil, "once", Row{ID: MaxID, Form: FormRaw, Raw: []byte(`{"a":1}`)})
	w.put("mem", Row{Form: FormRaw, Tags: TagSet("\x03eu1\x03web")})
	w.put("mem", Row{ID: ID{0, 1}, Num: 1, Tags: TagSet("\x01a")})
	w.put("mem", Row{ID: ID{5, 0}, Form: FormDelete})
	w.deleteRange(Tombstone{Key: []byte("cpu"), From: MinID, To: MaxID, Seq: 77})
	w.deleteRange(Tombstone{Prefix: true, From: ID{1, 2}, To: ID{1, 2}})
	w.deleteRange(Tombstone{Key: []byte("host-"), Prefix: true, From: ID{1, 2}, To: ID{3, 4}})
	w.put("mem", Row{ID: ID{6, 0}, Form: 1, Num: 15})
	w.encoder.Gap(300)
	w.meta(9, "")
	w.meta(255, "payload")
}

func TestBatchGolden(t *testing.T) {
	const name = "testdata/batch_v1.hex"
	w := newWriter()
	everyOperation(w)
	if *updateFlag {
		var lines strings.Builder
		for chunk := range slices.Chunk(w.encoder.Bytes(), 32) {
			lines.WriteString(hex.EncodeToString(chunk) + "\n")
		}
		if err := os.WriteFile(name, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden := readGolden(t, name)
	if !bytes.Equal(golden, w.encoder.Bytes()) {
		t.Errorf("the encoding changed:\n%x\nwant\n%x", w.encoder.Bytes(), golden)
	}
	got, err := decodeTexts(new(Decoder), golden, w.encoder.Ops())
	if err != nil || !slices.Equal(got, w.want) {
		t.Errorf("%v, %s", err, firstDifference(got, w.want))
	}
}

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return golden
}

// randomOps writes n random operations.
func randomOps(rng *rand.Rand, w *writer, n int) {
	number := func() uint64 { return rng.Uint64() >> rng.IntN(64) }
	for range n {
		key := fmt.Sprintf("key-%d", rng.IntN(20))
		switch rng.IntN(12) {
		case 0:
			ts := Tombstone{Key: []byte(key), Prefix: rng.IntN(2) == 0, From: ID{number(), number()}, To: MaxID}
			w.deleteRange(ts)
		case 1:
			w.meta(uint8(rng.IntN(256)), key)
		case 2:
			w.putRef(nil, key, randomRow(rng, ID{number(), number()}))
		default:
			row := randomRow(rng, ID{number(), number() & -rng.Uint64N(2)})
			if row.Form.IsDecimal() {
				row.Form, row.Num = Form(rng.IntN(MaxScale+1)), rng.Int64N(mantissaLimit)>>rng.IntN(60)
			}
			w.put(key, row)
		}
	}
}

func TestBatchRoundTrip(t *testing.T) {
	rng := newRand(t)
	for range 200 {
		w := newWriter()
		var d Decoder
		for range rng.IntN(8) {
			if rng.IntN(4) == 0 {
				w.encoder.StartSegment()
				d.StartSegment()
			}
			w.begin()
			start := w.encoder.Mark()
			randomOps(rng, w, rng.IntN(40))
			undoSome(rng, w)
			if rng.IntN(4) == 0 {
				w.encoder.Rewind(start) // the log refused it: no decoder sees it
				continue
			}
			w.check(t, &d)
		}
	}
}

// undoSome writes operations and takes them back, as a failed transaction does.
func undoSome(rng *rand.Rand, w *writer) {
	mark, want := w.encoder.Mark(), slices.Clone(w.want)
	randomOps(rng, w, rng.IntN(10))
	undone := w.encoder.Ops() - mark.ops
	w.encoder.Rewind(mark)
	w.want = want
	if undone > 0 {
		w.encoder.Gap(undone)
	}
	randomOps(rng, w, rng.IntN(10))
}

// TestEncoderRewindKeepsDictionary checks that taking back operations on known
// keys does not cost the dictionary.
func TestEncoderRewindKeepsDictionary(t *testing.T) {
	w := newWriter()
	w.put("key", Row{})
	mark, epoch := w.encoder.Mark(), w.encoder.epoch
	w.encoder.Put(w.refs["key"], []byte("key"), &Row{ID: MaxID})
	w.encoder.Rewind(mark)
	if w.encoder.epoch != epoch {
		t.Error("a rewind without new keys starts an epoch")
	}
	w.put("key", Row{ID: ID{Time: 1}})
	other := new(KeyRef)
	mark = w.encoder.Mark()
	w.encoder.Put(other, []byte("taken back"), &Row{})
	w.encoder.Rewind(mark)
	w.put("new", Row{}) // gets the number of the one taken back
	w.putRef(other, "taken back", Row{})
	w.put("key", Row{})
	w.check(t, new(Decoder))
}

func TestEncoderBeginAppends(t *testing.T) {
	var e Encoder
	e.StartSegment()
	e.Begin([]byte("head"))
	if got := string(e.Bytes()); got != "head\x01" || e.Ops() != 0 {
		t.Errorf("%q, %d operations", got, e.Ops())
	}
}

// TestEncoderSizes pins what the operations of a busy series cost.
func TestEncoderSizes(t *testing.T) {
	w := newWriter()
	size := func(fn func()) int {
		before := len(w.encoder.Bytes())
		fn()
		return len(w.encoder.Bytes()) - before
	}
	point := func(key string, time uint64) func() {
		return func() { w.put(key, Row{ID: ID{Time: time}, Form: 2, Num: 2150}) }
	}
	for i, c := range []struct {
		fn   func()
		want int
	}{
		{point("a", 1_700_000_000_000), 1 + 2 + 6 + 1 + 2}, // tag, key, time, scale, mantissa
		{point("b", 1_700_000_000_000), 1 + 2 + 1 + 1 + 2},
		{point("a", 1_700_000_000_001), 1 + 1 + 1 + 1 + 2},
		{point("a", 1_700_000_010_000), 1 + 3 + 1 + 2},
	} {
		if got := size(c.fn); got != c.want {
			t.Errorf("%d: %d bytes, want %d", i, got, c.want)
		}
	}
}

func TestEncoderBugs(t *testing.T) {
	long := make([]byte, MaxKey+1)
	for name, fn := range map[string]func(e *Encoder){
		"empty key":      func(e *Encoder) { e.Put(nil, nil, &Row{}) },
		"long key":       func(e *Encoder) { e.Put(nil, long, &Row{}) },
		"form":           func(e *Encoder) { e.Put(nil, []byte("k"), &Row{Form: MaxScale + 1}) },
		"mantissa":       func(e *Encoder) { e.Put(nil, []byte("k"), &Row{Num: math.MinInt64}) },
		"value":          func(e *Encoder) { e.Put(nil, []byte("k"), &Row{Form: FormRaw, Raw: make([]byte, MaxValue+1)}) },
		"tags":           func(e *Encoder) { e.Put(nil, []byte("k"), &Row{Tags: make(TagSet, MaxTagSet+1)}) },
		"range key":      func(e *Encoder) { e.DeleteRange(&Tombstone{To: MaxID}) },
		"long range key": func(e *Encoder) { e.DeleteRange(&Tombstone{Key: long, To: MaxID}) },
		"range":          func(e *Encoder) { e.DeleteRange(&Tombstone{Prefix: true, From: MaxID}) },
		"gap":            func(e *Encoder) { e.Gap(0) },
		"meta":           func(e *Encoder) { e.Meta(0, make([]byte, MaxValue+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			var e Encoder
			e.StartSegment()
			e.Begin(nil)
			mustPanic(t, "BUG: kv: ", func() { fn(&e) })
			if e.Ops() != 0 {
				t.Error("it was counted")
			}
		})
	}
	mustPanic(t, "BUG: kv: ", func() { new(Encoder).Begin(nil) })
}

func TestEncoderAllocations(t *testing.T) {
	var e Encoder
	e.StartSegment()
	buf := make([]byte, 0, 4096)
	refs := make([]KeyRef, 3)
	rows := []Row{{Form: 2, Num: 2150}, {Form: FormRaw, Raw: []byte("raw"), Tags: TagSet("\x01a")}, {ID: ID{5, 5}, Form: FormDelete}}
	key := []byte("key")
	if n := testing.AllocsPerRun(100, func() {
		e.Begin(buf[:0])
		for i := range rows {
			e.Put(&refs[i], key, &rows[i])
			e.Put(nil, key, &rows[i])
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
