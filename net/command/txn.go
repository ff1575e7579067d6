package command

import (
	"errors"

	"tskv/engine"
)

// Bounds of transactions. A transaction has the bounds of one command; all clients
// together hold at most Options.HeldBytes in transactions that wait for their EXEC
// and in keys that they watch.
const (
	maxTxnCommands = 65_535
	maxTxnBytes    = 64 << 20
	maxWatchedKeys = 65_535
	// txnOverhead is more than a queued command or a watched key costs beside its
	// bytes; each argument adds argumentOverhead.
	txnOverhead      = 256
	argumentOverhead = 24
)

const (
	errExecWithout    reply = "ERR EXEC without MULTI"
	errDiscardWithout reply = "ERR DISCARD without MULTI"
	errNestedMulti    reply = "ERR MULTI calls can not be nested"
	errWatchInside    reply = "ERR WATCH inside MULTI is not allowed"
	errNotInMulti     reply = "ERR Command not allowed inside a transaction"
	errExecAbort      reply = "EXECABORT Transaction discarded because of previous errors."
	errTxnTooLarge    reply = "ERR the transaction is larger than a command may be"
	errTxnMemory      reply = "OOM too many bytes wait in the transactions of all clients"
	errTooManyWatched reply = "ERR too many watched keys"
)

// errChanged ends an EXEC whose watched keys have changed.
var errChanged = errors.New("a watched key has changed")

func transactionCommands() []spec {
	const f = flagFast | flagNow | flagNoScript
	return []spec{
		{
			name: "multi", arity: 1, flags: f, group: "transactions", since: "0.1.0",
			summary: "Starts a transaction: the next commands are queued.", run: (*session).startMulti,
		},
		{
			name: "exec", arity: 1, flags: f, group: "transactions", since: "0.1.0",
			summary: "Executes the queued commands as one: all or nothing, visible at once. Null if a watched key has changed.",
			run:     (*session).exec,
		},
		{
			name: "discard", arity: 1, flags: f, group: "transactions", since: "0.1.0",
			summary: "Forgets the queued commands and the watched keys.", run: (*session).discard,
		},
		{
			name: "watch", arity: -2, flags: f, keys: keySpec{1, -1, 1}, group: "transactions", since: "0.1.0",
			syntax: "key [key ...]", summary: "Lets the next EXEC do nothing if one of the keys changes before it.", run: (*session).watch,
		},
		{
			name: "unwatch", arity: 1, flags: flagFast | flagNoScript, group: "transactions", since: "0.1.0",
			summary: "Forgets the watched keys.", run: (*session).unwatch,
		},
	}
}

// transaction is what a client has queued since its MULTI.
type transaction struct {
	cmds    []pending
	bytes   int64
	spoiled bool // a command could not be queued: EXEC will refuse
}

// pending is a queued command; its arguments are copies.
type pending struct {
	sp   *spec
	args [][]byte
}

// watches are the keys of WATCH, with what was known of them then.
type watches struct {
	keys  map[string]watch
	bytes int64
}

type watch struct {
	seq    uint64 // of the last write that the client could see
	exists bool
}

func (s *session) startMulti([][]byte) error {
	if s.multi != nil {
		return errNestedMulti
	}
	s.multi = &transaction{}
	s.pending.Store(1)
	s.out.OK()
	return nil
}

// enqueue makes a command, which has been admitted, part of the transaction.
func (s *session) enqueue(sp *spec, args [][]byte) {
	m := s.multi
	size := int64(txnOverhead)
	for _, arg := range args {
		size += int64(len(arg)) + argumentOverhead
	}
	err := error(nil)
	switch {
	case sp.flags&flagNoMulti != 0:
		err = errNotInMulti
	case m.spoiled: // EXEC will refuse: nothing more is kept
	case len(m.cmds) == maxTxnCommands || m.bytes+size > maxTxnBytes:
		err = errTxnTooLarge
	case !s.h.reserve(size):
		err = errTxnMemory
	default:
		m.bytes += size
		m.cmds = append(m.cmds, pending{sp, cloneArgs(args)})
		s.pending.Store(int64(len(m.cmds)) + 1)
	}
	if err != nil {
		s.spoilTransaction()
		s.h.metrics.At(sp.index).Rejected.Inc()
		s.writeError(err)
		return
	}
	s.out.SimpleString("QUEUED")
}

// reserve takes size bytes of what all transactions share; false if they are not
// there.
func (h *Handler) reserve(size int64) bool {
	if h.pendingBytes.Add(size) <= max(h.opt.HeldBytes, maxTxnBytes) {
		return true
	}
	h.pendingBytes.Add(-size)
	return false
}

// cloneArgs copies arguments into one piece of memory.
func cloneArgs(args [][]byte) [][]byte {
	n := 0
	for _, arg := range args {
		n += len(arg)
	}
	text, list := make([]byte, 0, n), make([][]byte, len(args))
	for i, arg := range args {
		from := len(text)
		text = append(text, arg...)
		list[i] = text[from:len(text):len(text)]
	}
	return list
}

