package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"tskv/kv"
)

// ErrLagged is matched by every *LaggedError.
var ErrLagged = errors.New("the tail has lagged")

// LaggedError tells a tail that it may have missed records: ones that came with an
// ID below the last one delivered, while the tail was further behind than events are
// kept. Records with greater IDs are not missed. The tail may go on.
type LaggedError struct {
	Key    []byte // whose records may be missing; nil: of any key of the pattern
	Oldest uint64 // sequence of the oldest event that is still kept
}

// Error names the oldest sequence.
func (e *LaggedError) Error() string { return fmt.Sprintf("lagged: oldest=%d", e.Oldest) }

// Is makes errors.Is(err, ErrLagged) true.
func (e *LaggedError) Is(target error) bool { return target == ErrLagged }

// Event is one record that was put, as a tail delivers it.
type Event struct {
	Key []byte
	Record
}

// TailOptions choose what a tail delivers: the records of one Key, or of all keys
// with the Prefix for which Match (nil: all) is true.
type TailOptions struct {
	Key    []byte
	Prefix []byte
	Match  func(key []byte) bool
	Tags   kv.TagSet // only records that have all of these
	// Start gives the ID from which on a key's records that are there already are
	// delivered, or false for none of them. It reads the snapshot at which the tail
	// begins. nil: none.
	Start func(snap *Snapshot, key []byte) (from kv.ID, some bool, err error)
	// Wake, if not nil, is called instead of a send on Woken: on another goroutine,
	// and it must not block.
	Wake func()
}

// maxTailKeys is how many keys a tail of a pattern keeps its place in.
const maxTailKeys = 4096

// Bounds of what one Next returns, a single record excepted.
const (
	tailRows  = 4096
	tailBytes = 1 << 20
)

// Tail delivers the records of keys, first those that are there and then each new
// one once it is as durable as the sync mode promises, in the order of their commits
// and without gaps. Records of one group come together, but while a tail of many keys
// catches up it delivers one key after the other. A record that was deleted or
// replaced before the tail came to it may be left out.
//
// A tail costs nothing while it waits. One that does not keep up reads from files
// until it does; see LaggedError for the one thing that it can miss then. It belongs
// to one goroutine and must be closed.
type Tail struct {
	db     *DB // nil after Close
	opt    TailOptions
	one    []byte // the only key, or nil
	slot   uint32 // of one
	woken  chan struct{}
	seq    uint64 // everything up to here was delivered, or is in the cursors
	places map[string]place
	full   bool // more than maxTailKeys keys match

	behind bool   // a pass over the keys' records is under way; see catchup.go
	goal   uint64 // what seq will be after it; 0: its first snapshot has not been taken
	done   []byte // the last key that it has finished, or nil
	out    []Event
	room   []byte
}

