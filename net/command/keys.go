package command

import (
	"fmt"
	"strconv"

	"tskv/engine"
)

func keyCommands() []spec {
	all := keySpec{1, -1, 1}
	return []spec{
		{
			name: "del", arity: -2, flags: flagWrite | flagQueued, keys: all, group: "generic", since: "0.1.0",
			syntax: "key [key ...]", summary: "Deletes keys and answers how many existed.", run: (*session).del,
		},
		{
			name: "unlink", arity: -2, flags: flagWrite | flagFast | flagQueued, keys: all, group: "generic", since: "0.1.0",
			syntax: "key [key ...]", summary: "The same as DEL, which takes constant time per key.", run: (*session).del,
		},
		{
			name: "exists", arity: -2, flags: flagReadonly | flagFast, keys: all, group: "generic", since: "0.1.0",
			syntax: "key [key ...]", summary: "How many of the keys exist.", run: (*session).exists,
		},
		{
			name: "touch", arity: -2, flags: flagReadonly | flagFast, keys: all, group: "generic", since: "0.1.0",
			syntax: "key [key ...]", summary: "The same as EXISTS: no access times are kept.", run: (*session).exists,
		},
		{
			name: "type", arity: 2, flags: flagReadonly | flagFast, keys: keySpec{1, 1, 1}, group: "generic", since: "0.1.0",
			syntax: "key", summary: "The kind of a key: string, or none if it does not exist.", run: (*session).typeOf,
		},
		{
			name: "keys", arity: 2, flags: flagReadonly, group: "generic", since: "0.1.0",
			syntax: "pattern", summary: "All keys that match a glob pattern, in order.", run: (*session).keys,
		},
		{
			name: "dbsize", arity: 1, flags: flagReadonly | flagFast, group: "server", since: "0.1.0",
			summary: "The number of keys.", run: (*session).dbSize,
		},
		{
			name: "flushall", arity: -1, flags: flagWrite | flagQueued, group: "server", since: "0.1.0",
			syntax: "[ASYNC|SYNC]", summary: "Deletes all keys.", run: (*session).flush,
		},
		{
			name: "flushdb", arity: -1, flags: flagWrite | flagQueued, group: "server", since: "0.1.0",
			syntax: "[ASYNC|SYNC]", summary: "Deletes all keys.", run: (*session).flush,
		},
		{
			name: "object", arity: -2, group: "generic", since: "0.1.0",
			syntax: "subcommand", summary: "Looks at how a key is held.",
			subs: []spec{
				{
					name: "encoding", arity: 3, flags: flagReadonly, keys: keySpec{2, 2, 1}, syntax: "key",
					summary: "How the key is held: series.", run: (*session).objectEncoding,
				},
				{name: "help", arity: 2, flags: flagLoading | flagStale, summary: "Lists the subcommands.", run: (*session).containerHelp},
			},
		},
	}
}

func (s *session) del(args [][]byte) error {
	keys := args[1:]
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	s.queueUpdate(args, deleteKeys, replyNumber, keys...)
	s.freesDisk()
	return nil
}

func deleteKeys(tx *engine.Tx, q *queued) error {
	q.n = 0
	for _, key := range q.args[1:] {
		there, err := tx.Delete(key)
		if err != nil {
			return err
		}
		if there {
			q.n++
		}
	}
	return nil
}

func (s *session) exists(args [][]byte) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	n := int64(0)
	for _, key := range args[1:] {
		_, there, err := snap.Key(key)
		if err != nil {
			return err
		}
		if there {
			n++
		}
	}
	s.out.Int(n)
	return nil
}

// keyInfo looks one key up.
func (s *session) keyInfo(key []byte) (engine.KeyInfo, bool, error) {
	snap, err := s.snapshot()
	if err != nil {
		return engine.KeyInfo{}, false, err
	}
	defer snap.Release()
	return snap.Key(key)
}

func (s *session) typeOf(args [][]byte) error {
	info, there, err := s.keyInfo(args[1])
	if err != nil {
		return err
	}
	if there {
		s.out.SimpleString(info.Kind.String())
	} else {
		s.out.SimpleString("none")
	}
	return nil
}

func (s *session) objectEncoding(args [][]byte) error {
	_, there, err := s.keyInfo(args[2])
	switch {
	case err != nil:
		return err
	case there:
		s.out.BulkString("series")
	default:
		s.out.Null()
	}
	return nil
}

// keys collects up to collectBytes of keys. If there are more it counts all that
// match, and then streams them from the same snapshot.
func (s *session) keys(args [][]byte) error {
	pattern := args[1]
	if len(pattern) > maxPattern {
		return errPattern
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	w, err := s.openKeys(snap, pattern, nil)
	if err != nil {
		return err
	}
	defer w.close()
	body, n, done, err := collectKeys(w, pattern, s.scratch[:0], collectBytes)
	s.scratch = body[:0]
	if err != nil {
		return err
	}
	total := n
	if !done {
		if total, err = s.countKeys(snap, pattern); err != nil {
			return err
		}
	}
	s.out.ArrayHeader(total)
	s.out.Raw(body)
	for n < total && !s.gone() {
		var more int
		body, more, _, err = collectKeys(w, pattern, body[:0], pieceBytes)
		if n += more; err == nil && (more == 0 || n > total) {
			err = fmt.Errorf("%d keys announced, %d found", total, n)
		}
		if err != nil {
			s.abort("keys of "+strconv.Quote(echo(pattern)), err)
			return nil
		}
		s.out.Raw(body)
	}
	return nil
}

// collectKeys appends matching keys as bulks to dst until it holds limit bytes.
func collectKeys(w *keyWalk, pattern, dst []byte, limit int) (body []byte, n int, done bool, err error) {
	for len(dst) < limit {
		info, ok, err := w.next()
		if err != nil || !ok {
			return dst, n, true, err
		}
		if match(pattern, info.Key) {
			dst = appendBulk(dst, info.Key)
			n++
		}
	}
	return dst, n, false, nil
}

func (s *session) countKeys(snap *engine.Snapshot, pattern []byte) (int, error) {
	w, err := s.openKeys(snap, pattern, nil)
	if err != nil {
		return 0, err
	}
	defer w.close()
	for n := 0; ; {
		info, ok, err := w.next()
		if err != nil || !ok {
			return n, err
		}
		if match(pattern, info.Key) {
			n++
		}
	}
}

func (s *session) dbSize([][]byte) error {
	s.out.Uint(s.db.Keys())
	return nil
}

func (s *session) flush(args [][]byte) error {
	if len(args) > 2 || len(args) == 2 && !equalFold(args[1], "async") && !equalFold(args[1], "sync") {
		return errSyntax
	}
	s.queueUpdate(args, func(tx *engine.Tx, _ *queued) error {
		tx.Clear()
		return nil
	}, replyOK)
	s.freesDisk()
	return nil
}