// spoilTransaction makes EXEC refuse the transaction, if there is one, because a
// command was not queued.
func (s *session) spoilTransaction() {
	if m := s.multi; m != nil {
		s.h.pendingBytes.Add(-m.bytes)
		*m = transaction{spoiled: true}
	}
}

// dropTransaction forgets the transaction and the watched keys.
func (s *session) dropTransaction() {
	if s.multi != nil {
		s.h.pendingBytes.Add(-s.multi.bytes)
		s.multi = nil
		s.pending.Store(0)
	}
	s.dropWatches()
}

func (s *session) dropWatches() {
	if s.watched != nil {
		s.h.pendingBytes.Add(-s.watched.bytes)
		s.watched = nil
	}
}

func (s *session) discard([][]byte) error {
	if s.multi == nil {
		return errDiscardWithout
	}
	s.dropTransaction()
	s.out.OK()
	return nil
}

func (s *session) unwatch([][]byte) error {
	s.dropWatches()
	s.out.OK()
	return nil
}

// watch notes the present state of keys. A key that is watched already keeps the
// state of the first time.
func (s *session) watch(args [][]byte) error {
	if s.multi != nil {
		return errWatchInside
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if s.watched == nil {
		s.watched = &watches{keys: map[string]watch{}}
	}
	w := s.watched
	for _, key := range args[1:] {
		if _, again := w.keys[string(key)]; again {
			continue
		}
		_, there, err := snap.Key(key)
		if err != nil {
			return err
		}
		size := int64(len(key)) + txnOverhead
		if len(w.keys) == maxWatchedKeys {
			return errTooManyWatched
		}
		if !s.h.reserve(size) {
			return errTxnMemory
		}
		w.bytes += size
		w.keys[string(key)] = watch{seq: snap.Sequence(), exists: there}
	}
	s.out.OK()
	return nil
}

// unchanged is the guard of an EXEC.
func (w *watches) unchanged(tx *engine.Tx) error {
	for key, was := range w.keys {
		changed, err := tx.Changed([]byte(key), was.seq)
		if err != nil {
			return err
		}
		if !changed && was.exists {
			there, err := tx.Exists([]byte(key)) // it may have expired, which is no write
			if err != nil {
				return err
			}
			changed = !there
		}
		if changed {
			return errChanged
		}
	}
	return nil
}

// warmWatched reads what the guard will ask for, so that the commit goroutine does
// not wait for a disk.
func (s *session) warmWatched() error {
	snap, err := s.db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	for key := range s.watched.keys {
		if _, _, err := snap.Key([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// exec makes the queued commands one batch, and so one record of the log. Writes
// are decided on the commit goroutine in their order and see each other, as those of
// a pipeline do. A read only takes a snapshot there, of all that was written before
// it, and is answered from that after the batch is durable.
func (s *session) exec([][]byte) error {
	m := s.multi
	if m == nil {
		return errExecWithout
	}
	defer s.dropTransaction()
	if m.spoiled {
		return errExecAbort
	}
	whole := s.sp
	defer func() { s.sp = whole }()
	if s.watched != nil {
		if err := s.warmWatched(); err != nil {
			return err
		}
		s.batch.Guard = s.watched.unchanged
	}
	for i := range m.cmds {
		s.queueExec(&m.cmds[i])
	}
	if len(s.queue) == 0 && s.batch.Guard == nil {
		s.out.ArrayHeader(0)
		return nil
	}
	defer s.emptyQueue()
	err := s.commit()
	switch {
	case errors.Is(err, errChanged):
		s.out.NullArray()
		return nil
	case err != nil:
		return err
	}
	s.out.ArrayHeader(len(s.queue))
	for i := range s.queue {
		s.answer(&s.queue[i], nil)
		if s.closing || s.c.MaybeFlush() != nil {
			break
		}
	}
	return nil
}

// queueExec adds one command of a transaction to the batch: one operation.
func (s *session) queueExec(p *pending) {
	s.sp = p.sp
	if p.sp.flags&flagQueued != 0 {
		if err := p.sp.run(s, p.args); err != nil {
			s.queueUpdate(p.args, func(*engine.Tx, *queued) error { return err }, replyOK)
		}
		return
	}
	take := func(tx *engine.Tx, q *queued) error {
		if q.sp.flags&flagReadonly != 0 {
			q.snap = tx.Before()
		}
		return nil
	}
	s.queueUpdate(p.args, take, replyByRunning)
}

// replyByRunning runs a command that writes nothing, at its place in the
// transaction.
func replyByRunning(s *session, q *queued) error {
	s.sp, s.at = q.sp, q.snap
	defer func() { s.at = nil }()
	return q.sp.run(s, q.args)
}

// snapshot returns what a command reads, to be released: the present state, or
// inside EXEC the state at the command's place.
func (s *session) snapshot() (*engine.Snapshot, error) {
	if s.at != nil {
		return s.at.Clone(), nil
	}
	return s.db.Snapshot()
}