// Tail opens a tail.
func (db *DB) Tail(o TailOptions) (*Tail, error) {
	t := &Tail{db: db, opt: o, woken: make(chan struct{}, 1), places: map[string]place{}}
	if o.Key != nil {
		if err := checkKey(o.Key); err != nil {
			return nil, err
		}
		t.one = bytes.Clone(o.Key)
		t.slot = db.recent.slot(t.one)
	}
	db.recent.enter()
	if err := t.begin(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// begin takes the snapshot from which on the tail follows. All groups that begin
// after the barrier are recorded.
func (t *Tail) begin() error {
	if err := t.db.barrier(); err != nil {
		return err
	}
	snap, err := t.db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	t.seq = snap.Sequence()
	if t.one != nil {
		return t.place(snap, t.one)
	}
	return t.eachKey(snap, nil, func(key []byte) (bool, error) {
		if len(t.places) == maxTailKeys {
			t.full, t.places, t.behind = true, nil, false
			return false, nil
		}
		return true, t.place(snap, key)
	})
}

// barrier waits until the commit goroutine has begun a group after the call. There
// is no such goroutine, and so no group that began before, as long as a recovery
// waits for room.
func (db *DB) barrier() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if db.short.unfinished.Load() != nil {
		return nil
	}
	var b Batch
	b.Update(func(*Tx) error { return nil })
	return db.submit(&b)
}

// place finds where the tail begins in a key.
func (t *Tail) place(snap *Snapshot, key []byte) error {
	if t.opt.Start != nil {
		from, some, err := t.opt.Start(snap, key)
		if err != nil {
			return err
		}
		if some {
			p := place{}
			p.id, p.any = from.Prev()
			t.places[string(key)] = p
			t.behind = true
			return nil
		}
	}
	id, some, err := snap.Last(key)
	t.places[string(key)] = place{id: id, any: some, read: []step{{t.seq, kv.MaxID}}}
	return err
}

// eachKey calls fn with the keys of the pattern after a key, until it says false.
func (t *Tail) eachKey(snap *Snapshot, after []byte, fn func(key []byte) (bool, error)) error {
	from, inclusive := t.opt.Prefix, true
	if after != nil {
		from, inclusive = after, false
	}
	keys, err := snap.Keys(from, inclusive)
	if err != nil {
		return err
	}
	defer keys.Close()
	for {
		info, ok, err := keys.Next()
		if err != nil || !ok || !bytes.HasPrefix(info.Key, t.opt.Prefix) {
			return err
		}
		if t.opt.Match != nil && !t.opt.Match(info.Key) {
			continue
		}
		if more, err := fn(info.Key); err != nil || !more {
			return err
		}
	}
}

// Close lets go of the tail. It may be called more than once.
func (t *Tail) Close() {
	if t.db != nil {
		t.db.recent.forget(t)
		t.db.recent.leave()
		t.db = nil
	}
}

// wake ends a wait; any goroutine.
func (t *Tail) wake() {
	if t.opt.Wake != nil {
		t.opt.Wake()
		return
	}
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// Next waits for records and returns some. They stay valid until the following Next.
// Errors: the context's, ErrClosed, a *LaggedError, after which the tail may go on,
// or what reading a file said.
func (t *Tail) Next(ctx context.Context) ([]Event, error) {
	for {
		if events, err := t.Poll(); err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-t.woken:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.db.stopping:
			return nil, ErrClosed
		}
	}
}

// Poll is Next without the wait: no events if there are none now. Woken tells then
// when to look again.
func (t *Tail) Poll() ([]Event, error) {
	for {
		t.out, t.room = t.out[:0], t.room[:0]
		if t.behind {
			if err := t.catchUp(); err != nil || len(t.out) > 0 || t.behind {
				return t.out, err
			}
			continue
		}
		groups, through, behind := t.db.recent.after(t, t.seq)
		if behind {
			if err := t.fallBehind(through); err != nil {
				return nil, err
			}
			continue
		}
		if len(groups) == 0 {
			t.seq = through
			return nil, nil
		}
		if t.follow(groups); len(t.out) > 0 {
			return t.out, nil
		}
	}
}

// Woken receives when a Poll that found nothing may find something now.
func (t *Tail) Woken() <-chan struct{} { return t.woken }

// follow delivers from recent groups, whole ones, until there is enough.
func (t *Tail) follow(groups []*events) {
	size := int64(0)
	for _, e := range groups {
		for i := range e.list {
			if ev := &e.list[i]; !ev.gone && t.wants(ev.key) {
				t.deliver(ev, e.lastSeq)
				size += int64(len(ev.row.Raw)) + eventBytes
			}
		}
		t.seq = e.lastSeq
		if len(t.out) >= tailRows || size >= tailBytes {
			return
		}
	}
}

func (t *Tail) wants(key []byte) bool {
	if t.one != nil {
		return bytes.Equal(key, t.one)
	}
	return bytes.HasPrefix(key, t.opt.Prefix) && (t.opt.Match == nil || t.opt.Match(key))
}

// deliver appends a recent event unless a pass has delivered it before.
func (t *Tail) deliver(ev *event, seq uint64) {
	p, known := t.places[string(ev.key)]
	if known && p.has(ev.row.ID, seq) {
		return
	}
	if !known && !t.full && len(t.places) == maxTailKeys {
		t.full, t.places = true, nil
	}
	if !t.full {
		p.observe(ev.row.ID)
		if len(p.read) > 0 && seq > p.read[len(p.read)-1].seq {
			p.read = nil // no recent event is as old
		}
		t.places[string(ev.key)] = p
	}
	t.append(ev.key, &ev.row)
}

// append adds a record to what Poll returns, if it has the tags.
func (t *Tail) append(key []byte, row *kv.Row) {
	if t.opt.Tags != nil && !row.Tags.HasAll(t.opt.Tags) {
		return
	}
	start := len(t.room)
	t.room = row.AppendValue(t.room)
	e := Event{Key: key, Record: Record{ID: row.ID, Value: t.room[start:len(t.room):len(t.room)]}}
	if row.Tags != nil {
		start = len(t.room)
		t.room = append(t.room, row.Tags...)
		e.Tags = kv.TagSet(t.room[start:len(t.room):len(t.room)])
	}
	t.out = append(t.out, e)
}
