package engine

import (
	"fmt"
	"math/rand/v2"

	"tskv/kv"
)

// operation is one step of a history. Everything random in it is drawn when the
// history is made, and what depends on the state (the ID of some record, say) is
// settled when it runs on the model, so it does the same on every store.
type operation interface {
	// onModel runs it on the model and returns the answer that is right.
	onModel(w *world) string
	// onStore runs it on a store and returns the answer.
	onStore(s *subject) string
	// String shows it, settled if it has run on the model.
	String() string
}

// move is an operation and the time that the stores' clock shows, in ms.
type move struct {
	now uint64
	op  operation
}

func (s move) String() string { return fmt.Sprintf("at %d %s", s.now, s.op) }

// generator draws histories. Other operations are added to draw.
type generator struct {
	rng  *rand.Rand
	now  uint64
	keys int
	// retains: rules and expiries are drawn, which leave less data.
	retains bool
}

func newGenerator(seed uint64) *generator {
	rng := rand.New(rand.NewPCG(seed, 16))
	return &generator{rng: rng, now: 1_700_000_000_000 + rng.Uint64N(1e9), keys: 2 + rng.IntN(8), retains: seed%2 == 0}
}

// history draws n steps.
func (g *generator) history(n int) []move {
	steps := make([]move, n)
	for i := range steps {
		g.now += g.rng.Uint64N(4)
		if g.one(30) {
			g.now += g.rng.Uint64N(5 * 86_400_000) // files' windows close
		}
		steps[i] = move{g.now, g.draw()}
	}
	return steps
}

// one is true once in n times.
func (g *generator) one(n int) bool { return g.rng.IntN(n) == 0 }

func (g *generator) draw() operation {
	choices := []struct {
		weight int
		draw   func() operation
	}{
		{26, func() operation { return g.write() }},
		{5, func() operation { return g.bulk() }},
		{8, func() operation { return g.update() }},
		{7, func() operation { return &deleteRangeStep{g.key(), g.end(), g.end()} }},
		{2, func() operation { return &deleteKeyStep{g.key()} }},
		{17, func() operation { return g.scan() }},
		{8, func() operation { return &countStep{g.ask()} }},
		{10, func() operation { return &getStep{g.key(), g.end()} }},
		{2, func() operation { return &listStep{} }},
		{2, func() operation { return &holdStep{} }},
		{3, func() operation { return &recallStep{g.ask()} }},
		{4, func() operation { return &maintainStep{"flush"} }},
		{3, func() operation { return &maintainStep{"compact"} }},
		{1, func() operation { return &maintainStep{"reopen"} }},
		{1, func() operation { return &maintainStep{"kill"} }},
	}
	if g.one(250) {
		return &clearStep{}
	}
	if g.retains && g.one(20) {
		if g.one(2) {
			return g.retain()
		}
		return g.expire()
	}
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := g.rng.IntN(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			return c.draw()
		}
	}
	panic("BUG: engine: no operation")
}

func (g *generator) key() string { return fmt.Sprintf("key:%d", g.rng.IntN(g.keys)) }

// spot is an ID: a fixed one, or that of a record of the key if it has any.
type spot struct {
	id    kv.ID
	nth   int // of the key's records, modulo their number; -1: id
	shift int // by so many IDs
}

func (p *spot) settle(w *world, key string) kv.ID {
	id := p.id
	if rows := w.rows(key); p.nth >= 0 && len(rows) > 0 {
		id = rows[p.nth%len(rows)].id
	}
	switch p.shift {
	case 1:
		if next, ok := id.Next(); ok {
			return next
		}
	case -1:
		if previous, ok := id.Prev(); ok {
			return previous
		}
	}
	return id
}

// id draws an ID for a write: around now, late, very late; sometimes at an end
// of all IDs.
func (g *generator) id() kv.ID {
	id := kv.ID{Seq: g.rng.Uint64N(3)}
	switch n := g.rng.IntN(100); {
	case n < 60:
		id.Time = g.now + g.rng.Uint64N(20) - 10
	case n < 80:
		id.Time = g.now - g.rng.Uint64N(100_000)
	case n < 99:
		id.Time = g.now - g.rng.Uint64N(20)*86_400_000*5
	case g.one(5):
		return []kv.ID{kv.MinID, kv.MaxID}[g.rng.IntN(2)]
	}
	return id
}

// end draws an end of a range, or the time of a GET.
func (g *generator) end() spot {
	p := spot{id: g.id(), nth: -1}
	switch g.rng.IntN(6) {
	case 0:
		p.id = kv.MinID
	case 1:
		p.id = kv.MaxID
	case 2, 3, 4:
		p.nth, p.shift = g.rng.IntN(1<<30), g.rng.IntN(3)-1
	}
	return p
}

var tagPool = []string{"a", "b", "c", "rare"}

func (g *generator) tags() kv.TagSet {
	var tags [][]byte
	for _, tag := range tagPool {
		if g.one(4) && (tag != "rare" || g.one(10)) {
			tags = append(tags, []byte(tag))
		}
	}
	set, err := kv.MakeTagSet(tags)
	if err != nil {
		panic(err)
	}
	return set
}

func (g *generator) value() string {
	switch g.rng.IntN(8) {
	case 0:
		return fmt.Sprintf("event %d {\"a\":%d}", g.rng.IntN(1000), g.rng.IntN(10))
	case 1:
		return fmt.Sprintf("%d%0*d", g.rng.IntN(9), g.rng.IntN(3000), 7)
	case 2:
		return ""
	}
	return fmt.Sprintf("%d.%02d", g.rng.IntN(1000)-500, g.rng.IntN(100))
}

