package command

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"tskv/engine"
	"tskv/kv"
)

const errTooManyTails reply = "ERR too many tails on one connection"

// pushBytes is about how much one Push writes, so that commands are answered in
// between.
const pushBytes = 256 << 10

// follower is a tail of a session: what SUBSCRIBE tail:… and MONITOR key open.
type follower struct {
	name  string // as subscribed; empty: MONITOR
	wide  bool   // a pattern
	tail  *engine.Tail
	ready atomic.Bool // the tail may have something
}

// follow opens a tail that wakes the connection.
func (s *session) follow(o engine.TailOptions) (*follower, error) {
	u := s.subs()
	switch {
	case s.db == nil:
		return nil, errLoading
	case len(u.followers) >= maxTails:
		return nil, errTooManyTails
	}
	f := &follower{}
	o.Wake = func() {
		f.ready.Store(true)
		s.c.Wake()
	}
	var err error
	if f.tail, err = s.db.Tail(o); err != nil {
		return nil, err
	}
	u.followers = append(u.followers, f)
	f.ready.Store(true)
	s.c.Wake() // there may be history to send
	return f, nil
}

func (s *session) unfollow(f *follower) {
	f.tail.Close()
	u := s.listens
	u.followers = slices.DeleteFunc(u.followers, func(other *follower) bool { return other == f })
	u.next = 0
}

// channelTail reads what follows "tail:" in the name of a channel: a key, or a key
// and "@" and where to start. A key that holds an "@" of its own is taken whole
// unless what follows its last one is a start.
func (s *session) channelTail(name []byte) (engine.TailOptions, error) {
	if i := bytes.LastIndexByte(name, '@'); i > 0 {
		if start, ok := s.parseStart(name[i+1:]); ok {
			return engine.TailOptions{Key: name[:i], Start: start}, checkKey(name[:i])
		}
	}
	return engine.TailOptions{Key: name}, checkKey(name)
}

// patternTail reads a glob pattern of keys.
func (s *session) patternTail(pattern []byte) (engine.TailOptions, error) {
	if len(pattern) > maxPattern {
		return engine.TailOptions{}, errPattern
	}
	return engine.TailOptions{
		Prefix: literalPrefix(pattern),
		Match:  func(key []byte) bool { return match(pattern, key) },
	}, nil
}

// starter says where a tail begins in a key; see engine.TailOptions.Start.
type starter = func(snap *engine.Snapshot, key []byte) (kv.ID, bool, error)

// parseStart reads where a subscription starts: after an ID, with the last n
// records for "-n", or at a time bound, of which "$" and "+" mean the end.
func (s *session) parseStart(text []byte) (starter, bool) {
	if id, err := kv.ParseID(text, 0); err == nil {
		return func(*engine.Snapshot, []byte) (kv.ID, bool, error) {
			next, ok := id.Next()
			return next, ok, nil
		}, true
	}
	return s.parseFrom(text)
}

// parseFrom reads a first record: "-n" for the last n, or a time bound as SCAN
// takes it, where an ID is inclusive.
func (s *session) parseFrom(text []byte) (starter, bool) {
	if len(text) > 1 && text[0] == '-' {
		n, ok := kv.ParseUint(text[1:])
		if !ok || n == 0 {
			return nil, false
		}
		return func(snap *engine.Snapshot, key []byte) (kv.ID, bool, error) { return lastRecords(snap, key, n) }, true
	}
	present := s.h.opt.Now()
	b, err := parseBound(text, func() time.Time { return present })
	if err != nil {
		return nil, false
	}
	if b.last || len(text) == 1 && text[0] == '+' {
		return func(*engine.Snapshot, []byte) (kv.ID, bool, error) { return kv.ID{}, false, nil }, true
	}
	from, some := b.from()
	return func(*engine.Snapshot, []byte) (kv.ID, bool, error) { return from, some, nil }, true
}

