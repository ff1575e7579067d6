package command

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the slow log; what is kept of an entry is as in Redis.
const (
	defaultSlowEntries = 128
	maxSlowEntries     = 65_536
	maxSlowArgs        = 32
	maxSlowArg         = 128
	defaultSlow        = 10 * time.Millisecond
)

// slowLog keeps the last commands that took longer than a threshold. Queued
// writes take as long as their batch, so of a slow batch the first command
// stands for all. Any goroutine.
type slowLog struct {
	threshold atomic.Int64 // nanoseconds; negative: off

	mu      sync.Mutex
	limit   int
	nextID  int64
	entries []slowEntry // oldest first
}

type slowEntry struct {
	id   int64
	at   time.Time
	took time.Duration
	args [][]byte
	addr string
	name string
}

func newSlowLog() *slowLog {
	l := &slowLog{limit: defaultSlowEntries}
	l.threshold.Store(int64(defaultSlow))
	return l
}

func (l *slowLog) micros() int64 {
	if n := l.threshold.Load(); n >= 0 {
		return n / int64(time.Microsecond)
	}
	return -1
}

func (l *slowLog) setMicros(n int64) { l.threshold.Store(n * int64(time.Microsecond)) }

func (l *slowLog) capacity() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

func (l *slowLog) setCapacity(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
	l.trim()
}

func (l *slowLog) trim() {
	if extra := len(l.entries) - l.limit; extra > 0 {
		l.entries = slices.Delete(l.entries, 0, extra)
	}
}

// observe keeps a command if it was slow and carries no secret. Arguments are copied, shortened.
func (l *slowLog) observe(s *session, sp *spec, took time.Duration, args [][]byte) {
	limit := l.threshold.Load()
	if limit < 0 || int64(took) < limit || sp.flags&flagSensitive != 0 {
		return
	}
	e := slowEntry{at: s.h.opt.Now(), took: took, addr: s.c.RemoteAddr(), name: s.name, args: slowArgs(args)}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.nextID
	l.nextID++
	l.entries = append(l.entries, e)
	l.trim()
}

func slowArgs(args [][]byte) [][]byte {
	kept := make([][]byte, 0, min(len(args), maxSlowArgs))
	for i, arg := range args {
		if i == maxSlowArgs-1 && len(args) > maxSlowArgs {
			return append(kept, fmt.Appendf(nil, "... (%d more arguments)", len(args)-i))
		}
		short := slices.Clone(arg[:min(len(arg), maxSlowArg)])
		if len(arg) > maxSlowArg {
			short = fmt.Appendf(short, "... (%d more bytes)", len(arg)-maxSlowArg)
		}
		kept = append(kept, short)
	}
	return kept
}

// latest returns up to n entries, the newest first; n < 0: all.
func (l *slowLog) latest(n int64) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > int64(len(l.entries)) {
		n = int64(len(l.entries))
	}
	list := slices.Clone(l.entries[int64(len(l.entries))-n:])
	slices.Reverse(list)
	return list
}

func (l *slowLog) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
