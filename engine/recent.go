package engine

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"tskv/kv"
)

// recentBytes bounds the events kept for tails.
const recentBytes = 32 << 20

// eventBytes is what an event costs beside its key, value and tags.
const eventBytes = 128

// event is one put as tails see it. Everything it points to belongs to its group.
type event struct {
	key  []byte // user key
	slot uint32
	// late: the key may have had this or a greater ID already, so that a scan
	// from the last delivered ID would not find it.
	late bool
	gone bool // no put: the key was deleted, its next IDs may be smaller
	row  kv.Row
}

// events are the puts of one group in commit order, immutable once published.
type events struct {
	firstSeq, lastSeq uint64
	list              []event
	bytes             int64
	cleared           bool // all keys were deleted
}

// recent keeps the events of the last groups, once for all tails: a tail that
// follows closely reads them here, one that fell behind reads memtables and files
// until it is close again. There is no queue per tail.
//
// It also remembers, for slots of keys, when something came that such a reader
// could not find by IDs alone. That costs a fixed table whatever the number of keys;
// keys that share a slot can at worst make a tail say that it lagged when it has
// missed nothing.
type recent struct {
	tails atomic.Int64 // open tails; without any nothing is kept
	limit int64        // bytes of events; tests lower it
	seed  maphash.Seed

	mu      sync.Mutex
	groups  []*events // ascending; those with lastSeq > start
	bytes   int64
	start   uint64 // all events after this sequence are in groups
	through uint64 // up to this one
	lateAll uint64
	late    []uint64           // by slot: sequence of the last late event
	waiting map[uint32][]*Tail // by slot: tails of one key
	wide    map[*Tail]struct{} // waiting tails of many keys
}

const recentSlots = 1 << 14

func newRecent() *recent {
	return &recent{
		seed:    maphash.MakeSeed(),
		limit:   recentBytes,
		waiting: map[uint32][]*Tail{},
		wide:    map[*Tail]struct{}{},
	}
}

func (r *recent) slot(key []byte) uint32 {
	return uint32(maphash.Bytes(r.seed, key)) % recentSlots
}

// enter and leave count the tails.
func (r *recent) enter() { r.tails.Add(1) }

func (r *recent) leave() {
	if r.tails.Add(-1) > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tails.Load() == 0 {
		r.groups, r.bytes, r.start, r.late = nil, 0, r.through, nil
	}
}

// record returns what the commit goroutine writes a group's events into, or nil if
// no tail is open.
func (r *recent) record(firstSeq uint64) *events {
	if r.tails.Load() == 0 {
		return nil
	}
	return &events{firstSeq: firstSeq}
}

// add copies a put of the present group; the commit goroutine only.
func (e *events) add(key []byte, slot uint32, late bool, row *kv.Row) {
	size := len(key) + len(row.Raw) + len(row.Tags)
	e.bytes += int64(size) + eventBytes
	own := make([]byte, 0, size)
	copied := event{key: take(&own, key), slot: slot, late: late, row: *row}
	copied.row.Raw = take(&own, row.Raw)
	copied.row.Tags = take(&own, row.Tags)
	e.list = append(e.list, copied)
}

// take copies b into the room of own; nil stays nil.
func take[T ~[]byte](own *[]byte, b T) T {
	if b == nil {
		return nil
	}
	n := len(*own)
	*own = append(*own, b...)
	return T((*own)[n:len(*own):len(*own)])
}

// cut forgets the events after the first n, which were rolled back.
func (e *events) cut(n int) {
	if e == nil {
		return
	}
	for i := n; i < len(e.list); i++ {
		ev := &e.list[i]
		e.bytes -= int64(len(ev.key)+len(ev.row.Raw)+len(ev.row.Tags)) + eventBytes
	}
	clear(e.list[n:])
	e.list = e.list[:n]
}

func (e *events) empty() {
	if e != nil {
		e.cut(0)
		e.cleared = false
	}
}

func (e *events) len() int {
	if e == nil {
		return 0
	}
	return len(e.list)
}

// publish makes a group's events readable and wakes who waits for them. e is nil
// for a group that was not recorded. It is called in the order of the groups, right
// after they became visible.
func (r *recent) publish(e *events, lastSeq uint64) {
	if r.tails.Load() == 0 && e == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.through = max(r.through, lastSeq)
	if e == nil {
		// No tail began before this group was visible, but its snapshot may.
		r.groups, r.bytes, r.start, r.lateAll = nil, 0, r.through, r.through
		return
	}
	if len(e.list) == 0 && !e.cleared {
		return
	}
	e.lastSeq = lastSeq
	r.groups = append(r.groups, e)
	r.bytes += e.bytes
	for r.bytes > r.limit && len(r.groups) > 1 {
		r.start, r.bytes = r.groups[0].lastSeq, r.bytes-r.groups[0].bytes
		r.groups[0] = nil
		r.groups = r.groups[1:]
	}
	r.note(e)
	for t := range r.wide {
		t.wake()
	}
	clear(r.wide)
}

// note remembers the late ones of a group, and wakes the tails of its keys.
func (r *recent) note(e *events) {
	if r.late == nil {
		r.late = make([]uint64, recentSlots)
	}
	if e.cleared {
		r.lateAll = e.lastSeq
	}
	for i := range e.list {
		ev := &e.list[i]
		if ev.late || ev.gone {
			r.late[ev.slot] = e.lastSeq
		}
		if tails := r.waiting[ev.slot]; tails != nil {
			for _, t := range tails {
				t.wake()
			}
			delete(r.waiting, ev.slot)
		}
	}
}

// lateSince reports whether something may have come to a key after a sequence that
// a scan beyond its last ID does not find.
func (r *recent) lateSince(slot uint32, seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lateAll > seq || r.late != nil && r.late[slot] > seq
}

// groupsAtATime bounds what one look at the recent events copies.
const groupsAtATime = 64

// after returns some groups that end after a sequence, and the sequence up to which
// they reach. behind: some are not kept any more. If there are none, the tail is
// woken when one comes that may concern it.
func (r *recent) after(t *Tail, seq uint64) (groups []*events, through uint64, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.start {
		return nil, r.start, true
	}
	i, _ := slices.BinarySearchFunc(r.groups, seq, func(e *events, seq uint64) int {
		if e.lastSeq <= seq {
			return -1
		}
		return 1
	})
	if i == len(r.groups) {
		r.wait(t)
		return nil, max(seq, r.through), false
	}
	groups = slices.Clone(r.groups[i:min(len(r.groups), i+groupsAtATime)])
	return groups, groups[len(groups)-1].lastSeq, false
}

// wait registers a tail to be woken. r.mu is held.
func (r *recent) wait(t *Tail) {
	if t.one == nil {
		r.wide[t] = struct{}{}
	} else if !slices.Contains(r.waiting[t.slot], t) {
		r.waiting[t.slot] = append(r.waiting[t.slot], t)
	}
}

// forget ends that.
func (r *recent) forget(t *Tail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wide, t)
	if list := r.waiting[t.slot]; list != nil {
		list = slices.DeleteFunc(list, func(other *Tail) bool { return other == t })
		if len(list) == 0 {
			delete(r.waiting, t.slot)
		} else {
			r.waiting[t.slot] = list
		}
	}
}
