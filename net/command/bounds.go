package command

import (
	"bytes"
	"math"
	"math/bits"
	"strings"
	"time"

	"tskv/engine"
	"tskv/kv"
)

// bound is one end of a time range as a client wrote it. It names the IDs
// low..high: one ID for "time-seq", all IDs of a millisecond for a time. A time
// between two milliseconds has low after high, and then both ends fall right.
type bound struct {
	low, high kv.ID
	exclusive bool // "(": the named IDs themselves are left out
	last      bool // "$": low and high are the key's last ID, still to be looked up
	before    bool // lies before the first ID
}

// parseBound reads "-", "+", "$", an ID, a bare time, an RFC 3339 time, "now"
// with an optional distance ("now-5m", "now-1d12h"), or "@" and unix seconds;
// all but the first two may follow "(".
func parseBound(text []byte, now func() time.Time) (bound, error) {
	whole := text
	if len(text) == 1 {
		switch text[0] {
		case '-':
			return bound{}, nil
		case '+':
			return bound{low: kv.MaxID, high: kv.MaxID}, nil
		}
	}
	var b bound
	if len(text) > 0 && text[0] == '(' {
		b.exclusive, text = true, text[1:]
	}
	if len(text) == 1 && text[0] == '$' {
		b.last = true
		return b, nil
	}
	if id, err := kv.ParseID(text, 0); err == nil {
		b.low, b.high = id, id
		if bytes.IndexByte(text, '-') < 0 {
			b.high.Seq = math.MaxUint64
		}
		return b, nil
	}
	t, ok := parseTime(text, now)
	if !ok {
		return bound{}, errBound(whole)
	}
	if t.before {
		b.before = true
		return b, nil
	}
	b.low, b.high = kv.ID{Time: t.ms}, kv.ID{Time: t.ms, Seq: math.MaxUint64}
	if t.fraction {
		b.low, _ = b.high.Next()
	}
	return b, nil
}

// from returns the first ID of a range that starts at the bound; false if no ID
// can lie in it.
func (b *bound) from() (kv.ID, bool) {
	switch {
	case b.before:
		return kv.MinID, true
	case b.exclusive:
		return b.high.Next()
	}
	return b.low, true
}

// to returns the last ID of a range that ends at the bound; false if no ID can
// lie in it.
func (b *bound) to() (kv.ID, bool) {
	switch {
	case b.before:
		return kv.MinID, false
	case b.exclusive:
		return b.low.Prev()
	}
	return b.high, true
}

// resolve looks "$" up; false if the key holds no record.
func (b *bound) resolve(snap *engine.Snapshot, key []byte) (bool, error) {
	if !b.last {
		return true, nil
	}
	id, ok, err := snap.Last(key)
	b.settle(id)
	return ok, err
}

// settle puts the key's last ID in the place of "$".
func (b *bound) settle(last kv.ID) {
	if b.last {
		b.low, b.high, b.last = last, last, false
	}
}

// instant is a point of time in milliseconds since 1970.
type instant struct {
	ms       uint64
	fraction bool // lies after ms and before ms+1
	before   bool // lies before 1970
}

func instantOf(t time.Time) instant {
	ms := t.UnixMilli()
	if ms < 0 {
		return instant{before: true}
	}
	return instant{ms: uint64(ms), fraction: t.Nanosecond()%int(time.Millisecond) != 0}
}

// parseTime reads RFC 3339, "now", "now-5m" or "@unix-seconds". "now" is a whole
// millisecond; now is called for it only.
func parseTime(text []byte, now func() time.Time) (instant, bool) {
	switch {
	case len(text) > 1 && text[0] == '@':
		return parseUnix(text[1:])
	case bytes.HasPrefix(text, []byte("now")):
		present := now().Truncate(time.Millisecond)
		rest := text[len("now"):]
		if len(rest) == 0 {
			return instantOf(present), true
		}
		d, ok := parseDistance(rest)
		return instantOf(present.Add(d)), ok
	case len(text) >= len("2006-01-02T15:04:05Z") && len(text) <= 40 && text[4] == '-':
		t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(string(text))) // it may be written with t and z
		return instantOf(t), err == nil
	}
	return instant{}, false
}

// parseUnix reads seconds with an optional sign and fraction.
func parseUnix(text []byte) (instant, bool) {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, digits, dotted := bytes.Cut(text, []byte{'.'})
	seconds, ok := kv.ParseUint(whole)
	if !ok || dotted && (len(digits) == 0 || len(digits) > 9) {
		return instant{}, false
	}
	var nanos uint64
	if dotted {
		if nanos, ok = kv.ParseUint(digits); !ok {
			return instant{}, false
		}
		for range 9 - len(digits) {
			nanos *= 10
		}
	}
	over, ms := bits.Mul64(seconds, 1000)
	ms, carry := bits.Add64(ms, nanos/1e6, 0)
	if over != 0 || carry != 0 {
		return instant{}, false
	}
	if negative && (seconds > 0 || nanos > 0) {
		return instant{before: true}, true
	}
	return instant{ms: ms, fraction: nanos%1e6 != 0}, true
}

// parseDistance reads a sign and a duration.
func parseDistance(text []byte) (time.Duration, bool) {
	if text[0] != '-' && text[0] != '+' {
		return 0, false
	}
	d, ok := parseDuration(string(text[1:]))
	if text[0] == '-' {
		d = -d
	}
	return d, ok
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// parseDuration reads a Go duration without sign that may also have the units d
// and w, such as "1w2d", "1.5h" or "90s".
func parseDuration(text string) (time.Duration, bool) {
	if text == "" || len(text) > 64 {
		return 0, false
	}
	var total time.Duration
	for text != "" {
		n := 0
		for n < len(text) && (text[n] >= '0' && text[n] <= '9' || text[n] == '.') {
			n++
		}
		end := n
		for end < len(text) && text[end] != '.' && (text[end] < '0' || text[end] > '9') {
			end++
		}
		d, ok := parseQuantity(text[:n], text[n:end])
		if !ok || total > math.MaxInt64-d {
			return 0, false
		}
		total += d
		text = text[end:]
	}
	return total, true
}

func parseQuantity(number, unit string) (time.Duration, bool) {
	var scale time.Duration = 1
	switch unit {
	case "d":
		unit, scale = "h", day/time.Hour
	case "w":
		unit, scale = "h", week/time.Hour
	}
	if number == "" || unit == "" || strings.ContainsAny(unit, "+-") {
		return 0, false
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil || d > math.MaxInt64/scale {
		return 0, false
	}
	return d * scale, true
}

// parsePutID reads the ID of a write: "*", "time-*", "time-seq" or "time", where
// time may also be RFC 3339, "now", "now-5m" or "@unix-seconds".
func parsePutID(text []byte, now func() time.Time) (kv.ID, engine.IDMode, error) {
	if len(text) == 1 && text[0] == '*' {
		return kv.ID{}, engine.IDAuto, nil
	}
	mode := engine.IDExplicit
	if id, err := kv.ParseID(text, 0); err == nil {
		return id, mode, nil
	}
	text, next := bytes.CutSuffix(text, []byte("-*"))
	if next {
		mode = engine.IDAutoSeq
		if ms, ok := kv.ParseUint(text); ok {
			return kv.ID{Time: ms}, mode, nil
		}
	}
	t, ok := parseTime(text, now)
	if !ok || t.before {
		return kv.ID{}, 0, errInvalidID
	}
	return kv.ID{Time: t.ms}, mode, nil
}
