package engine

// A snapshot keeps the memtables of its version. Readers that are slow, each since
// another moment, would keep any number of them; so what they may keep beyond the
// present version is bounded, and the snapshots with the oldest memtables are
// revoked when it is more.

// keptMemtables is how many memtables snapshots may keep that have left the current
// version: half of the budget. A version has four at most, so one snapshot may stay
// for ever.
const keptMemtables = 8

// retire remembers the memtables that have left with the old version. db.versionMu
// is held.
func (db *DB) retire(old, next *version) {
	if old == nil {
		return
	}
	stays := make(map[*memory]bool, len(next.mem))
	for _, m := range next.mem {
		stays[m] = true
	}
	for i := len(old.mem) - 1; i >= 0; i-- { // oldest first
		if !stays[old.mem[i]] {
			db.retired = append(db.retired, old.mem[i])
		}
	}
	db.revoke()
}

// revoke drops what no snapshot keeps any more from the list, and revokes the oldest
// ones beyond the bound. db.versionMu is held.
func (db *DB) revoke() {
	kept := db.retired[:0]
	for _, m := range db.retired {
		if !m.Released() {
			kept = append(kept, m)
		}
	}
	clear(db.retired[len(kept):])
	db.retired = kept
	for _, m := range kept[:max(0, len(kept)-keptMemtables)] {
		if !m.revoked.Swap(true) {
			db.metrics.RevokedSnapshots.Inc()
			db.log.Warn("snapshots that keep too much memory are revoked", "memtable_bytes", m.Bytes())
		}
	}
}

// stale returns ErrSnapshotTooOld if the view was revoked.
func (w view) stale() error {
	if w.v.mem[len(w.v.mem)-1].revoked.Load() {
		return ErrSnapshotTooOld
	}
	return nil
}
