package kv

import (
	"math"
	"math/big"
	"strings"
	"testing"
)

var decimalTexts = []struct {
	text     string
	mantissa int64
	scale    uint8
}{
	{"0", 0, 0},
	{"7", 7, 0},
	{"-7", -7, 0},
	{"10", 10, 0},
	{"100", 100, 0},
	{"21.5", 215, 1},
	{"21.50", 2150, 2},
	{"0.0", 0, 1},
	{"0.5", 5, 1},
	{"-0.5", -5, 1},
	{"0.05", 5, 2},
	{"0.000", 0, 3},
	{"-0.01", -1, 2},
	{"1.0", 10, 1},
	{"123456.7", 1234567, 1},
	{"999999999999999999", 999999999999999999, 0},
	{"-999999999999999999", -999999999999999999, 0},
	{"99999999999999999.9", 999999999999999999, 1},
	{"9.99999999999999999", 999999999999999999, 17},
	{"0.999999999999999999", 999999999999999999, 18},
	{"-0.999999999999999999", -999999999999999999, 18},
	{"0.000000000000000000", 0, 18},
	{"-0.000000000000000001", -1, 18},
}

func TestDecimal(t *testing.T) {
	for _, c := range decimalTexts {
		mantissa, scale, ok := ParseDecimal([]byte(c.text))
		if mantissa != c.mantissa || scale != c.scale || !ok {
			t.Errorf("ParseDecimal(%q) = %d, %d, %v", c.text, mantissa, scale, ok)
		}
		var row Row
		row.SetValue([]byte(c.text))
		if got := string(row.AppendValue(nil)); row.Form != Form(c.scale) || row.Num != c.mantissa || got != c.text {
			t.Errorf("SetValue(%q): form %#x, number %d, value %q", c.text, row.Form, row.Num, got)
		}
		if got := string(AppendDecimal([]byte("x"), c.mantissa, c.scale)); got != "x"+c.text {
			t.Errorf("AppendDecimal(%d, %d) = %q, want %q", c.mantissa, c.scale, got, c.text)
		}
	}
}

var notDecimals = []string{
	"", "-", ".", "-.", "+1", "--1", "-0", "-0.0", "-0.000", "00", "01", "-01", "00.5", "007", "1.", "-1.", ".5", "-.5",
	"1.2.3", "1..2", "1e3", "1e-7", "1E3", "NaN", "Inf", "0x10", "1_000", "1,5", " 1", "1 ", "1\n", "1\x00", "\xff", "/", ":",
	"1000000000000000000", "-1000000000000000000", "9999999999999999999", "99999999999999999999", "100000000000000000.0",
	"1.000000000000000000", "0.0000000000000000000", "0.9999999999999999999", "123456789.0123456789",
	"18446744073709551616", "18446744073709551617", "0000000000000000000001", "1-", "1-2", "1.-2", "1.2-",
}

func TestNotDecimal(t *testing.T) {
	for _, text := range notDecimals {
		if mantissa, scale, ok := ParseDecimal([]byte(text)); ok {
			t.Errorf("ParseDecimal(%q) = %d, %d", text, mantissa, scale)
		}
		var row Row
		row.SetValue([]byte(text))
		if got := row.AppendValue(nil); row.Form != FormRaw || string(got) != text {
			t.Errorf("SetValue(%q): form %#x, value %q", text, row.Form, got)
		}
	}
}

// canonicalDecimal is the rule of STORAGE, spelled out slowly.
func canonicalDecimal(text string) (mantissa *big.Int, scale int, ok bool) {
	unsigned := strings.TrimPrefix(text, "-")
	whole, fraction, point := strings.Cut(unsigned, ".")
	digits := whole + fraction
	if strings.Trim(digits, "0123456789") != "" || whole == "" || point == (fraction == "") || len(fraction) > MaxScale {
		return nil, 0, false
	}
	if len(whole) > 1 && whole[0] == '0' {
		return nil, 0, false
	}
	m, _ := new(big.Int).SetString(digits, 10)
	if m.CmpAbs(big.NewInt(mantissaLimit)) >= 0 || m.Sign() == 0 && unsigned != text {
		return nil, 0, false
	}
	if unsigned != text {
		m.Neg(m)
	}
	return m, len(fraction), true
}

