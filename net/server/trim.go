package server

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// trimBytes of large buffers make a burst.
	trimBytes = 32 << 20
	// trimDelay without another large buffer ends it.
	trimDelay = 2 * time.Second
)

// trimmer returns the memory of a burst of large buffers to the operating
// system soon after the burst. Left alone, the collector would not run before the
// heap had doubled again, or two minutes had passed.
type trimmer struct {
	bytes atomic.Int64 // of large buffers since the last trim

	mu     sync.Mutex
	seen   int64 // bytes when the timer was set
	timer  *time.Timer
	closed bool
	ran    sync.WaitGroup
}

// note counts a large buffer; any goroutine.
func (t *trimmer) note(n int) {
	if t.bytes.Add(int64(n)) < trimBytes {
		return
	}
	t.mu.Lock()
	if t.timer == nil && !t.closed {
		t.seen = t.bytes.Load()
		t.timer = time.AfterFunc(trimDelay, t.run)
	}
	t.mu.Unlock()
}

// run is the timer's goroutine: it waits on during the burst, then trims once.
func (t *trimmer) run() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	if n := t.bytes.Load(); n != t.seen {
		t.seen = n
		t.timer.Reset(trimDelay)
		t.mu.Unlock()
		return
	}
	t.bytes.Store(0)
	t.timer = nil
	t.ran.Add(1)
	t.mu.Unlock()
	debug.FreeOSMemory()
	t.ran.Done()
}

// close ends trimming and waits for a trim that runs.
func (t *trimmer) close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	t.ran.Wait()
}
