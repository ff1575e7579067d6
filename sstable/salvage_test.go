package sstable

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tskv/disk"
	"tskv/kv"
)

// salvaged is what a salvage gave.
type salvaged struct {
	rows  map[string]map[kv.ID]string
	count int
	lost  []Lost
}

func describe(row *kv.Row) string {
	return fmt.Sprint(row.Form, " ", row.Num, " ", string(row.Raw), " ", string(row.Tags))
}

// salvageAll reads all that is left of a table, and checks that keys and rows
// ascend, as a writer needs them.
func salvageAll(t *testing.T, what string, content []byte, known *Properties) salvaged {
	t.Helper()
	got := salvaged{rows: make(map[string]map[kv.ID]string)}
	d := diskWith(t, 9, content)
	s, err := OpenSalvage(d, disk.TableName(9), 9, known, func(l Lost) { got.lost = append(got.lost, l) })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	it := s.Iterator()
	var prev []byte
	for {
		key, err := it.Next()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if key == nil {
			break
		}
		if bytes.Compare(prev, key) >= 0 {
			t.Fatalf("%s: key %q after %q", what, key, prev)
		}
		prev = bytes.Clone(key)
		got.series(t, what, it, string(key))
	}
	it.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d.Handles() != 0 {
		t.Errorf("%s: a file is open", what)
	}
	return got
}

func (g *salvaged) series(t *testing.T, what string, it kv.SeriesIterator, key string) {
	t.Helper()
	src, err := it.Rows(kv.Everything)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer src.Close()
	var last kv.ID
	rows := map[kv.ID]string{}
	for {
		batch, err := src.Next()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if batch == nil {
			break
		}
		for i := range batch.Len() {
			row := batch.Row(i)
			if len(rows) > 0 && !last.Less(row.ID) {
				t.Fatalf("%s: %q: row %v after %v", what, key, row.ID, last)
			}
			last = row.ID
			rows[row.ID] = describe(&row)
		}
	}
	g.count += len(rows)
	g.rows[key] = rows
}

// fits checks that nothing is wrong, and that what is missing was reported.
func (g *salvaged) fits(t *testing.T, what string, model []series) (missing int) {
	t.Helper()
	total := 0
	for _, s := range model {
		for i := range s.rows {
			row := &s.rows[i]
			total++
			got, ok := g.rows[string(s.key)][row.ID]
			if ok && got != describe(row) {
				t.Fatalf("%s: %q at %v is %q, want %q", what, s.key, row.ID, got, describe(row))
			}
			if !ok {
				missing++
				if !g.reported(s.key, row.ID) {
					t.Fatalf("%s: %q at %v is missing and was not reported; %d reports: %+v", what, s.key, row.ID, len(g.lost), g.lost)
				}
			}
		}
	}
	if g.count != total-missing {
		t.Fatalf("%s: %d rows, %d of them right", what, g.count, total-missing)
	}
	counted, exact := 0, true
	for _, l := range g.lost {
		counted += int(l.Rows)
		exact = exact && l.Rows >= 0
		if l.Length <= 0 || l.Reason == "" || l.Rows == 0 && l.MaxKey != nil {
			t.Fatalf("%s: report %+v", what, l)
		}
	}
	if exact && counted != missing {
		t.Fatalf("%s: %d rows are missing, %d reported: %+v", what, missing, counted, g.lost)
	}
	return missing
}

func (g *salvaged) reported(key []byte, id kv.ID) bool {
	for _, l := range g.lost {
		if l.Rows != 0 && bytes.Compare(l.MinKey, key) <= 0 && (l.MaxKey == nil || bytes.Compare(key, l.MaxKey) <= 0) &&
			!id.Less(l.From) && !l.To.Less(id) {
			return true
		}
	}
	return false
}

