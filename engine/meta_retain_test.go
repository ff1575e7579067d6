package engine

import (
	"fmt"
	"slices"
	"strings"

	"tskv/kv"
)

// retainStep sets the rule of a pattern, or removes it. What rules hide by then is
// deleted before, in the same transaction, because looser ones would show it again
// as far as it is still there.
type retainStep struct {
	rule Rule
	set  bool
	keys []string // settled
}

// expireStep sets the time at which a key goes, in ms from now; 0 for never.
type expireStep struct {
	key   string
	after int64
	at    uint64 // settled
}

func (g *generator) retain() operation {
	pattern := []string{"*", "key:*", "key:1", "key:2*", "key:3"}[g.rng.IntN(5)]
	name, prefix := strings.CutSuffix(pattern, "*")
	o := &retainStep{rule: Rule{Pattern: []byte(name), Prefix: prefix}, set: !g.one(3)}
	n := g.rng.IntN(4)
	if n < 2 {
		o.rule.Records = 1 + g.rng.Uint64N(uint64(1)<<g.rng.IntN(12))
	}
	if n > 0 {
		o.rule.AgeMS = []uint64{3_600_000, 86_400_000, 7 * 86_400_000, 800 * 86_400_000}[g.rng.IntN(4)]
	}
	return o
}

func (g *generator) expire() operation {
	o := &expireStep{key: g.key()}
	if !g.one(4) {
		o.after = g.rng.Int64N(40_000_000) - 1000
		if g.one(2) {
			o.after = g.rng.Int64N(200)
		}
	}
	return o
}

// ruleOf returns the rule of a key: its own one, or that of its longest prefix.
func (w *world) ruleOf(key string) Rule {
	best := Rule{}
	for _, r := range w.rules {
		pattern := string(r.Pattern)
		switch {
		case !r.Prefix && pattern == key:
			return r
		case r.Prefix && strings.HasPrefix(key, pattern) && (!best.Prefix || len(best.Pattern) < len(pattern)):
			best = r
		}
	}
	return best
}

// expire takes out of a key what is hidden by now, for good.
func (w *world) expire(key string) {
	h := w.keys[key]
	switch {
	case h == nil:
		return
	case h.expires != 0 && h.expires <= w.now:
		delete(w.keys, key)
		return
	}
	r := w.ruleOf(key)
	if r.AgeMS > 0 {
		first := slices.IndexFunc(h.rows, func(e fact) bool { return e.id.Time+r.AgeMS >= w.now || e.id.Time+r.AgeMS < r.AgeMS })
		if first < 0 {
			first = len(h.rows)
		}
		h.rows = h.rows[first:]
	}
	if n := uint64(len(h.rows)); r.Records > 0 && n > r.Records {
		h.rows = h.rows[n-r.Records:]
	}
}

func (w *world) expireAll() {
	for key := range w.keys {
		w.expire(key)
	}
}

func (o *retainStep) onModel(w *world) string {
	o.keys = o.keys[:0]
	for key := range w.keys {
		o.keys = append(o.keys, key)
	}
	slices.Sort(o.keys)
	w.rules = slices.DeleteFunc(slices.Clone(w.rules), func(r Rule) bool {
		return r.Prefix == o.rule.Prefix && string(r.Pattern) == string(o.rule.Pattern)
	})
	if o.set {
		w.rules = append(w.rules, o.rule)
	}
	return "ok"
}

func (o *retainStep) onStore(s *subject) string {
	err := s.db.Update(func(tx *Tx) error {
		for _, key := range o.keys {
			st, err := tx.state([]byte(key))
			if err != nil {
				return err
			}
			floor, _, err := tx.c.writerView().visibleFrom(st.data, false)
			if err != nil {
				return err
			}
			if last, some := floor.Prev(); some {
				if err := tx.DeleteRange([]byte(key), kv.MinID, last); err != nil {
					return err
				}
			}
		}
		if o.set {
			return tx.Retain(o.rule)
		}
		_, err := tx.Unretain(o.rule.Pattern, o.rule.Prefix)
		return err
	})
	if err != nil {
		return failed(err)
	}
	return "ok"
}

func (o *expireStep) onModel(w *world) string {
	o.at = 0
	if o.after != 0 {
		o.at = uint64(int64(w.now) + o.after)
		w.expiring = true
	}
	h := w.keys[o.key]
	if h != nil {
		h.expires = o.at
	}
	return fmt.Sprint(h != nil)
}

func (o *expireStep) onStore(s *subject) string {
	var existed bool
	err := s.db.Update(func(tx *Tx) (err error) {
		existed, err = tx.SetExpireAt([]byte(o.key), o.at)
		return err
	}, []byte(o.key))
	if err != nil {
		return failed(err)
	}
	return fmt.Sprint(existed)
}
