package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"tskv/kv"
	"tskv/manifest"
)

// Rule says what is kept of a key, or with Prefix of all keys that start with
// Pattern. A zero bound is no bound. AgeMS is in milliseconds.
type Rule = manifest.Rule

// Bounds of the retention table: every manifest holds all of it.
const (
	MaxRules     = 10_000
	MaxRuleBytes = 16 << 20 // patterns of all rules together
)

// Errors of Tx.Retain.
var (
	ErrRules = fmt.Errorf("the retention table holds at most %d rules and %d bytes of patterns", MaxRules, MaxRuleBytes)
	ErrRule  = fmt.Errorf("a retention rule has a pattern of at most %d bytes and a bound", MaxKey)
)

// ruleTable is the immutable table of retention rules; nil is the empty one. An
// exact rule beats those of prefixes, and of these the longest wins; a rule
// replaces another wholly.
type ruleTable struct {
	exact    []Rule // by pattern
	prefixes []Rule // by pattern
	// parent is, for each prefix, the index of the longest other one that it
	// starts with, or -1.
	parent []int32
	bytes  int // of all patterns

	minAge uint64 // of all rules with an age, 0 = there is none
	sized  bool   // a rule bounds bytes or records
}

// newRuleTable makes a table of lists that are sorted already.
func newRuleTable(exact, prefixes []Rule) *ruleTable {
	if len(exact)+len(prefixes) == 0 {
		return nil
	}
	t := &ruleTable{exact: exact, prefixes: prefixes, parent: make([]int32, len(prefixes))}
	for _, list := range [][]Rule{exact, prefixes} {
		for i := range list {
			t.bytes += len(list[i].Pattern)
			if age := list[i].AgeMS; age > 0 && (t.minAge == 0 || age < t.minAge) {
				t.minAge = age
			}
			t.sized = t.sized || list[i].Bytes > 0 || list[i].Records > 0
		}
	}
	for i := range prefixes {
		up := int32(i) - 1
		for up >= 0 && !bytes.HasPrefix(prefixes[i].Pattern, prefixes[up].Pattern) {
			up = t.parent[up]
		}
		t.parent[i] = up
	}
	return t
}

// loadRules makes a table of the manifest's list.
func loadRules(list []Rule) *ruleTable {
	byPattern := func(a, b Rule) int { return bytes.Compare(a.Pattern, b.Pattern) }
	var exact, prefixes []Rule
	for _, r := range list {
		if r.Prefix {
			prefixes = append(prefixes, r)
		} else {
			exact = append(exact, r)
		}
	}
	slices.SortStableFunc(exact, byPattern)
	slices.SortStableFunc(prefixes, byPattern)
	return newRuleTable(exact, prefixes)
}

// list returns all rules, the exact ones first, each kind in order.
func (t *ruleTable) list() []Rule {
	if t == nil {
		return nil
	}
	return slices.Concat(t.exact, t.prefixes)
}

// search returns where the pattern is or would be.
func search(list []Rule, pattern []byte) (int, bool) {
	i := sort.Search(len(list), func(i int) bool { return bytes.Compare(list[i].Pattern, pattern) >= 0 })
	return i, i < len(list) && bytes.Equal(list[i].Pattern, pattern)
}

// find returns the rule that is in force for a user key, nil if there is none.
// It takes O(log rules) comparisons and does not allocate.
func (t *ruleTable) find(key []byte) *Rule {
	if t == nil {
		return nil
	}
	if i, ok := search(t.exact, key); ok {
		return &t.exact[i]
	}
	return t.findPrefix(key)
}

// findPrefix returns the rule of the longest prefix of key. The last pattern that
// is not after key starts with all prefixes of key that have rules: they are
// among its parents.
func (t *ruleTable) findPrefix(key []byte) *Rule {
	if t == nil {
		return nil
	}
	i := int32(sort.Search(len(t.prefixes), func(i int) bool { return bytes.Compare(t.prefixes[i].Pattern, key) > 0 })) - 1
	for i >= 0 && !bytes.HasPrefix(key, t.prefixes[i].Pattern) {
		i = t.parent[i]
	}
	if i < 0 {
		return nil
	}
	return &t.prefixes[i]
}