// salvageModel has every kind of block and list: packed, own, a list of one leaf,
// a root over leaves, and enough keys for many index pages.
func salvageModel(rng *rand.Rand) []series {
	model := smallModel()
	all := shapes()
	for i := range 150 {
		s := all[i%len(all)]
		n := 1 + rng.IntN(5)
		if i%25 == 3 {
			n = minOwnRows + rng.IntN(50)
		}
		model = append(model, series{key: fmt.Appendf(nil, "%s:%s:%03d", strings.Repeat("k", 40), s.name, i), rows: s.rows(rng, n)})
	}
	big := series{key: []byte("list:root")}
	for i := range 70 {
		raw := bytes.Repeat([]byte{byte(i)}, maxBlockPayload-100)
		big.rows = append(big.rows, kv.Row{ID: kv.ID{Time: uint64(i) * 10}, Form: kv.FormRaw, Raw: raw, Tags: randomTags(rng)})
	}
	leaf := series{key: []byte("list:leaf"), rows: big.rows[:5]}
	return sortModel(append(model, big, leaf))
}

func knownOf(p *Properties) *Properties {
	return &Properties{
		MinSeq: p.MinSeq, MaxSeq: p.MaxSeq, Class: p.Class, Window: p.Window,
		MinTime: p.MinTime, MinKey: p.MinKey, MaxKey: p.MaxKey,
	}
}

func salvageFile(t *testing.T, seed uint64) (content []byte, p Properties, model []series) {
	t.Helper()
	model = salvageModel(rand.New(rand.NewPCG(seed, 2)))
	d := newDisk()
	p = build(t, d, WriterOptions{FileID: 9, MinSeq: 5, MaxSeq: 77, Class: 3, Window: 60000}, model, 5000)
	content, err := d.ReadFile(disk.TableName(9))
	if err != nil {
		t.Fatal(err)
	}
	return content, p, model
}

func TestSalvageOfSoundFile(t *testing.T) {
	content, p, model := salvageFile(t, 1)
	for _, known := range []*Properties{nil, knownOf(&p)} {
		got := salvageAll(t, "sound", content, known)
		if missing := got.fits(t, "sound", model); missing != 0 || len(got.lost) != 0 {
			t.Errorf("%d rows are missing, reports %+v", missing, got.lost)
		}
	}
}

// TestSalvageSections: a flipped bit anywhere but in a block costs nothing, or
// what is missing is reported; without a manifest, too.
func TestSalvageSections(t *testing.T) {
	content, p, model := salvageFile(t, 2)
	r := openTable(t, diskWith(t, 9, content), p, ReaderOptions{NoMmap: true})
	f := r.footer
	sections := map[string]place{
		"header": {0, headerSize}, "top": f.top, "tags": f.tags, "filter": f.filter,
		"properties": f.props, "footer": {p.Size - footerSize, footerSize},
	}
	rng := seeded(t)
	for name, at := range sections {
		for range 6 {
			b := bytes.Clone(content)
			b[at.offset+int64(rng.IntN(at.length))] ^= 1 << rng.IntN(8)
			for _, known := range []*Properties{nil, knownOf(&p)} {
				what := fmt.Sprint(name, " known ", known != nil)
				got := salvageAll(t, what, b, known)
				missing := got.fits(t, what, model)
				if missing > 0 && name != "tags" || len(got.lost) == 0 {
					t.Errorf("%s: %d rows are missing, reports %+v", what, missing, got.lost)
				}
				if name == "tags" && missing > len(model)*300 {
					t.Errorf("%s: %d rows are missing", what, missing)
				}
			}
		}
	}
}

