package command

import (
	"tskv/engine"
	"tskv/kv"
)

// stringCommands is the family in which the newest record of a key is its value.
// Every write is a new version at the present time.
func stringCommands() []spec {
	const write = flagWrite | flagFast | flagQueued
	const read = flagReadonly | flagFast
	one := keySpec{1, 1, 1}
	return []spec{
		{
			name: "set", arity: -3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-seconds|PXAT unix-milliseconds|KEEPTTL]", summary: "Writes a new version of a value, and says when the key expires.", run: (*session).set,
		},
		{
			name: "setnx", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key value", summary: "Writes a value if the key does not exist.", run: (*session).setNX,
		},
		{
			name: "getset", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key value", summary: "Writes a new version and answers the one before.", run: (*session).getSet,
		},
		{
			name: "mset", arity: -3, flags: write, keys: keySpec{1, -1, 2}, group: "string", since: "0.1.0",
			syntax: "key value [key value ...]", summary: "Writes new versions of many values, all or none.", run: (*session).mset,
		},
		{
			name: "mget", arity: -2, flags: read, keys: keySpec{1, -1, 1}, group: "string", since: "0.1.0",
			syntax: "key [key ...]", summary: "The newest values of many keys at one moment.", run: (*session).mget,
		},
		{
			name: "strlen", arity: 2, flags: read, keys: one, group: "string", since: "0.1.0",
			syntax: "key", summary: "The length of the newest value in bytes.", run: (*session).strlen,
		},
		{
			name: "getrange", arity: 4, flags: read, keys: one, group: "string", since: "0.1.0",
			syntax: "key start end", summary: "A part of the newest value; negative positions count from its end.", run: (*session).getRange,
		},
		{
			name: "append", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key value", summary: "Writes a new version: the newest value with this one behind it.", run: (*session).appendValue,
		},
		{
			name: "incr", arity: 2, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key", summary: "Adds one to an integer.", run: (*session).incr,
		},
		{
			name: "decr", arity: 2, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key", summary: "Subtracts one from an integer.", run: (*session).decr,
		},
		{
			name: "incrby", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key increment", summary: "Adds to an integer.", run: (*session).incrBy,
		},
		{
			name: "decrby", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key decrement", summary: "Subtracts from an integer.", run: (*session).decrBy,
		},
		{
			name: "incrbyfloat", arity: 3, flags: write, keys: one, group: "string", since: "0.1.0",
			syntax: "key increment", summary: "Adds to a number.", run: (*session).incrByFloat,
		},
	}
}

// setOptions are the options of SET.
type setOptions struct {
	absent, present, get bool
	ttl                  ttlOptions
}

func parseSetOptions(args [][]byte) (setOptions, error) {
	var o setOptions
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case equalFold(arg, "nx"):
			o.absent = true
		case equalFold(arg, "xx"):
			o.present = true
		case equalFold(arg, "get"):
			o.get = true
		default:
			n, err := o.ttl.parse(args, i)
			if err != nil {
				return o, err
			}
			i += n - 1
		}
	}
	if o.absent && o.present || o.ttl.persist {
		return o, errSyntax
	}
	return o, nil
}

func (s *session) set(args [][]byte) error {
	if err := checkPair(args[1], args[2]); err != nil {
		return err
	}
	if len(args) == 3 {
		op := s.queuePut(args, replyOK)
		op.Key, op.Value, op.Mode, op.Persist = args[1], args[2], engine.IDAuto, true
		return nil
	}
	o, err := parseSetOptions(args[3:])
	if err == nil {
		err = o.ttl.resolve(s.sp.name, s.h.opt.Now().UnixMilli())
	}
	if err != nil {
		return err
	}
	answer := replySet
	if o.get {
		answer = replyValue
	}
	s.queueUpdate(args, o.apply, answer, args[1])
	return nil
}

// apply sets q.args[1] to q.args[2] as the options say. q.found: it was written;
// q.value: the value before, if GET asked for it.
func (o setOptions) apply(tx *engine.Tx, q *queued) error {
	key, value := q.args[1], q.args[2]
	q.found, q.value = false, nil
	if o.get {
		rec, ok, err := tx.Newest(key, kv.MaxID)
		if err != nil {
			return err
		}
		if ok {
			q.value = notNil(rec.Value)
		}
	}
	if o.absent || o.present {
		there, err := tx.Exists(key)
		if err != nil || there != o.present {
			return err
		}
	}
	q.found = true
	err := tx.Put(&engine.Op{Key: key, Value: value, Mode: engine.IDAuto, Persist: !o.ttl.keep && !o.ttl.given})
	if err == nil && o.ttl.given {
		_, err = tx.SetExpireAt(key, o.ttl.at)
	}
	return err
}

