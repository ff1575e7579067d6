package command

import (
	"math"
	"strings"
	"testing"
	"time"

	"tskv/engine"
	"tskv/kv"
)

func testNow() time.Time { return time.UnixMilli(fixedNow).UTC() }

func TestParseBound(t *testing.T) {
	const top = math.MaxUint64
	for _, c := range []struct {
		text     string
		from, to kv.ID
		noFrom   bool
		noTo     bool
	}{
		{text: "-", from: kv.MinID, to: kv.MinID},
		{text: "+", from: kv.MaxID, to: kv.MaxID},
		{text: "5-3", from: kv.ID{Time: 5, Seq: 3}, to: kv.ID{Time: 5, Seq: 3}},
		{text: "(5-3", from: kv.ID{Time: 5, Seq: 4}, to: kv.ID{Time: 5, Seq: 2}},
		{text: "5", from: kv.ID{Time: 5}, to: kv.ID{Time: 5, Seq: top}},
		{text: "(5", from: kv.ID{Time: 6}, to: kv.ID{Time: 4, Seq: top}},
		{text: "(0-0", from: kv.ID{Seq: 1}, noTo: true},
		{text: "(18446744073709551615-18446744073709551615", noFrom: true, to: kv.ID{Time: top, Seq: top - 1}},
		{text: "now", from: kv.ID{Time: fixedNow}, to: kv.ID{Time: fixedNow, Seq: top}},
		{text: "now-5m", from: kv.ID{Time: fixedNow - 300_000}, to: kv.ID{Time: fixedNow - 300_000, Seq: top}},
		{text: "now+1.5s", from: kv.ID{Time: fixedNow + 1500}, to: kv.ID{Time: fixedNow + 1500, Seq: top}},
		{text: "now-1w2d3h", from: kv.ID{Time: fixedNow - (9*24+3)*3_600_000}, to: kv.ID{Time: fixedNow - (9*24+3)*3_600_000, Seq: top}},
		{text: "now-100w100w", from: kv.ID{Time: fixedNow - 200*7*86_400_000}, to: kv.ID{Time: fixedNow - 200*7*86_400_000, Seq: top}},
		{text: "now-5000w", from: kv.MinID, noTo: true},
		{text: "@1700000000", from: kv.ID{Time: 1_700_000_000_000}, to: kv.ID{Time: 1_700_000_000_000, Seq: top}},
		{text: "@0.25", from: kv.ID{Time: 250}, to: kv.ID{Time: 250, Seq: top}},
		{text: "@0.2504", from: kv.ID{Time: 251}, to: kv.ID{Time: 250, Seq: top}},
		{text: "(@0.2504", from: kv.ID{Time: 251}, to: kv.ID{Time: 250, Seq: top}},
		{text: "@-3", from: kv.MinID, noTo: true},
		{text: "2024-01-02T03:04:05Z", from: kv.ID{Time: 1_704_164_645_000}, to: kv.ID{Time: 1_704_164_645_000, Seq: top}},
		{text: "2024-01-02t03:04:05z", from: kv.ID{Time: 1_704_164_645_000}, to: kv.ID{Time: 1_704_164_645_000, Seq: top}},
		{text: "2024-01-02T04:04:05.5+01:00", from: kv.ID{Time: 1_704_164_645_500}, to: kv.ID{Time: 1_704_164_645_500, Seq: top}},
		{text: "1969-12-31T23:59:59Z", from: kv.MinID, noTo: true},
	} {
		b, err := parseBound([]byte(c.text), testNow)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		from, ok := b.from()
		if ok == c.noFrom || ok && from != c.from {
			t.Errorf("%s: starts at %v %v, want %v", c.text, from, ok, c.from)
		}
		to, ok := b.to()
		if ok == c.noTo || ok && to != c.to {
			t.Errorf("%s: ends at %v %v, want %v", c.text, to, ok, c.to)
		}
	}
	for _, text := range []string{
		"", "(", "x", "--", "(-", "(+", "5-", "-5", "5-3-1", "now-", "now5m", "now-5", "now-m", "now-5y", "now--5m", "now-5m ",
		"@", "@x", "@1.", "@1.0000000001", "@18446744073709551615", "2024-01-02", "2024-13-02T03:04:05Z", "now-1000000w", "$$",
		"99999999999999999999-0", "((5", "now-" + strings.Repeat("1w", 50),
	} {
		if b, err := parseBound([]byte(text), testNow); err == nil {
			t.Errorf("%q is taken as %+v", text, b)
		}
	}
}

func TestParsePutID(t *testing.T) {
	for _, c := range []struct {
		text string
		id   kv.ID
		mode engine.IDMode
	}{
		{"*", kv.ID{}, engine.IDAuto},
		{"7-*", kv.ID{Time: 7}, engine.IDAutoSeq},
		{"7-9", kv.ID{Time: 7, Seq: 9}, engine.IDExplicit},
		{"7", kv.ID{Time: 7}, engine.IDExplicit},
		{"now", kv.ID{Time: fixedNow}, engine.IDExplicit},
		{"now-1s", kv.ID{Time: fixedNow - 1000}, engine.IDExplicit},
		{"now-*", kv.ID{Time: fixedNow}, engine.IDAutoSeq},
		{"now-1s-*", kv.ID{Time: fixedNow - 1000}, engine.IDAutoSeq},
		{"@1.5", kv.ID{Time: 1500}, engine.IDExplicit},
		{"2024-01-02T03:04:05Z-*", kv.ID{Time: 1_704_164_645_000}, engine.IDAutoSeq},
	} {
		id, mode, err := parsePutID([]byte(c.text), testNow)
		if err != nil || id != c.id || mode != c.mode {
			t.Errorf("%s: %v %v %v", c.text, id, mode, err)
		}
	}
	for _, text := range []string{"", "-", "+", "$", "**", "*-*", "-*", "7-", "(7", "-1", "@-1", "1-2-*", "1969-01-01T00:00:00Z"} {
		if id, mode, err := parsePutID([]byte(text), testNow); err == nil {
			t.Errorf("%q is taken as %v %v", text, id, mode)
		}
	}
}

func FuzzBound(f *testing.F) {
	for _, seed := range []string{"-", "+", "$", "($", "1-2", "(1", "now-5m", "@17.25", "2024-01-02T03:04:05Z", "now-1w2d", "1-*"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBound(text, testNow)
		if err == nil && !b.last {
			from, ok1 := b.from()
			to, ok2 := b.to()
			if b.exclusive && ok1 && ok2 && !b.before && !to.Less(from) {
				t.Fatalf("%q: an exclusive bound contains %v..%v", text, from, to)
			}
		}
		if _, _, err := parsePutID(text, testNow); err == nil && len(text) == 0 {
			t.Fatal("an empty ID is taken")
		}
	})
}
