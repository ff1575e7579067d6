package command

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tskv/engine"
	"tskv/metrics"
	"tskv/net/server"
)

// Handler makes the sessions of connections and holds what they share.
type Handler struct {
	opt        Options
	log        *slog.Logger
	table      *table
	metrics    *metrics.Commands
	slow       *slowLog
	cursors    *cursors
	works      works
	params     []Parameter
	password   atomic.Pointer[passwordHash] // nil: none
	runID      string                       // 40 hexadecimal digits, new in every process
	started    time.Time
	saved      atomic.Int64 // Unix seconds of the last SAVE or BGSAVE
	saving     atomic.Bool  // a BGSAVE runs
	compacting atomic.Bool  // a COMPACT runs
	// pendingBytes is what transactions that wait for their EXEC hold, and watches.
	pendingBytes atomic.Int64
	broker       *broker
	mailBytes    atomic.Int64   // what waits for subscribers
	monitors     atomic.Int64   // clients under MONITOR
	blocked      atomic.Int64   // clients that wait in a BLOCK
	saves        sync.WaitGroup // the goroutine of BGSAVE; Close waits for it

	mu       sync.Mutex
	sessions map[uint64]*session
	closed   bool
}

// New returns a handler for valid options.
func New(opt Options) (*Handler, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("make command handler: %w", err)
	}
	h := &Handler{
		opt:      opt,
		log:      opt.Logger,
		table:    newTable(),
		slow:     newSlowLog(),
		cursors:  newCursors(maxCursors, maxCursorBytes),
		runID:    newRunID(),
		started:  opt.Now(),
		sessions: map[uint64]*session{},
		broker:   newBroker(),
	}
	h.metrics = metrics.NewCommands(h.table.fullNames(), "put", "get")
	h.params = mergeParameters(h.parameters(), opt.Parameters)
	h.saved.Store(h.started.Unix())
	if opt.Password != "" {
		h.password.Store(hashPassword([]byte(opt.Password)))
	}
	return h, nil
}

// newRunID returns what INFO shows as run_id, by which monitoring notices a
// restart.
func newRunID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// Metrics returns the instruments of the commands, for registration.
func (h *Handler) Metrics() *metrics.Commands { return h.metrics }

// Close waits for background saves. No session may be open any more.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.saves.Wait()
}

// Open implements server.Handler.
func (h *Handler) Open(c *server.Conn) server.Session {
	s := &session{h: h, c: c, out: c.Out(), trusted: h.password.Load() == nil}
	c.SetAuthenticated(s.trusted)
	h.mu.Lock()
	h.sessions[c.ID()] = s
	h.mu.Unlock()
	return s
}

func (h *Handler) forget(s *session) {
	h.mu.Lock()
	delete(h.sessions, s.c.ID())
	h.mu.Unlock()
}

// clients returns the open sessions, oldest first.
func (h *Handler) clients() []*session {
	h.mu.Lock()
	list := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		list = append(list, s)
	}
	h.mu.Unlock()
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.c.ID(), b.c.ID()) })
	return list
}

// clock is the time since start: cheaper to read than the time of day.
func (h *Handler) clock() time.Duration { return time.Since(h.started) }

// db returns the store, or nil while it is loading.
func (h *Handler) db() *engine.DB { return h.opt.DB() }