// lastRecords returns the ID of the n-th record from the end, or that of the first.
func lastRecords(snap *engine.Snapshot, key []byte, n uint64) (kv.ID, bool, error) {
	sc, err := snap.Scan(key, engine.ScanOptions{To: kv.MaxID, Reverse: true, KeysOnly: true, Offset: n - 1, Limit: 1})
	if err != nil {
		return kv.ID{}, false, err
	}
	defer sc.Close()
	rows, err := sc.Next()
	if err != nil || rows == nil {
		return kv.MinID, err == nil, err
	}
	return rows.ID(0), true, nil
}

// Push implements server.Pusher: it sends what subscriptions and MONITOR have.
func (s *session) Push() (more, keep bool) {
	u := s.listens
	if u == nil {
		return false, true
	}
	for _, m := range s.mail.take(s, pushBytes) {
		s.sendLetter(&m)
	}
	if s.out.Len() >= pushBytes {
		return true, true
	}
	for range len(u.followers) {
		f := u.followers[u.next%len(u.followers)]
		for f.ready.Swap(false) {
			if !s.sendEvents(f) {
				return false, false
			}
			if s.out.Len() >= pushBytes {
				return true, true
			}
		}
		u.next = (u.next + 1) % len(u.followers)
	}
	return false, true
}

// sendEvents sends one portion of a tail's records; false if the connection must
// end. A tail that had some is ready again.
func (s *session) sendEvents(f *follower) bool {
	events, err := f.tail.Poll()
	var lagged *engine.LaggedError
	switch {
	case errors.As(err, &lagged):
		f.ready.Store(true)
		s.sendLagged(f, lagged)
		return true
	case err != nil:
		s.abort("tail", err)
		return false
	}
	if len(events) > 0 {
		f.ready.Store(true)
	}
	var head [64]byte
	for i := range events {
		e := &events[i]
		id := e.ID.Append(head[:0])
		if f.name == "" {
			s.out.ArrayHeader(2)
			s.out.Bulk(id)
			s.out.Bulk(e.Value)
			continue
		}
		s.messageHead(f, e.Key)
		s.bulkOf(append(id, ' '), e.Value)
	}
	return true
}

// messageHead begins a message up to its payload.
func (s *session) messageHead(f *follower, key []byte) {
	if !f.wide {
		s.out.PushHeader(3)
		s.out.BulkString("message")
		s.out.BulkString(f.name)
		return
	}
	s.out.PushHeader(4)
	s.out.BulkString("pmessage")
	s.out.BulkString(f.name)
	s.bulkOf([]byte(tailPrefix), key)
}

// bulkOf writes one bulk of two parts.
func (s *session) bulkOf(a, b []byte) {
	var head [32]byte
	text := strconv.AppendInt(append(head[:0], '$'), int64(len(a)+len(b)), 10)
	s.out.Raw(append(text, "\r\n"...))
	s.out.Raw(a)
	s.out.Raw(b)
	s.out.Raw([]byte("\r\n"))
}

// sendLagged tells a consumer that it may have missed late records.
func (s *session) sendLagged(f *follower, lagged *engine.LaggedError) {
	text := "LAGGED oldest=" + strconv.FormatUint(lagged.Oldest, 10)
	if f.name == "" {
		s.out.Error(text)
		return
	}
	s.messageHead(f, lagged.Key)
	s.out.BulkString(text)
}

// sendLetter sends a published message, or a line of MONITOR.
func (s *session) sendLetter(m *letter) {
	switch {
	case m.channel == "":
		s.out.SimpleString(m.payload)
		return
	case m.pattern == "":
		s.out.PushHeader(3)
		s.out.BulkString("message")
	default:
		s.out.PushHeader(4)
		s.out.BulkString("pmessage")
		s.out.BulkString(m.pattern)
	}
	s.out.BulkString(m.channel)
	s.out.BulkString(m.payload)
}