func checkDecimalText(t *testing.T, text string) {
	t.Helper()
	mantissa, scale, ok := ParseDecimal([]byte(text))
	wantMantissa, wantScale, want := canonicalDecimal(text)
	if ok != want {
		t.Fatalf("ParseDecimal(%q): %v, want %v", text, ok, want)
	}
	if !ok {
		return
	}
	if wantMantissa.Cmp(big.NewInt(mantissa)) != 0 || int(scale) != wantScale {
		t.Fatalf("ParseDecimal(%q) = %d, %d, want %v, %d", text, mantissa, scale, wantMantissa, wantScale)
	}
	if got := string(AppendDecimal(nil, mantissa, scale)); got != text {
		t.Fatalf("%q comes back as %q", text, got)
	}
}

// TestDecimalBijection goes from text to numbers and from numbers to text.
func TestDecimalBijection(t *testing.T) {
	rng := newRand(t)
	const alphabet = "00123456789..-"
	for range 50_000 {
		text := make([]byte, 1+rng.IntN(22))
		for i := range text {
			text[i] = alphabet[rng.IntN(len(alphabet))]
		}
		checkDecimalText(t, string(text))
		mantissa := rng.Int64N(mantissaLimit) >> rng.IntN(60)
		if rng.IntN(2) == 0 {
			mantissa = -mantissa
		}
		scale := uint8(rng.IntN(MaxScale + 1))
		out := AppendDecimal(nil, mantissa, scale)
		m, s, ok := ParseDecimal(out)
		if m != mantissa || s != scale || !ok {
			t.Fatalf("%d, %d is written %q and read %d, %d, %v", mantissa, scale, out, m, s, ok)
		}
	}
}

func TestAppendDecimalOutOfBounds(t *testing.T) {
	for _, c := range []struct {
		mantissa int64
		scale    uint8
		want     string
	}{
		{math.MaxInt64, 0, "9223372036854775807"},
		{math.MinInt64, 0, "-9223372036854775808"},
		{math.MinInt64, 18, "-9.223372036854775808"},
	} {
		got := AppendDecimal(nil, c.mantissa, c.scale)
		if string(got) != c.want {
			t.Errorf("AppendDecimal(%d, %d) = %q", c.mantissa, c.scale, got)
		}
		if _, _, ok := ParseDecimal(got); ok {
			t.Errorf("%q parses", got)
		}
	}
	mustPanic(t, "BUG: kv: ", func() { AppendDecimal(nil, 1, MaxScale+1) })
}

func TestValidMantissa(t *testing.T) {
	const limit = mantissaLimit
	for m, want := range map[int64]bool{
		0: true, 1: true, -1: true, limit - 1: true, 1 - limit: true, limit: false, -limit: false,
		math.MaxInt64: false, math.MinInt64: false, math.MaxInt64 - limit + 2: false,
	} {
		if validMantissa(m) != want {
			t.Errorf("validMantissa(%d) = %v", m, !want)
		}
	}
}

func TestDecimalAllocations(t *testing.T) {
	buf := make([]byte, 0, 64)
	text := []byte("-123456.789")
	if n := testing.AllocsPerRun(100, func() {
		m, s, _ := ParseDecimal(text)
		buf = AppendDecimal(buf[:0], m, s)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// mustPanic runs fn and checks that it panics with a text that starts with prefix.
func mustPanic(t *testing.T, prefix string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if s, ok := recover().(string); !ok || !strings.HasPrefix(s, prefix) {
			t.Errorf("panic %q, want %q", s, prefix)
		}
	}()
	fn()
}

func FuzzParseDecimal(f *testing.F) {
	for _, c := range decimalTexts {
		f.Add(c.text)
	}
	for _, text := range notDecimals {
		f.Add(text)
	}
	f.Fuzz(checkDecimalText)
}
