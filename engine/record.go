package engine

import "tskv/kv"

// recordPut keeps the put of c.row for tails.
func (c *committer) recordPut(g *group, st *keyState, mode IDMode) {
	late := mode == IDExplicit && c.isLate(st, c.row.ID)
	key := st.data[1:]
	g.events.add(key, c.db.recent.slot(key), late, &c.row)
}

// recordGone notes that the IDs of a key may start again from below.
func (c *committer) recordGone(g *group, st *keyState) {
	g.events.list = append(g.events.list, event{key: st.data[1:], slot: c.db.recent.slot(st.data[1:]), gone: true})
	g.events.bytes += int64(len(st.data)-1) + eventBytes
}

// isLate reports whether the key may have had this ID, or a greater one, before the
// put that was just written. For a key whose last ID is not known the bounds and
// filters of files must do.
func (c *committer) isLate(st *keyState, id kv.ID) bool {
	if st.lastKnown {
		return st.filled && !st.last.Less(id)
	}
	w := c.writerView()
	w.seq-- // without the put itself
	if last, filled := w.lastInMemory(st.data); filled && !last.Less(id) {
		return true
	}
	return len(w.files(st.data, kv.Range{From: id, To: kv.MaxID})) > 0
}
