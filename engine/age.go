package engine

import "time"

// maxMemtableAge is how long rows may wait in a memtable for their flush, so that
// the log of a quiet store, and with it the next recovery, stays short.
const maxMemtableAge = 10 * time.Minute

// checkAge asks for the active memtable to be frozen once what is in it has waited
// long enough. The watch goroutine calls it each second.
func (db *DB) checkAge() {
	v := db.acquire()
	defer v.release()
	m, now := v.mem[0], db.options.Now().UnixNano()
	if m.Rows() == 0 && !m.HasTombstones() || m.aged.Load() {
		return
	}
	// A clock that was set back starts the time again.
	if filled := m.filledAt.Load(); filled == 0 || now < filled {
		m.filledAt.Store(now)
	} else if now-filled >= int64(maxMemtableAge) {
		m.aged.Store(true)
		db.queue.signal() // the commit goroutine may be idle
	}
}
