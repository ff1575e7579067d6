package engine

import "tskv/kv"

// Retain sets the rule of a pattern, in the place of an earlier one. Readers see
// what it keeps from the moment that this Update is visible.
//
// Errors: ErrRule for a rule out of bounds, ErrRules for one too many.
func (t *Tx) Retain(r Rule) error {
	if err := t.c.rules.check(&r); err != nil {
		return err
	}
	return t.changeRule(ruleSet, &r)
}

// Unretain removes the rule of exactly this pattern; false if there is none.
func (t *Tx) Unretain(pattern []byte, prefix bool) (bool, error) {
	if !t.c.rules.has(pattern, prefix) {
		return false, nil
	}
	return true, t.changeRule(ruleRemove, &Rule{Pattern: pattern, Prefix: prefix})
}

func (t *Tx) changeRule(change byte, r *Rule) error {
	if err := t.grow(r.Pattern, nil); err != nil {
		return err
	}
	c := t.c
	payload := appendRuleChange(nil, change, r)
	next, err := c.rules.applyMeta(metaRetain, payload)
	if err != nil {
		return err
	}
	c.enc.Meta(metaRetain, payload)
	c.take(t.g)
	c.mem.ruled = true
	c.rules, t.g.rules, t.g.ruled = next, next, true
	return nil
}

// Retain is Tx.Retain as an Update of its own.
func (db *DB) Retain(r Rule) error {
	return db.Update(func(t *Tx) error { return t.Retain(r) })
}

// Rules returns the retention table, rules of single keys first, each kind in
// order of the patterns. They must not be changed.
func (s *Snapshot) Rules() []Rule { return s.rules.list() }

// Rule returns the rule in force for a key; false if all of it is kept.
func (s *Snapshot) Rule(key []byte) (Rule, bool) { return copyRule(s.rules.find(key)) }

// PrefixRule returns the rule in force for new keys that start with prefix and
// have no rule of their own.
func (s *Snapshot) PrefixRule(prefix []byte) (Rule, bool) {
	return copyRule(s.rules.findPrefix(prefix))
}

func copyRule(r *Rule) (Rule, bool) {
	if r == nil {
		return Rule{}, false
	}
	return *r, true
}

// viewOf returns what a reader of v sees now. The rules are loaded after the
// sequence, and published before it: whoever sees a group sees its rules.
func (db *DB) viewOf(v *version) view {
	w := view{db: db, v: v, seq: db.horizon(v)}
	w.rules, w.expiring = db.rules.Load(), db.expiring.Load()
	if w.rules != nil || w.expiring {
		w.now = db.nowMS()
	}
	return w
}

// nowMS returns the present time in milliseconds since 1970.
func (db *DB) nowMS() uint64 { return uint64(max(db.options.Now().UnixMilli(), 0)) }

// publishRules makes the rules that a group has set those of readers.
func (db *DB) publishRules(g *group) {
	if g.ruled {
		db.rules.Store(g.rules)
	}
}

// visibleFrom returns the lowest ID of a key (internal) that the view shows; false
// if it shows nothing of it. This is the one place where readers learn what has
// expired. newest: the caller reads the newest record only, which a number of
// records never hides.
func (w view) visibleFrom(key []byte, newest bool) (kv.ID, bool, error) {
	if w.expiring {
		var space [128]byte
		_, ok, err := w.liveEntry(internalKey(space[:0], spaceCatalog, key[1:]))
		if err != nil || !ok {
			return kv.ID{}, false, err
		}
	}
	r := w.rules.find(key[1:])
	if r == nil {
		return kv.MinID, true, nil
	}
	floor := kv.ID{Time: cutoff(r, w.now)}
	if r.Records == 0 || newest {
		return floor, true, nil
	}
	nth, ok, err := w.nthNewest(key, floor, r.Records)
	if err == nil && ok {
		floor = nth
	}
	return floor, true, err
}

// nthNewest returns the ID of the n-th newest record from an ID on; false if there
// are fewer.
func (w view) nthNewest(key []byte, from kv.ID, n uint64) (kv.ID, bool, error) {
	_, rest, more, err := w.skip(key, kv.Range{From: from, To: kv.MaxID, Reverse: true}, n-1, nil)
	return rest.To, more, w.db.readError(err)
}

// newestVisible is newest without what has expired.
func (w view) newestVisible(key []byte, at kv.ID) (kv.Row, bool, error) {
	floor, shown, err := w.visibleFrom(key, at == kv.MaxID)
	if err != nil || !shown || at.Less(floor) {
		return kv.Row{}, false, err
	}
	row, ok, _, err := w.newest(key, at, nil)
	if err != nil || !ok || row.ID.Less(floor) {
		return kv.Row{}, false, err
	}
	return row, true, nil
}

// trimHidden deletes what the number of records hides of a key before records up
// to an ID are deleted: or else older ones would come back into the number. The
// key's last ID is known.
func (t *Tx) trimHidden(st *keyState, to kv.ID) error {
	r := t.c.rules.find(st.data[1:])
	if r == nil || r.Records == 0 {
		return nil
	}
	floor, _, err := t.c.writerView().visibleFrom(st.data, false)
	last, some := floor.Prev()
	if err != nil || !some || to.Less(floor) {
		return err
	}
	if err := t.grow(st.data, nil); err != nil {
		return err
	}
	t.keepLast(st, kv.MinID, last) // age may hide the newest record as well
	t.c.writeTombstone(t.g, kv.Tombstone{Key: st.data, From: kv.MinID, To: last})
	return nil
}
