package memtable

// Changed reports whether a row was added to the series after the sequence since.
// A row of an aborted group counts, so the answer may be yes where nothing was
// seen to change, but never no where something did. Writer only.
func (t *Table) Changed(s *Series, since uint64) bool {
	if t.LastSeq() <= since {
		return false
	}
	if end := s.end(); !end.none() && t.base+uint64(s.record(end).delta) > since {
		return true // along the chain sequences only grow
	}
	l := s.late.Load()
	if l == nil {
		return false
	}
	if len(l.buffer.records) > 0 && t.base+uint64(l.buffer.maxDelta) > since {
		return true
	}
	for i := range l.runs {
		if t.base+uint64(l.runs[i].maxDelta) > since {
			return true
		}
	}
	return false
}
