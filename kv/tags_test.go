package kv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func tagSet(t testing.TB, tags ...string) TagSet {
	t.Helper()
	list := make([][]byte, len(tags))
	for i, tag := range tags {
		list[i] = []byte(tag)
	}
	set, err := MakeTagSet(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestMakeTagSet(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a", "\x01a"},
		{"b a", "\x01a\x01b"},
		{"a b a b a", "\x01a\x01b"},
		{"bb b ba", "\x01b\x02ba\x02bb"},
	} {
		set := tagSet(t, strings.Fields(c.in)...)
		if string(set) != c.want {
			t.Errorf("%q: %q", c.in, set)
		}
		if err := CheckTagSet(set); err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
	}
	if set := tagSet(t); set != nil {
		t.Errorf("no tags: %v", set)
	}
	long := strings.Repeat("x", MaxTag)
	if set := tagSet(t, long); !bytes.HasPrefix(set, []byte("\xff\x01xxx")) || set.Len() != 1 {
		t.Errorf("longest tag: %q", set)
	}
}

func TestMakeTagSetBounds(t *testing.T) {
	var many [][]byte
	for i := range MaxTags {
		many = append(many, fmt.Appendf(nil, "%0255d", i))
	}
	set, err := MakeTagSet(append(many, many...))
	if err != nil || set.Len() != MaxTags || len(set) != MaxTagSet || CheckTagSet(set) != nil {
		t.Errorf("most tags: %d in %d bytes, %v, %v", set.Len(), len(set), err, CheckTagSet(set))
	}
	for name, tags := range map[string][][]byte{
		"one too many": append(slices.Clone(many), []byte("x")),
		"empty":        {[]byte("a"), {}},
		"too long":     {bytes.Repeat([]byte("x"), MaxTag+1)},
	} {
		if set, err := MakeTagSet(tags); !errors.Is(err, ErrTags) || set != nil {
			t.Errorf("%s: %q, %v", name, set, err)
		}
	}
}

func TestMakeTagSetLeavesInput(t *testing.T) {
	tags := [][]byte{[]byte("b"), []byte("a")}
	set, err := MakeTagSet(tags)
	if err != nil || string(tags[0]) != "b" || string(tags[1]) != "a" {
		t.Fatalf("%q, %v", tags, err)
	}
	tags[0][0] = 'z'
	if string(set) != "\x01a\x01b" {
		t.Errorf("the set shares memory: %q", set)
	}
}

func TestCheckTagSet(t *testing.T) {
	for name, b := range map[string]string{
		"zero length":       "\x00",
		"cut":               "\x02a",
		"no bytes":          "\x05",
		"cut length":        "\x80",
		"not the shortest":  "\x81\x00a",
		"length over bound": "\x80\x02" + strings.Repeat("x", 256),
		"three bytes":       "\x80\x80\x01",
		"not sorted":        "\x01b\x01a",
		"twice":             "\x01a\x01a",
		"too many":          manyTags(MaxTags + 1),
		"too long":          strings.Repeat("\x01a", MaxTagSet),
	} {
		if err := CheckTagSet([]byte(b)); !errors.Is(err, ErrTags) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]string{"empty": "", "most": manyTags(MaxTags)} {
		if err := CheckTagSet([]byte(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\x03%03d", i)
	}
	return b.String()
}

func TestTagSetQueries(t *testing.T) {
	rng := newRand(t)
	words := []string{"a", "aa", "ab", "b", "ba", "c", "\x00", "\xff"}
	pick := func() (TagSet, map[string]bool) {
		chosen := map[string]bool{}
		var list []string
		for range rng.IntN(6) {
			w := words[rng.IntN(len(words))]
			chosen[w] = true
			list = append(list, w)
		}
		return tagSet(t, list...), chosen
	}
	for range 5000 {
		a, inA := pick()
		b, inB := pick()
		all := true
		for w := range inB {
			all = all && inA[w]
		}
		if a.HasAll(b) != all {
			t.Fatalf("%q.HasAll(%q) = %v", a, b, !all)
		}
		if a.Len() != len(inA) {
			t.Fatalf("%q.Len() = %d", a, a.Len())
		}
		for _, w := range words {
			if a.Has([]byte(w)) != inA[w] {
				t.Fatalf("%q.Has(%q) = %v", a, w, !inA[w])
			}
		}
		var last []byte
		for tag := range a.All() {
			if !inA[string(tag)] || bytes.Compare(last, tag) >= 0 {
				t.Fatalf("%q: tag %q", a, tag)
			}
			last = tag
		}
	}
	for tag := range tagSet(t, "a", "b").All() {
		if string(tag) != "a" {
			t.Fatalf("%q after the loop was left", tag)
		}
		break
	}
}

func FuzzTagSet(f *testing.F) {
	for _, seed := range []string{"", "\x01a", "\x01a\x02bc", "\xff\x01" + strings.Repeat("x", 255), "\x80", "\x01b\x01a", "\x00", "\x81\x00a", "\x7f"} {
		f.Add([]byte(seed), []byte("a"))
	}
	f.Fuzz(func(t *testing.T, b, tag []byte) {
		set := TagSet(b)
		list := slices.Collect(set.All())
		if len(list) != set.Len() {
			t.Fatalf("%d tags, Len %d", len(list), set.Len())
		}
		has := set.Has(tag)
		if !set.HasAll(nil) {
			t.Fatal("the empty set is in every set")
		}
		if err := CheckTagSet(b); err != nil {
			if !errors.Is(err, ErrTags) {
				t.Fatal(err)
			}
			return
		}
		again, err := MakeTagSet(list)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q is made again as %q, %v", b, again, err)
		}
		if has != slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, tag) }) || !set.HasAll(set) {
			t.Fatalf("%q.Has(%q) = %v", b, tag, has)
		}
	})
}
