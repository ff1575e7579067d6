package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/compaction"
	"tskv/kv"
)

// TestRuleLookup compares the table with a search through all rules.
func TestRuleLookup(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	word := func() []byte {
		b := make([]byte, rng.IntN(6))
		for i := range b {
			b[i] = "ab\x00\xff"[rng.IntN(4)]
		}
		return b
	}
	for range 200 {
		var table *ruleTable
		var all []Rule
		for range rng.IntN(40) {
			r := Rule{Pattern: word(), Prefix: rng.IntN(3) > 0, AgeMS: 1 + rng.Uint64N(9)}
			if len(r.Pattern) == 0 && !r.Prefix {
				continue
			}
			for i := range all {
				if all[i].Prefix == r.Prefix && bytes.Equal(all[i].Pattern, r.Pattern) {
					all = append(all[:i], all[i+1:]...)
					break
				}
			}
			if rng.IntN(4) == 0 {
				table = table.without(r.Pattern, r.Prefix)
				continue
			}
			table, all = table.with(r), append(all, r)
		}
		if len(table.list()) != len(all) || fmt.Sprint(loadRules(table.list()).list()) != fmt.Sprint(table.list()) {
			t.Fatalf("%v, want %v", table.list(), all)
		}
		for range 100 {
			key := append([]byte{'a'}, word()...)
			var want *Rule
			for i := range all {
				r := &all[i]
				switch {
				case !r.Prefix && bytes.Equal(key, r.Pattern):
					want = &Rule{Prefix: false, Pattern: r.Pattern, AgeMS: r.AgeMS}
				case r.Prefix && bytes.HasPrefix(key, r.Pattern) && (want == nil || want.Prefix && len(want.Pattern) < len(r.Pattern)):
					want = r
				}
			}
			if got := table.find(key); (got == nil) != (want == nil) || got != nil && fmt.Sprint(*got) != fmt.Sprint(*want) {
				t.Fatalf("rule of %q: %v, want %v of %v", key, got, want, all)
			}
		}
	}
}

// TestRuleBounds: the table is bounded in rules and bytes, and says so.
func TestRuleBounds(t *testing.T) {
	s := newScript(t)
	long := bytes.Repeat([]byte("p"), MaxKey)
	for _, r := range []Rule{
		{Pattern: []byte("k")},
		{AgeMS: 1},
		{Pattern: append(long, 'x'), Prefix: true, AgeMS: 1},
	} {
		if err := s.db.Retain(r); !errors.Is(err, ErrRule) {
			t.Errorf("%.20s: %v", r.Pattern, err)
		}
	}
	fill := func(n int, pattern func(i int) []byte) error {
		return s.db.Update(func(t *Tx) error {
			for i := range n {
				if err := t.Retain(Rule{Pattern: pattern(i), Prefix: true, AgeMS: 1}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := fill(MaxRuleBytes/MaxKey+2, func(i int) []byte { return fmt.Appendf(nil, "%s%05d", long[5:], i) }); !errors.Is(err, ErrRules) {
		t.Errorf("too many bytes: %v", err)
	}
	var list []Rule
	for i := range MaxRules {
		list = append(list, Rule{Pattern: fmt.Append(nil, i), AgeMS: 1})
	}
	full := loadRules(list)
	if err := full.check(&Rule{Pattern: []byte("one more"), AgeMS: 1}); !errors.Is(err, ErrRules) {
		t.Errorf("one too many: %v", err)
	}
	if err := full.check(&Rule{Pattern: []byte("17"), AgeMS: 2}); err != nil {
		t.Errorf("another bound: %v", err)
	}
	if allocs := testing.AllocsPerRun(100, func() { full.find([]byte("1234")) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzRuleChange: any bytes are a change of the rules that encodes to the same
// bytes, or an error.
func FuzzRuleChange(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendRuleChange(nil, ruleSet, &Rule{Pattern: []byte("k"), Prefix: true, AgeMS: 5, Bytes: 6, Records: 7}))
	f.Add(appendRuleChange(nil, ruleRemove, &Rule{Pattern: []byte("k")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := (*ruleTable)(nil).applyMeta(metaRetain, data)
		if err != nil {
			if !errors.Is(err, errMeta) {
				t.Fatal(err)
			}
			return
		}
		for _, r := range table.list() {
			if got := appendRuleChange(nil, ruleSet, &r); !bytes.Equal(got, data) {
				t.Fatalf("%x became %x", data, got)
			}
		}
	})
}

// FuzzCatalogRow: any raw bytes are a catalog row that encodes to the same entry,
// or none.
func FuzzCatalogRow(f *testing.F) {
	f.Add([]byte("0123456789"), int64(0), uint8(0))
	old := catalogEntry{kind: KindSeries, class: 3, created: 7, floor: kv.ID{Time: 1, Seq: 2}, expireAt: 9, indexed: 8}
	row := old.row(expirySet)
	f.Add(row.Raw, int64(7<<8|1), uint8(4))
	f.Add(row.Raw[:catalogOldSize], int64(1), uint8(19))
	f.Fuzz(func(t *testing.T, raw []byte, num int64, form uint8) {
		for _, row := range []kv.Row{{Form: kv.FormRaw, Raw: raw}, {Form: kv.Form(form), Num: num}} {
			entry, ok := decodeCatalog(&row)
			if !ok {
				continue
			}
			if entry.class > compaction.ClassData {
				t.Fatalf("class %d", entry.class)
			}
			again := entry.row(expirySame)
			if got, ok := decodeCatalog(&again); !ok || got != entry {
				t.Fatalf("%+v became %+v", entry, got)
			}
			if change := expiryChange(&row); change < -1 || change > 1 {
				t.Fatalf("change %d", change)
			}
		}
	})
}
