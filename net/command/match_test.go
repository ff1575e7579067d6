package command

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true},
		{"*", "abc", true},
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"a*c", "abbc", true},
		{"a*c", "abbd", false},
		{"**a", "bba", true},
		{"a**", "a", true},
		{"h?llo", "hello", true},
		{"h?llo", "hllo", false},
		{"?", "", false},
		{"h[ae]llo", "hallo", true},
		{"h[ae]llo", "hillo", false},
		{"h[^e]llo", "hallo", true},
		{"h[^e]llo", "hello", false},
		{"h[a-b]llo", "hbllo", true},
		{"h[b-a]llo", "hallo", true},
		{"[a-]", "-", false},
		{"[a-]", "^", true},
		{"[", "a", false},
		{"[a", "a", true},
		{"[^", "a", true},
		{"[]", "a", false},
		{"[\\]]", "]", true},
		{"[\\a-z]", "-", true},
		{"[\\a-z]", "m", false},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"a\\", "a\\", true},
		{"*[0-9]", "key7", true},
		{"*a*b*c*", "xxaxxbxxcxx", true},
		{"*a*b*c*", "xxaxxcxxbxx", false},
		{"ü*", "über", true},
	} {
		if got := match([]byte(c.pattern), []byte(c.text)); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func TestMatchIsNotExponential(t *testing.T) {
	start := time.Now()
	match([]byte(strings.Repeat("a*", 100)+"b"), []byte(strings.Repeat("a", 10_000)))
	match([]byte(strings.Repeat("*", 4000)+"b"), []byte(strings.Repeat("a", 10_000)))
	if took := time.Since(start); took > 2*time.Second {
		t.Fatalf("took %v", took)
	}
}

func TestLiteralPrefix(t *testing.T) {
	for pattern, want := range map[string]string{"": "", "abc": "abc", "a*": "a", "*a": "", "a\\*": "a", "k[1": "k", "x?": "x"} {
		if got := literalPrefix([]byte(pattern)); string(got) != want {
			t.Errorf("%q: %q", pattern, got)
		}
	}
}

// FuzzMatch compares with the recursive form of the same rules.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"a*b", "aab"}, {"[^a-z]*", "1"}, {"\\[*", "[x"}, {"*?[", "ab"}} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		if len(pattern) > 12 || len(text) > 16 {
			return
		}
		got, want := match(pattern, text), slowMatch(pattern, text)
		if got != want {
			t.Fatalf("match(%q, %q) = %v", pattern, text, got)
		}
		if prefix := literalPrefix(pattern); got && !strings.HasPrefix(string(text), string(prefix)) {
			t.Fatalf("%q matches %q without its prefix %q", pattern, text, prefix)
		}
	})
}

func slowMatch(pattern, text []byte) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		return slowMatch(pattern[1:], text) || len(text) > 0 && slowMatch(pattern, text[1:])
	}
	if len(text) == 0 {
		return false
	}
	ok, n := matchOne(pattern, text[0])
	return ok && slowMatch(pattern[n:], text[1:])
}