// with returns the table with a rule added or replaced.
func (t *ruleTable) with(r Rule) *ruleTable {
	return t.edit(r.Prefix, r.Pattern, func(list []Rule, i int, found bool) []Rule {
		if found {
			list[i] = r
			return list
		}
		return slices.Insert(list, i, r)
	})
}

// without returns the table without the rule of a pattern.
func (t *ruleTable) without(pattern []byte, prefix bool) *ruleTable {
	return t.edit(prefix, pattern, func(list []Rule, i int, found bool) []Rule {
		if found {
			return slices.Delete(list, i, i+1)
		}
		return list
	})
}

func (t *ruleTable) edit(prefix bool, pattern []byte, change func(list []Rule, i int, found bool) []Rule) *ruleTable {
	if t == nil {
		t = &ruleTable{}
	}
	exact, prefixes := t.exact, t.prefixes
	list := &exact
	if prefix {
		list = &prefixes
	}
	i, found := search(*list, pattern)
	*list = change(slices.Clone(*list), i, found)
	return newRuleTable(exact, prefixes)
}

// has reports whether there is a rule of exactly this pattern.
func (t *ruleTable) has(pattern []byte, prefix bool) bool {
	if t == nil {
		return false
	}
	list := t.exact
	if prefix {
		list = t.prefixes
	}
	_, ok := search(list, pattern)
	return ok
}

// metaRetain is the kind of a log operation that changes the retention table:
//
//	change u8 (1 set, 2 remove) | flags u8 (bit 0: prefix)
//	age u64 (ms) | bytes u64 | records u64   (little-endian)
//	pattern, to the end
const metaRetain = 1

const (
	ruleSet    = 1
	ruleRemove = 2
	ruleHead   = 2 + 3*8
)

var errMeta = errors.New("malformed operation")

func appendRuleChange(dst []byte, change byte, r *Rule) []byte {
	flags := byte(0)
	if r.Prefix {
		flags = 1
	}
	dst = append(dst, change, flags)
	for _, n := range [...]uint64{r.AgeMS, r.Bytes, r.Records} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return append(dst, r.Pattern...)
}

// applyMeta returns the table after a logged change. Replay calls it with what
// the commit goroutine has logged, which calls it for its own table.
func (t *ruleTable) applyMeta(kind uint8, payload []byte) (*ruleTable, error) {
	if kind != metaRetain {
		return nil, fmt.Errorf("%w: of the unknown kind %d", errMeta, kind)
	}
	if len(payload) < ruleHead || len(payload) > ruleHead+MaxKey || payload[1] > 1 {
		return nil, fmt.Errorf("%w: a retention rule of %d bytes", errMeta, len(payload))
	}
	le := binary.LittleEndian
	r := Rule{
		Prefix: payload[1] == 1, Pattern: bytes.Clone(payload[ruleHead:]),
		AgeMS: le.Uint64(payload[2:]), Bytes: le.Uint64(payload[10:]), Records: le.Uint64(payload[18:]),
	}
	switch payload[0] {
	case ruleSet:
		return t.with(r), nil
	case ruleRemove:
		return t.without(r.Pattern, r.Prefix), nil
	}
	return nil, fmt.Errorf("%w: retention change %d", errMeta, payload[0])
}

// check reports whether a rule may be added.
func (t *ruleTable) check(r *Rule) error {
	empty := r.AgeMS == 0 && r.Bytes == 0 && r.Records == 0
	if empty || len(r.Pattern) > MaxKey || len(r.Pattern) == 0 && !r.Prefix {
		return ErrRule
	}
	if t == nil || t.has(r.Pattern, r.Prefix) {
		return nil
	}
	if len(t.exact)+len(t.prefixes) >= MaxRules || t.bytes+len(r.Pattern) > MaxRuleBytes {
		return ErrRules
	}
	return nil
}

// cutoff returns the first time that a rule's age does not hide.
func cutoff(r *Rule, now uint64) uint64 {
	if r == nil || r.AgeMS == 0 || r.AgeMS > now {
		return 0
	}
	return now - r.AgeMS
}

// maxID returns the higher of two IDs.
func maxID(a, b kv.ID) kv.ID {
	if cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Seq, b.Seq)) < 0 {
		return b
	}
	return a
}
