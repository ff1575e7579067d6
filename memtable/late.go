package memtable

import (
	"sort"

	"tskv/kv"
)

const (
	// lateBuffer is the number of rows that the copy-on-write buffer may hold.
	lateBuffer = 64
	// maxMergedRun bounds the work of one Add: two runs are merged only if
	// the result is not longer (2 MiB, some 0.3 ms).
	maxMergedRun = 1 << 16
)

// late holds the rows of a series that arrived below its last ID. A late and
// what it points to never change once published, except that the buffer's
// array may be appended to behind the end that this late sees.
type late struct {
	buffer run
	runs   []run // oldest first, shrinking in length by halves
}

// run is an immutable list of records ordered by ID, then sequence.
type run struct {
	records  []record
	minDelta uint32
	maxDelta uint32
}

// search returns the index of the first record with an ID above id.
func (r *run) search(id kv.ID) int {
	return sort.Search(len(r.records), func(i int) bool { return r.records[i].above(id) })
}

// addLate inserts a record below the last ID of s. Writer only.
func (a *arena) addLate(s *Series, r record) {
	next := &late{}
	if old := s.late.Load(); old != nil {
		*next = *old
	} else {
		a.grow(lateBytes)
	}
	if len(next.buffer.records) == lateBuffer {
		next.runs = pushRun(next.runs, next.buffer)
		next.buffer = run{}
	}
	b := &next.buffer
	before := cap(b.records)
	b.insert(r)
	a.grow(int64(cap(b.records)-before) * recordBytes)
	s.late.Store(next)
}

// lateBytes is what the first late row costs besides its record.
const lateBytes = 96

func (r *run) insert(rec record) {
	if len(r.records) == 0 {
		r.minDelta = rec.delta
	}
	r.maxDelta = rec.delta
	n, i := len(r.records), r.search(rec.id())
	room := cap(r.records)
	if n == room {
		room = min(max(2*room, 4), lateBuffer)
	} else if i == n {
		r.records = append(r.records, rec)
		return
	}
	records := make([]record, n+1, room)
	copy(records, r.records[:i])
	records[i] = rec
	copy(records[i+1:], r.records[i:])
	r.records = records
}

// pushRun returns a new list with r at its end, after merging it with the
// runs before it that are not longer, so that there are O(log n) runs.
func pushRun(runs []run, r run) []run {
	n := len(runs)
	for n > 0 {
		last := runs[n-1]
		if len(last.records) > len(r.records) || len(last.records)+len(r.records) > maxMergedRun {
			break
		}
		r = mergeRuns(last, r)
		n--
	}
	next := make([]run, n+1)
	copy(next, runs[:n])
	next[n] = r
	return next
}

// mergeRuns merges two runs; every sequence of b is above those of a.
func mergeRuns(a, b run) run {
	out := make([]record, 0, len(a.records)+len(b.records))
	x, y := a.records, b.records
	for len(x) > 0 && len(y) > 0 {
		if x[0].above(y[0].id()) {
			out = append(out, y[0])
			y = y[1:]
		} else {
			out = append(out, x[0])
			x = x[1:]
		}
	}
	out = append(append(out, x...), y...)
	return run{records: out, minDelta: a.minDelta, maxDelta: b.maxDelta}
}
