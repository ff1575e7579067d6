package kv

import (
	"errors"
	"math"
	"testing"
)

func TestParseID(t *testing.T) {
	const top = math.MaxUint64
	for _, c := range []struct {
		in   string
		bare uint64
		want ID
		ok   bool
	}{
		{"0", 0, ID{}, true},
		{"0-0", 9, ID{}, true},
		{"5", 0, ID{5, 0}, true},
		{"5", top, ID{5, top}, true},
		{"5-7", top, ID{5, 7}, true},
		{"007-01", 0, ID{7, 1}, true},
		{"1700000000000-3", 0, ID{1700000000000, 3}, true},
		{"18446744073709551615-18446744073709551615", 0, MaxID, true},
		{"18446744073709551616", 0, ID{}, false},
		{"0-18446744073709551616", 0, ID{}, false},
		{"99999999999999999999", 0, ID{}, false},
		{"000000000000000000001", 0, ID{}, false}, // 21 digits
		{"", 0, ID{}, false},
		{"-", 0, ID{}, false},
		{"-1", 0, ID{}, false},
		{"1-", 0, ID{}, false},
		{"1-2-3", 0, ID{}, false},
		{"1--2", 0, ID{}, false},
		{"+1", 0, ID{}, false},
		{"1-+2", 0, ID{}, false},
		{" 1", 0, ID{}, false},
		{"1 ", 0, ID{}, false},
		{"1.0", 0, ID{}, false},
		{"*", 0, ID{}, false},
		{"1-*", 0, ID{}, false},
		{"0x10", 0, ID{}, false},
		{"1\x00", 0, ID{}, false},
	} {
		got, err := ParseID([]byte(c.in), c.bare)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("ParseID(%q, %d) = %v, %v", c.in, c.bare, got, err)
		}
		if err != nil && !errors.Is(err, ErrInvalidID) {
			t.Errorf("ParseID(%q): error %v", c.in, err)
		}
	}
}

func TestIDText(t *testing.T) {
	for id, want := range map[ID]string{
		{}:                 "0-0",
		{1700000000000, 0}: "1700000000000-0",
		{1, 18}:            "1-18",
		MaxID:              "18446744073709551615-18446744073709551615",
	} {
		if got := id.String(); got != want {
			t.Errorf("%v: %q", want, got)
		}
		if got := string(id.Append([]byte("id="))); got != "id="+want {
			t.Errorf("Append: %q", got)
		}
		if back, err := ParseID([]byte(want), 1); back != id || err != nil {
			t.Errorf("ParseID(%q) = %v, %v", want, back, err)
		}
	}
}

func TestIDOrder(t *testing.T) {
	const top = math.MaxUint64
	ordered := []ID{{}, {0, 1}, {0, top}, {1, 0}, {1, 1}, {top, 0}, {top, top}}
	for i, a := range ordered {
		for j, b := range ordered {
			want := min(1, max(-1, i-j))
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d", a, b, got)
			}
			if a.Less(b) != (want < 0) {
				t.Errorf("%v.Less(%v)", a, b)
			}
		}
	}
}

func TestIDNeighbours(t *testing.T) {
	const top = math.MaxUint64
	for _, c := range []struct{ id, next ID }{
		{ID{}, ID{0, 1}},
		{ID{7, 8}, ID{7, 9}},
		{ID{7, top}, ID{8, 0}},
		{ID{top, top - 1}, MaxID},
	} {
		if next, ok := c.id.Next(); next != c.next || !ok {
			t.Errorf("%v.Next() = %v, %v", c.id, next, ok)
		}
		if prev, ok := c.next.Prev(); prev != c.id || !ok {
			t.Errorf("%v.Prev() = %v, %v", c.next, prev, ok)
		}
	}
	if id, ok := MaxID.Next(); ok || id != MaxID {
		t.Errorf("MaxID.Next() = %v, %v", id, ok)
	}
	if id, ok := MinID.Prev(); ok || id != MinID {
		t.Errorf("MinID.Prev() = %v, %v", id, ok)
	}
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"", "0", "1-2", "-", "1-", "18446744073709551615-18446744073709551615", "18446744073709551616", "007-1", "1-2-3"} {
		f.Add([]byte(seed), uint64(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, bare uint64) {
		id, err := ParseID(text, bare)
		if err != nil {
			if id != (ID{}) || !errors.Is(err, ErrInvalidID) {
				t.Fatalf("%q: %v, %v", text, id, err)
			}
			return
		}
		again, err := ParseID(id.Append(nil), bare+1)
		if err != nil || again != id {
			t.Fatalf("%q: %v, then %v, %v", text, id, again, err)
		}
	})
}