// TestSalvageAnyDamage flips bits and wipes sectors anywhere, several at a time:
// nothing is ever wrong, and all that is missing is reported.
func TestSalvageAnyDamage(t *testing.T) {
	content, p, model := salvageFile(t, 3)
	rng := seeded(t)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	total, r := 0, openTable(t, diskWith(t, 9, content), p, ReaderOptions{NoMmap: true})
	for _, s := range model {
		total += len(s.rows)
	}
	kept := 0
	for round := range rounds {
		b := bytes.Clone(content)
		what := ""
		for range 1 + rng.IntN(3) {
			at := rng.IntN(len(b))
			if rng.IntN(2) == 0 { // the index is small and matters
				at = int(r.footer.index.offset) + rng.IntN(len(b)-int(r.footer.index.offset))
			}
			switch rng.IntN(3) {
			case 0:
				b[at] ^= 1 << rng.IntN(8)
				what += fmt.Sprintf(" bit of %d", at)
			case 1:
				at &^= 511
				clear(b[at:min(at+512, len(b))])
				what += fmt.Sprintf(" sector %d", at)
			default:
				at &^= 4095
				clear(b[at:min(at+4096, len(b))])
				what += fmt.Sprintf(" page %d", at)
			}
		}
		var known *Properties
		if round%2 == 0 || bytes.Equal(b[:headerSize], make([]byte, headerSize)) || !bytes.Equal(b[:headerSize], content[:headerSize]) {
			known = knownOf(&p)
		}
		got := salvageAll(t, what, b, known)
		kept += total - got.fits(t, what, model)
	}
	if kept < total*rounds/4 { // a tenth of the file is wiped at a time
		t.Errorf("only %d of %d rows were kept in %d rounds", kept/rounds, total, rounds)
	}
	t.Logf("%.1f %% of the rows were kept", 100*float64(kept)/float64(total*rounds))
}

// TestSalvageOfBlocks flips a bit in each block and list: no more is lost than
// that block holds.
func TestSalvageOfBlocks(t *testing.T) {
	content, p, model := salvageFile(t, 4)
	r := openTable(t, diskWith(t, 9, content), p, ReaderOptions{NoMmap: true})
	for b, err := range r.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(content)
		damaged[b.Offset+int64(b.Length)/2] ^= 2
		got := salvageAll(t, b.Kind, damaged, knownOf(&p))
		if missing := got.fits(t, b.Kind, model); missing != b.Rows {
			t.Errorf("block %+v: %d rows are missing", b, missing)
		}
	}
	for _, key := range []string{"list:root", "list:leaf"} {
		var e entry
		if found, err := r.entry([]byte(key), &e); !found || err != nil || e.kind != entryList {
			t.Fatal(found, err)
		}
		damaged := bytes.Clone(content)
		damaged[e.offset+20] ^= 2
		got := salvageAll(t, key, damaged, knownOf(&p))
		if missing := got.fits(t, key, model); missing != 0 || len(got.lost) != 1 {
			t.Errorf("list of %s: %d rows are missing, %+v", key, missing, got.lost)
		}
	}
}

// TestSalvageRefuses: without header, footer and manifest nothing tells which
// sequences the rows have; a newer format is no damage.
func TestSalvageRefuses(t *testing.T) {
	content, p, _ := salvageFile(t, 5)
	open := func(b []byte, known *Properties) error {
		s, err := OpenSalvage(diskWith(t, 9, b), disk.TableName(9), 9, known, func(Lost) {})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	b := bytes.Clone(content)
	clear(b[:headerSize])
	clear(b[len(b)-footerSize:])
	if err := open(b, nil); !errors.Is(err, disk.ErrCorrupt) {
		t.Error(err)
	}
	if err := open(b, knownOf(&p)); err != nil {
		t.Error(err)
	}
	if err := open(nil, knownOf(&p)); err != nil {
		t.Error("an empty file:", err)
	}
	if err := open([]byte("x"), nil); !errors.Is(err, disk.ErrCorrupt) {
		t.Error(err)
	}
	b = bytes.Clone(content)
	f := b[len(b)-footerSize:]
	f[4]++
	putCRC(f, disk.CRC(seed(9), f[4:]))
	if err := open(b, nil); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func putCRC(b []byte, crc uint32) {
	b[0], b[1], b[2], b[3] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
}
