package command

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"strconv"
	"sync"

	"tskv/engine"
	"tskv/kv"
)

// Bounds of the cursor table, and of the cursor numbers: some clients keep them
// in a double.
const (
	maxCursors     = 65_536
	maxCursorBytes = 16 << 20
	cursorMask     = 1<<53 - 1
)

// cursors remembers at which key each page of a key scan ended. The number is a
// hash of the key, so that a cursor that is handed out again takes no new place;
// the least recently used one is forgotten. Any goroutine.
type cursors struct {
	seed       maphash.Seed
	maxEntries int
	maxBytes   int

	mu     sync.Mutex
	byID   map[uint64]*list.Element
	recent *list.List // of *cursor, most recent first
	bytes  int
}

type cursor struct {
	id  uint64
	key string
}

func newCursors(maxEntries, maxBytes int) *cursors {
	return &cursors{
		seed: maphash.MakeSeed(), maxEntries: maxEntries, maxBytes: maxBytes,
		byID: map[uint64]*list.Element{}, recent: list.New(),
	}
}

// issue returns a number, never 0, that stands for the place after key.
func (c *cursors) issue(key []byte) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := maphash.Bytes(c.seed, key) & cursorMask
	for {
		id = max(id, 1)
		e := c.byID[id]
		if e == nil {
			break
		}
		if entryOf(e).key == string(key) {
			c.recent.MoveToFront(e)
			return id
		}
		id = (id + 1) & cursorMask
	}
	c.byID[id] = c.recent.PushFront(&cursor{id: id, key: string(key)})
	c.bytes += len(key)
	for c.recent.Len() > 1 && (c.recent.Len() > c.maxEntries || c.bytes > c.maxBytes) {
		oldest := c.recent.Back()
		c.bytes -= len(entryOf(oldest).key)
		delete(c.byID, entryOf(oldest).id)
		c.recent.Remove(oldest)
	}
	return id
}

// key returns the key after which the scan goes on; false for an unknown cursor.
func (c *cursors) key(id uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[id]
	if e == nil {
		return "", false
	}
	c.recent.MoveToFront(e)
	return entryOf(e).key, true
}

func entryOf(e *list.Element) *cursor {
	c, ok := e.Value.(*cursor)
	if !ok {
		panic("BUG: command: the cursor list holds something else")
	}
	return c
}

// defaultKeyCount is Redis' COUNT when none is given.
const defaultKeyCount = 10

// maxPageBytes ends a page of keys early: COUNT is a hint.
const maxPageBytes = 1 << 20

// keyQuery is a parsed SCAN of keys.
type keyQuery struct {
	pattern []byte // nil: all
	count   uint64
	kind    string // empty: all
}

func parseKeyQuery(args [][]byte) (keyQuery, error) {
	q := keyQuery{count: defaultKeyCount}
	if len(args)%2 != 0 {
		return q, errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		switch {
		case equalFold(args[i], "match"):
			q.pattern = args[i+1]
			if len(q.pattern) > maxPattern {
				return q, errPattern
			}
		case equalFold(args[i], "count"):
			n, ok := parseInt(args[i+1])
			if !ok {
				return q, errInteger
			}
			if n < 1 {
				return q, errSyntax
			}
			q.count = uint64(n)
		case equalFold(args[i], "type"):
			q.kind = string(bytes.ToLower(args[i+1]))
		default:
			return q, errSyntax
		}
	}
	return q, nil
}

func (q *keyQuery) matches(info engine.KeyInfo) bool {
	return (q.pattern == nil || match(q.pattern, info.Key)) && (q.kind == "" || q.kind == info.Kind.String())
}

func (s *session) scanKeys(args [][]byte) error {
	id, ok := kv.ParseUint(args[1])
	if !ok {
		if len(args) == 2 {
			return errScan
		}
		return errCursor
	}
	q, err := parseKeyQuery(args[2:])
	if err != nil {
		return err
	}
	var after []byte
	if id != 0 {
		key, known := s.h.cursors.key(id)
		if !known {
			return errCursor
		}
		after = []byte(key)
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	keys, next, err := s.keyPage(snap, &q, after)
	if err != nil {
		return err
	}
	s.out.ArrayHeader(2)
	s.out.BulkString(strconv.FormatUint(next, 10))
	s.out.ArrayHeader(len(keys))
	for _, key := range keys {
		s.out.BulkString(key)
	}
	return nil
}

// keyPage looks at up to q.count keys and returns those that match, and the
// cursor behind them, 0 at the end.
func (s *session) keyPage(snap *engine.Snapshot, q *keyQuery, after []byte) (keys []string, next uint64, err error) {
	w, err := s.openKeys(snap, q.pattern, after)
	if err != nil {
		return nil, 0, err
	}
	defer w.close()
	var last []byte
	size := 0
	for seen := uint64(0); ; seen++ {
		info, ok, err := w.next()
		if err != nil || !ok {
			return keys, 0, err
		}
		if seen == q.count || size > maxPageBytes {
			return keys, s.h.cursors.issue(last), nil
		}
		last = append(last[:0], info.Key...)
		if q.matches(info) {
			keys = append(keys, string(info.Key))
			size += len(info.Key)
		}
	}
}

// keyWalk walks the keys that can match a pattern.
type keyWalk struct {
	s       *session
	it      *engine.KeyIterator
	pattern []byte
	prefix  []byte
	work    int // steps of matching, at most, since the last look at the client
}

// hangUpWork is how many steps of matching, some tenths of a second, may pass
// before a look at whether anybody still waits for the answer: a long pattern on
// long keys takes minutes.
const hangUpWork = 64 << 20

// openKeys starts after the key after (nil: at the first one).
func (s *session) openKeys(snap *engine.Snapshot, pattern, after []byte) (*keyWalk, error) {
	w := &keyWalk{s: s, pattern: pattern, prefix: literalPrefix(pattern)}
	from, inclusive := after, false
	if bytes.Compare(after, w.prefix) < 0 || after == nil {
		from, inclusive = w.prefix, true
	}
	var err error
	w.it, err = snap.Keys(from, inclusive)
	return w, err
}

func (w *keyWalk) next() (engine.KeyInfo, bool, error) {
	info, ok, err := w.it.Next()
	if err != nil || !ok || !bytes.HasPrefix(info.Key, w.prefix) {
		return engine.KeyInfo{}, false, err
	}
	w.work += len(info.Key) * (len(w.pattern) - len(w.prefix))
	if w.s.unwanted() || w.work > hangUpWork && w.s.c.HungUp() {
		w.s.closing = true
		return engine.KeyInfo{}, false, errStopped
	}
	if w.work > hangUpWork {
		w.work = 0
	}
	return info, true, nil
}

func (w *keyWalk) close() { w.it.Close() }
