package command

import "sync"

// Bounds of what waits for subscribers that do not read. One that is over its own,
// or meets the limit of all together, loses its connection, as with Redis.
const (
	maxMailBytes = 8 << 20 // of one; Options.HeldBytes is that of all
	mailOverhead = 128     // more than a message costs beside its bytes
)

// broker knows who listens to which channel. Messages are not kept.
type broker struct {
	mu       sync.RWMutex
	channels map[string]map[*session]struct{}
	patterns map[string]map[*session]struct{}
	monitors map[*session]struct{}
}

func newBroker() *broker {
	return &broker{
		channels: map[string]map[*session]struct{}{},
		patterns: map[string]map[*session]struct{}{},
		monitors: map[*session]struct{}{},
	}
}

// join and part change one of the maps.
func (b *broker) join(list map[string]map[*session]struct{}, name string, s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if list[name] == nil {
		list[name] = map[*session]struct{}{}
	}
	list[name][s] = struct{}{}
}

func (b *broker) part(list map[string]map[*session]struct{}, name string, s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(list[name], s)
	if len(list[name]) == 0 {
		delete(list, name)
	}
}

// counts returns how many channels and patterns someone listens to.
func (b *broker) counts() (channels, patterns int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.channels), len(b.patterns)
}

// publish hands a message to everyone who listens and returns how many that are.
// It copies channel and payload once.
func (b *broker) publish(channel, payload []byte) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := letter{channel: string(channel), payload: string(payload)}
	n := 0
	for s := range b.channels[m.channel] {
		s.mail.put(s, m)
		n++
	}
	for pattern, sessions := range b.patterns {
		if !match([]byte(pattern), channel) {
			continue
		}
		m.pattern = pattern
		for s := range sessions {
			s.mail.put(s, m)
			n++
		}
	}
	return n
}

// letter is a message on its way to one subscriber. With nothing but a payload it
// is a line of MONITOR.
type letter struct {
	pattern, channel, payload string
}

func (m *letter) size() int {
	return len(m.pattern) + len(m.channel) + len(m.payload) + mailOverhead
}

// mailbox holds what a subscriber has not been sent yet.
type mailbox struct {
	mu     sync.Mutex
	list   []letter
	bytes  int
	closed bool
}

// put adds a letter and wakes the subscriber; any goroutine.
func (b *mailbox) put(s *session, m letter) {
	size := m.size()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if b.bytes+size > maxMailBytes || s.h.mailBytes.Add(int64(size)) > s.h.opt.HeldBytes {
		if b.bytes+size <= maxMailBytes {
			s.h.mailBytes.Add(-int64(size))
		}
		s.h.log.Warn("a subscriber does not read and is cut off", "client", s.c.RemoteAddr(), "bytes", b.bytes)
		s.c.Kill()
		return
	}
	b.list = append(b.list, m)
	b.bytes += size
	s.c.Wake()
}

// take returns the oldest letters, some limit bytes of them.
func (b *mailbox) take(s *session, limit int) []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.list) && size < limit {
		size += b.list[n].size()
		n++
	}
	taken := b.list[:n:n]
	b.list = b.list[n:]
	if len(b.list) == 0 {
		b.list = nil
	}
	b.bytes -= size
	s.h.mailBytes.Add(-int64(size))
	return taken
}

// close throws away what is left.
func (b *mailbox) close(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.h.mailBytes.Add(-int64(b.bytes))
	b.list, b.bytes, b.closed = nil, 0, true
}
