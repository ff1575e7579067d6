package engine

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"tskv/kv"
)

// world is the store as sorted lists: what every option set must equal.
type world struct {
	keys map[string]*past
	held *world // what the held snapshot shows; nil: none is held
	now  uint64

	rules    []Rule
	expiring bool // some key has ever had an expiry
}

// past is one key of a world.
type past struct {
	rows   []fact // ascending
	last   kv.ID  // the highest ID ever given since the key was born
	filled bool

	expires uint64 // ms since 1970; 0: never
}

type fact struct {
	id    kv.ID
	value string
	tags  kv.TagSet
}

func newWorld() *world { return &world{keys: map[string]*past{}} }

func (w *world) clone() *world {
	c := newWorld()
	c.now, c.rules, c.expiring = w.now, slices.Clone(w.rules), w.expiring
	for key, h := range w.keys {
		c.keys[key] = &past{rows: slices.Clone(h.rows), last: h.last, filled: h.filled, expires: h.expires}
	}
	return c
}

// rows returns the records of a key; none if there is no such key.
func (w *world) rows(key string) []fact {
	if h := w.keys[key]; h != nil {
		return h.rows
	}
	return nil
}

// indexOf returns where an ID is or would be.
func indexOf(rows []fact, id kv.ID) (int, bool) {
	return slices.BinarySearchFunc(rows, id, func(e fact, id kv.ID) int { return e.id.Compare(id) })
}

func (w *world) set(key string, e fact) {
	h := w.keys[key]
	if h == nil {
		h = &past{}
		w.keys[key] = h
	}
	if i, found := indexOf(h.rows, e.id); found {
		h.rows[i] = e
	} else {
		h.rows = slices.Insert(h.rows, i, e)
	}
	if !h.filled || h.last.Less(e.id) {
		h.last, h.filled = e.id, true
	}
}

// put is a PUT on the world; the text is what it answers.
func (w *world) put(p *putStep) string {
	w.expire(p.key)
	h := w.keys[p.key]
	if h == nil {
		h = &past{}
	}
	id := p.id
	if p.cond == IfLast && p.after != h.last {
		return (&ConflictError{Last: h.last}).Error()
	}
	if p.mode == IDAuto {
		id = kv.ID{Time: w.now}
	} else if p.mode == IDAutoSeq {
		id = kv.ID{Time: p.id.Time}
	}
	if p.mode != IDExplicit && h.filled && !h.last.Less(id) {
		next, ok := h.last.Next()
		switch {
		case p.mode == IDAuto && !ok:
			return ErrIDExhausted.Error()
		case p.mode == IDAutoSeq && (!ok || next.Time != id.Time):
			return ErrIDTooSmall.Error()
		}
		id = next
	}
	_, there := indexOf(h.rows, id)
	if p.cond == IfAbsent && there || p.cond == IfPresent && !there {
		return "null"
	}
	w.set(p.key, fact{id, p.value, p.tags})
	return id.String()
}

func (w *world) deleteRange(key string, from, to kv.ID) {
	if h := w.keys[key]; h != nil {
		h.rows = slices.DeleteFunc(h.rows, func(e fact) bool { return !e.id.Less(from) && !to.Less(e.id) })
	}
}

// newest is GET AT.
func (w *world) newest(key string, at kv.ID) string {
	rows := w.rows(key)
	i, found := indexOf(rows, at)
	if found {
		i++
	}
	if i == 0 {
		return "null"
	}
	return rows[i-1].String()
}

func (e fact) String() string {
	return fmt.Sprintf("%v=%s%s", e.id, brief([]byte(e.value)), showTags(e.tags))
}

func showTags(tags kv.TagSet) string {
	var text strings.Builder
	for tag := range tags.All() {
		text.WriteString("#" + string(tag))
	}
	return text.String()
}

// brief shortens a value so that different ones stay different.
func brief(value []byte) string {
	if len(value) <= 24 {
		return string(value)
	}
	h := fnv.New64a()
	_, _ = h.Write(value)
	return fmt.Sprintf("%.8q+%d:%x", value, len(value), h.Sum64())
}

// query are the options of a SCAN or COUNT with their ends resolved.
type query struct {
	key string
	opt ScanOptions
}

// pick returns the records that a query asks for.
func (w *world) pick(q *query) []fact {
	var out []fact
	for _, e := range w.rows(q.key) {
		if !e.id.Less(q.opt.From) && !q.opt.To.Less(e.id) && e.tags.HasAll(q.opt.Tags) {
			out = append(out, e)
		}
	}
	if q.opt.Reverse {
		slices.Reverse(out)
	}
	out = out[min(uint64(len(out)), q.opt.Offset):]
	if q.opt.Limit > 0 {
		out = out[:min(uint64(len(out)), q.opt.Limit)]
	}
	return out
}

// digest collects the records of a scan as a text: all of a few, of many the
// ends and a sum over all.
type digest struct {
	n    int
	text strings.Builder
	last string
	sum  uint64
	line bytes.Buffer
}

func (a *digest) add(id kv.ID, value []byte, tags kv.TagSet) {
	a.line.Reset()
	fmt.Fprintf(&a.line, " %v=%s%s", id, brief(value), showTags(tags))
	h := fnv.New64a()
	_, _ = h.Write(a.line.Bytes())
	a.sum = a.sum*31 + h.Sum64()
	if a.n++; a.n <= 8 {
		a.text.Write(a.line.Bytes())
	}
	a.last = a.line.String()
}

func (a *digest) String() string {
	return fmt.Sprintf("%d records, sum %x:%s …%s", a.n, a.sum, a.text.String(), a.last)
}