// notNil tells an empty value from none.
func notNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// setNow writes a new version at the present time; the key keeps its expiry.
func setNow(tx *engine.Tx, key, value []byte) error {
	return tx.Put(&engine.Op{Key: key, Value: value, Mode: engine.IDAuto})
}

func replySet(s *session, q *queued) error {
	if q.found {
		s.out.OK()
	} else {
		s.out.Null()
	}
	return nil
}

func replyValue(s *session, q *queued) error {
	if q.value == nil {
		s.out.Null()
	} else {
		s.out.Bulk(q.value)
	}
	return nil
}

func (s *session) setNX(args [][]byte) error {
	if err := checkPair(args[1], args[2]); err != nil {
		return err
	}
	s.queueUpdate(args, setOptions{absent: true}.apply, replyFound, args[1])
	return nil
}

func replyFound(s *session, q *queued) error {
	if q.found {
		s.out.Int(1)
	} else {
		s.out.Int(0)
	}
	return nil
}

func (s *session) getSet(args [][]byte) error {
	if err := checkPair(args[1], args[2]); err != nil {
		return err
	}
	s.queueUpdate(args, setOptions{get: true}.apply, replyValue, args[1])
	return nil
}

func (s *session) mset(args [][]byte) error {
	if len(args)%2 != 1 {
		return errArity("mset")
	}
	ops := make([]engine.Op, 0, len(args)/2)
	keys := make([][]byte, 0, len(args)/2)
	for i := 1; i < len(args); i += 2 {
		if err := checkPair(args[i], args[i+1]); err != nil {
			return err
		}
		ops = append(ops, engine.Op{Key: args[i], Value: args[i+1], Mode: engine.IDAuto, Persist: true})
		keys = append(keys, args[i])
	}
	s.queueUpdate(args, putAll, replyOK, keys...).ops = ops
	return nil
}

func (s *session) mget(args [][]byte) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	keys := args[1:]
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	// Nothing may be written before all values are there: a read can fail.
	body := s.scratch[:0]
	for i, key := range keys {
		value, ok, err := s.mgetValue(snap, key)
		if err != nil {
			return err
		}
		switch {
		case ok:
			body = appendBulk(body, value)
		case s.out.Protocol() == 3:
			body = append(body, "_\r\n"...)
		default:
			body = append(body, "$-1\r\n"...)
		}
		if len(body) >= collectBytes && i < len(keys)-1 {
			return s.mgetLong(snap, keys, body, i+1)
		}
	}
	s.scratch = body[:0]
	s.out.ArrayHeader(len(keys))
	s.out.Raw(body)
	return nil
}

func (s *session) mgetValue(snap *engine.Snapshot, key []byte) ([]byte, bool, error) {
	rec, ok, err := snap.Get(key, kv.MaxID, nil)
	return rec.Value, ok, err
}

// mgetLong streams the values from keys[next] on.
func (s *session) mgetLong(snap *engine.Snapshot, keys [][]byte, body []byte, next int) error {
	s.out.ArrayHeader(len(keys))
	s.out.Raw(body)
	for _, key := range keys[next:] {
		value, ok, err := s.mgetValue(snap, key)
		switch {
		case err != nil:
			s.abort("mget", err)
			return nil
		case s.gone():
			return nil
		case ok:
			s.out.Bulk(value)
		default:
			s.out.Null()
		}
	}
	return nil
}

// newest reads the newest value of a key into the scratch memory; nil if there
// is none.
func (s *session) newest(key []byte) ([]byte, error) {
	rec, _, err := s.read(key, kv.MaxID)
	return rec.Value, err
}

func (s *session) strlen(args [][]byte) error {
	value, err := s.newest(args[1])
	if err == nil {
		s.out.Int(int64(len(value)))
	}
	return err
}

func (s *session) getRange(args [][]byte) error {
	start, ok1 := parseInt(args[2])
	end, ok2 := parseInt(args[3])
	if !ok1 || !ok2 {
		return errInteger
	}
	value, err := s.newest(args[1])
	if err != nil {
		return err
	}
	n := int64(len(value))
	if start < 0 && end < 0 && start > end {
		n = 0
	}
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	end = min(end, n-1)
	if start > end {
		s.out.BulkString("")
	} else {
		s.out.Bulk(value[start : end+1])
	}
	return nil
}

func (s *session) appendValue(args [][]byte) error {
	if err := checkPair(args[1], args[2]); err != nil {
		return err
	}
	s.queueUpdate(args, appendNow, replyNumber, args[1])
	return nil
}

func appendNow(tx *engine.Tx, q *queued) error {
	rec, _, err := tx.Newest(q.args[1], kv.MaxID)
	if err != nil {
		return err
	}
	if len(rec.Value)+len(q.args[2]) > kv.MaxValue {
		return errTooLong
	}
	value := append(rec.Value, q.args[2]...)
	q.n = int64(len(value))
	return setNow(tx, q.args[1], value)
}