// putStep is one PUT.
type putStep struct {
	key   string
	mode  IDMode
	at    spot
	id    kv.ID // at, settled
	cond  Condition
	wrong bool  // IfLast with another ID than the last
	after kv.ID // settled
	value string
	tags  kv.TagSet
}

func (g *generator) put() putStep {
	p := putStep{key: g.key(), at: spot{id: g.id(), nth: -1}, value: g.value()}
	switch n := g.rng.IntN(20); {
	case n < 6:
		p.mode = IDAuto
	case n < 8:
		p.mode = IDAutoSeq
	case n < 12:
		p.at.nth, p.at.shift = g.rng.IntN(1<<30), g.rng.IntN(3)/2
	}
	if g.one(4) {
		p.cond, p.wrong = Condition(g.rng.IntN(4)), g.one(3)
	}
	if g.one(2) {
		p.tags = g.tags()
	}
	return p
}

// settle fixes what depends on the state and returns the right answer.
func (p *putStep) settle(w *world) string {
	p.id = p.at.settle(w, p.key)
	p.after = kv.ID{}
	if h := w.keys[p.key]; h != nil {
		p.after = h.last
	}
	if p.wrong {
		p.after.Seq++
	}
	return w.put(p)
}

// writeStep is a batch of puts, one group.
type writeStep struct{ puts []putStep }

func (g *generator) write() operation {
	o := &writeStep{}
	for range 1 + g.rng.IntN(12) {
		o.puts = append(o.puts, g.put())
	}
	return o
}

// bulkStep writes many records of a key in a row.
type bulkStep struct {
	key   string
	from  spot
	start kv.ID // from, settled
	n     int
	every uint64 // ms
	seed  uint64 // of values and tags
	wide  bool   // values of 1 KiB, of which few fill a block
}

func (g *generator) bulk() operation {
	o := &bulkStep{key: g.key(), from: g.end(), n: 100 + g.rng.IntN(1200), every: 1, seed: g.rng.Uint64(), wide: g.one(4)}
	switch {
	case g.one(3):
		o.every = 1 + g.rng.Uint64N(2000)
	case g.one(8):
		o.n = 9000 // more than a block
		if o.wide {
			o.n = 2500 // more blocks than a leaf of their list has
		}
	}
	if o.from.nth < 0 {
		o.from.id = g.id()
	}
	return o
}

// events returns the records of a bulk.
func (o *bulkStep) events() []fact {
	g := generator{rng: rand.New(rand.NewPCG(o.seed, 1))}
	tagged := g.rng.IntN(3)
	out := make([]fact, 0, o.n)
	id := o.start
	for i := range o.n {
		e := fact{id: id, value: fmt.Sprintf("%d.%d", i, g.rng.IntN(9))}
		if o.wide {
			e.value = fmt.Sprintf("%d %01000d", g.rng.IntN(1000), i)
		}
		if tagged == 1 && i%500 == 250 || tagged == 2 {
			e.tags = g.tags()
		}
		out = append(out, e)
		if id.Time += o.every; id.Time < o.start.Time {
			break
		}
	}
	return out
}

// updateStep is a transaction: puts, reads and deletes.
type updateStep struct {
	steps []txStep
	fails bool
}

type txStep struct {
	what     string
	put      putStep
	at       spot
	from, to spot
	settled  [3]kv.ID // at, from, to
}

func (g *generator) update() operation {
	o := &updateStep{fails: g.one(3)}
	for range 1 + g.rng.IntN(6) {
		s := txStep{what: "put", put: g.put(), at: g.end(), from: g.end(), to: g.end()}
		switch n := g.rng.IntN(20); {
		case n < 5:
			s.what = "get"
		case n < 6:
			s.what = "delete"
		case n < 8:
			s.what = "deleteRange"
		case n < 9:
			s.what = "exists"
		}
		o.steps = append(o.steps, s)
	}
	return o
}

// deleteRangeStep, deleteKeyStep and clearStep delete.
type deleteRangeStep struct {
	key      string
	from, to spot
}
type (
	deleteKeyStep struct{ key string }
	clearStep     struct{}
)

// ask is what SCAN and COUNT ask for.
type ask struct {
	from, to spot
	query    // settled but for the ends
}

func (g *generator) ask() ask {
	a := ask{from: g.end(), to: g.end(), query: query{key: g.key()}}
	o := &a.opt
	o.Reverse = g.one(2)
	if g.one(2) {
		o.Limit = 1 + g.rng.Uint64N(20)
	}
	if g.one(3) {
		o.Offset = g.rng.Uint64N(uint64(1) << g.rng.IntN(14))
	}
	if g.one(2) {
		o.Tags = g.tags()
	}
	if g.one(3) {
		a.from, a.to = spot{nth: -1}, spot{id: kv.MaxID, nth: -1}
	}
	return a
}

type scanStep struct {
	ask
	keysOnly bool
}

func (g *generator) scan() operation { return &scanStep{g.ask(), g.one(4)} }

type countStep struct{ ask }

// getStep is GETREC AT.
type getStep struct {
	key string
	at  spot
}

type listStep struct {
	counted bool // settled: the store's number of keys is exact
}

// holdStep takes a snapshot and lets go of the one before; recallStep scans it.
type (
	holdStep   struct{}
	recallStep struct{ ask }
)

// maintainStep is what no answer may change by: flush, compact, reopen, kill.
type maintainStep struct{ what string }
