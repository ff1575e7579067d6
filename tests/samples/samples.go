// Package samples generates the data that the sizes on disk are measured with:
// five kinds of numeric series, 10 s apart with 0 to 5 ms of jitter, and events
// as JSON of 216 bytes with changing fields. The same seed gives the same rows.
// Only tests import it. It knows kv and refuses to know where rows go.
package samples

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"tskv/kv"
)

// Start is the time of the first row, and Interval the distance of two rows, in
// milliseconds; each row is up to Jitter late.
const (
	Start    = 1_700_000_000_000
	Interval = 10_000
	Jitter   = 5
)

// EventBytes is the length of every event.
const EventBytes = 216

// Kind is a kind of numeric series.
type Kind struct {
	Name   string
	Target float64 // bytes per row on disk after compaction that tskv promises at most
	scale  uint8
	first  int64
	next   func(rng *rand.Rand, last int64) int64
}

// Kinds returns all kinds of numeric series.
func Kinds() []Kind {
	return []Kind{
		// Requests or bytes since the start of a process.
		{"counter", 1.80, 0, 0, func(rng *rand.Rand, last int64) int64 { return last + 1000 + rng.Int64N(1000) }},
		// A load or a price: a random walk in steps of up to 0.20.
		{"gauge", 1.36, 2, 2150, func(rng *rand.Rand, last int64) int64 { return last + rng.Int64N(41) - 20 }},
		// A room's temperature: one row in five is 0.1 more or less than the one before.
		{"slow gauge", 0.80, 1, 215, func(rng *rand.Rand, last int64) int64 {
			switch rng.IntN(10) {
			case 0:
				return last - 1
			case 1:
				return last + 1
			}
			return last
		}},
		// A limit, a version, a flag.
		{"constant", 0.55, 1, 215, func(_ *rand.Rand, last int64) int64 { return last }},
		// 17 digits of which each is random: what cannot be compressed.
		{"noise", 8, 16, 0, func(rng *rand.Rand, _ int64) int64 { return 1e16 + rng.Int64N(9e16) }},
	}
}

// Rows generates n rows of the kind.
func (k *Kind) Rows(seed uint64, n int) iter.Seq[kv.Row] {
	return func(yield func(kv.Row) bool) {
		rng := rand.New(rand.NewPCG(seed, 1))
		value := k.first
		for i := range n {
			value = k.next(rng, value)
			row := kv.Row{ID: kv.ID{Time: jittered(rng, i)}, Form: kv.Form(k.scale), Num: value}
			if !yield(row) {
				return
			}
		}
	}
}

func jittered(rng *rand.Rand, i int) uint64 {
	return Start + uint64(i)*Interval + rng.Uint64N(Jitter+1)
}

// Events generates n events of EventBytes each; the bytes of a row are its own.
func Events(seed uint64, n int) iter.Seq[kv.Row] {
	return func(yield func(kv.Row) bool) {
		rng := rand.New(rand.NewPCG(seed, 2))
		for i := range n {
			id := kv.ID{Time: Start + uint64(i/4), Seq: uint64(i % 4)}
			if !yield(kv.Row{ID: id, Form: kv.FormRaw, Raw: event(rng, id.Time)}) {
				return
			}
		}
	}
}

// event is the record of one request of a web service.
func event(rng *rand.Rand, ms uint64) []byte {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	status, level := 200, "info"
	if rng.IntN(20) == 0 {
		status, level = 503, "warn"
	}
	b := fmt.Appendf(nil, `{"ts":%d,"level":%q,"service":%q,"host":"web-%02d","method":%q,"path":"/api/%s/%d","status":%d,`+
		`"ms":%d.%d,"bytes":%d,"user":"u%d","trace":"%016x","agent":%q`,
		ms, level, pick("checkout", "catalog", "search"), rng.IntN(24), pick("GET", "GET", "GET", "POST"),
		pick("orders", "items", "carts"), rng.IntN(10_000), status, rng.IntN(300), rng.IntN(10), rng.IntN(20_000),
		rng.IntN(100_000), rng.Uint64(), pick("curl/8.5", "okhttp/4.9", "Go/1.26"))
	return Pad(b)
}

// Pad ends an object of less than EventBytes bytes so that it has EventBytes.
func Pad(b []byte) []byte {
	for len(b) < EventBytes-1 {
		b = append(b, ' ')
	}
	return append(b, '}')
}
