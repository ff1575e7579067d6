package command

import (
	"math"

	"tskv/engine"
	"tskv/kv"
)

const (
	errExpireNX reply = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errExpireGT reply = "ERR GT and LT options at the same time are not compatible"
)

func errExpireTime(name string) error {
	return reply("ERR invalid expire time in '" + name + "' command")
}

func expireCommands() []spec {
	const write = flagWrite | flagFast | flagQueued
	const read = flagReadonly | flagFast
	one := keySpec{1, 1, 1}
	expire := func(name, argument, summary string, o expireUnit) spec {
		return spec{
			name: name, arity: -3, flags: write, keys: one, group: "generic", since: "0.2.0",
			syntax: "key " + argument + " [NX|XX|GT|LT]", summary: summary,
			run: func(s *session, args [][]byte) error { return s.expire(args, o) },
		}
	}
	show := func(name, summary string, answer func(s *session, info engine.KeyInfo, now int64)) spec {
		return spec{
			name: name, arity: 2, flags: read, keys: one, group: "generic", since: "0.2.0",
			syntax: "key", summary: summary,
			run: func(s *session, args [][]byte) error { return s.timeToLive(args, answer) },
		}
	}
	return []spec{
		expire("expire", "seconds", "Deletes a key after a time.", expireUnit{scale: 1000, relative: true}),
		expire("pexpire", "milliseconds", "Deletes a key after a time.", expireUnit{scale: 1, relative: true}),
		expire("expireat", "unix-seconds", "Deletes a key at a time.", expireUnit{scale: 1000}),
		expire("pexpireat", "unix-milliseconds", "Deletes a key at a time.", expireUnit{scale: 1}),
		show("ttl", "Seconds until a key expires; -1: never, -2: there is no such key.", func(s *session, info engine.KeyInfo, now int64) {
			s.out.Int((int64(info.ExpireAt) - now + 500) / 1000)
		}),
		show("pttl", "Milliseconds until a key expires; -1: never, -2: there is no such key.", func(s *session, info engine.KeyInfo, now int64) {
			s.out.Int(int64(info.ExpireAt) - now)
		}),
		show("expiretime", "The unix time in seconds at which a key expires; -1: never, -2: there is no such key.", func(s *session, info engine.KeyInfo, _ int64) {
			s.out.Int((int64(info.ExpireAt) + 500) / 1000)
		}),
		show("pexpiretime", "The unix time in milliseconds at which a key expires; -1: never, -2: there is no such key.", func(s *session, info engine.KeyInfo, _ int64) {
			s.out.Int(int64(info.ExpireAt))
		}),
		{
			name: "persist", arity: 2, flags: write, keys: one, group: "generic", since: "0.2.0",
			syntax: "key", summary: "Takes a key's expiry away.", run: (*session).persist,
		},
	}
}

// expiringValues are the strings that have to do with expiry.
func expiringValues() []spec {
	const write = flagWrite | flagFast | flagQueued
	one := keySpec{1, 1, 1}
	return []spec{
		{
			name: "setex", arity: 4, flags: write, keys: one, group: "string", since: "0.2.0",
			syntax: "key seconds value", summary: "Writes a new version of a value that expires after a time.", run: (*session).setEx,
		},
		{
			name: "psetex", arity: 4, flags: write, keys: one, group: "string", since: "0.2.0",
			syntax: "key milliseconds value", summary: "Writes a new version of a value that expires after a time.", run: (*session).pSetEx,
		},
		{
			name: "getex", arity: -2, flags: write, keys: one, group: "string", since: "0.2.0",
			syntax: "key [EX seconds|PX milliseconds|EXAT unix-seconds|PXAT unix-milliseconds|PERSIST]", summary: "The newest value; says when the key expires.", run: (*session).getEx,
		},
		{
			name: "getdel", arity: 2, flags: write, keys: one, group: "string", since: "0.2.0",
			syntax: "key", summary: "The newest value, and deletes the key.", run: (*session).getDel,
		},
	}
}

// expireUnit says how the time of an expiry is written.
type expireUnit struct {
	scale    int64 // milliseconds
	relative bool  // to now
}

// time returns an expiry in milliseconds since 1970; false if it overflows.
func (u expireUnit) time(n, now int64) (int64, bool) {
	if n > math.MaxInt64/u.scale || n < math.MinInt64/u.scale {
		return 0, false
	}
	n *= u.scale
	if !u.relative {
		return n, true
	}
	return n + now, n <= math.MaxInt64-now
}

// expireQuery is a parsed EXPIRE.
type expireQuery struct {
	at             int64
	nx, xx, gt, lt bool
}

func (s *session) expire(args [][]byte, unit expireUnit) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	var q expireQuery
	for _, arg := range args[3:] {
		switch {
		case equalFold(arg, "nx"):
			q.nx = true
		case equalFold(arg, "xx"):
			q.xx = true
		case equalFold(arg, "gt"):
			q.gt = true
		case equalFold(arg, "lt"):
			q.lt = true
		default:
			return reply("ERR Unsupported option " + echo(arg))
		}
	}
	switch {
	case q.nx && (q.xx || q.gt || q.lt):
		return errExpireNX
	case q.gt && q.lt:
		return errExpireGT
	}
	n, ok := parseInt(args[2])
	if !ok {
		return errInteger
	}
	if q.at, ok = unit.time(n, s.h.opt.Now().UnixMilli()); !ok {
		return errExpireTime(s.sp.name)
	}
	s.queueUpdate(args, q.apply, replyFound, args[1])
	return nil
}

// apply sets the expiry of q.args[1] if the conditions hold. A key without expiry
// counts as one that expires at the end of time.
func (e expireQuery) apply(tx *engine.Tx, q *queued) error {
	q.found = false
	current, there, err := tx.ExpireAt(q.args[1])
	if err != nil || !there {
		return err
	}
	at, none := uint64(max(e.at, 1)), current == 0
	switch {
	case e.nx && !none, e.xx && none, e.gt && (none || at <= current), e.lt && !none && at >= current:
		return nil
	}
	q.found, err = tx.SetExpireAt(q.args[1], at)
	return err
}

func (s *session) timeToLive(args [][]byte, answer func(s *session, info engine.KeyInfo, now int64)) error {
	info, there, err := s.keyInfo(args[1])
	switch {
	case err != nil:
		return err
	case !there:
		s.out.Int(-2)
	case info.ExpireAt == 0:
		s.out.Int(-1)
	default:
		answer(s, info, min(s.h.opt.Now().UnixMilli(), int64(info.ExpireAt)))
	}
	return nil
}

func (s *session) persist(args [][]byte) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	s.queueUpdate(args, persistKey, replyFound, args[1])
	return nil
}

func persistKey(tx *engine.Tx, q *queued) error {
	at, there, err := tx.ExpireAt(q.args[1])
	q.found = there && at != 0
	if err != nil || !q.found {
		return err
	}
	_, err = tx.SetExpireAt(q.args[1], 0)
	return err
}

// ttlOptions are EX, PX, EXAT and PXAT of SET and GETEX, and what stands in their
// place.
type ttlOptions struct {
	given   bool // one of the four
	keep    bool // KEEPTTL
	persist bool // PERSIST
	unit    expireUnit
	text    []byte
	at      uint64 // milliseconds since 1970
}

// parse takes the option at args[i] if it is one of these, and returns how many
// arguments it has.
func (o *ttlOptions) parse(args [][]byte, i int) (int, error) {
	n := 2
	switch arg := args[i]; {
	case equalFold(arg, "ex"):
		o.unit = expireUnit{scale: 1000, relative: true}
	case equalFold(arg, "px"):
		o.unit = expireUnit{scale: 1, relative: true}
	case equalFold(arg, "exat"):
		o.unit = expireUnit{scale: 1000}
	case equalFold(arg, "pxat"):
		o.unit = expireUnit{scale: 1}
	case equalFold(arg, "keepttl"), equalFold(arg, "persist"):
		n = 1
	default:
		return 0, errSyntax
	}
	if o.given || o.keep || o.persist || i+n > len(args) {
		return 0, errSyntax
	}
	switch {
	case n == 2:
		o.given, o.text = true, args[i+1]
	case equalFold(args[i], "keepttl"):
		o.keep = true
	default:
		o.persist = true
	}
	return n, nil
}

// resolve computes the time: it must be positive, for reasons of Redis.
func (o *ttlOptions) resolve(name string, now int64) error {
	if !o.given {
		return nil
	}
	n, ok := parseInt(o.text)
	if !ok {
		return errInteger
	}
	at, ok := o.unit.time(n, now)
	if !ok || n <= 0 || at <= 0 {
		return errExpireTime(name)
	}
	o.at = uint64(at)
	return nil
}

func (s *session) setEx(args [][]byte) error {
	return s.setFor(args, expireUnit{scale: 1000, relative: true})
}

func (s *session) pSetEx(args [][]byte) error {
	return s.setFor(args, expireUnit{scale: 1, relative: true})
}

// setFor is SETEX and PSETEX: key, time, value.
func (s *session) setFor(args [][]byte, unit expireUnit) error {
	if err := checkPair(args[1], args[3]); err != nil {
		return err
	}
	o := setOptions{ttl: ttlOptions{given: true, unit: unit, text: args[2]}}
	if err := o.ttl.resolve(s.sp.name, s.h.opt.Now().UnixMilli()); err != nil {
		return err
	}
	q := s.queueUpdate(args, o.apply, replyOK, args[1])
	q.args = [][]byte{args[0], args[1], args[3]}
	return nil
}

func (s *session) getEx(args [][]byte) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	var o ttlOptions
	for i := 2; i < len(args); {
		n, err := o.parse(args, i)
		if err != nil || o.keep {
			return errSyntax
		}
		i += n
	}
	bad := o.resolve(s.sp.name, s.h.opt.Now().UnixMilli()) // an error only if the key is there
	s.queueUpdate(args, func(tx *engine.Tx, q *queued) error {
		there, err := newestValue(tx, q)
		if err == nil && there {
			err = bad
		}
		if err == nil && there && (o.given || o.persist) {
			_, err = tx.SetExpireAt(q.args[1], o.at)
		}
		return err
	}, replyValue, args[1])
	return nil
}

func (s *session) getDel(args [][]byte) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	s.queueUpdate(args, func(tx *engine.Tx, q *queued) error {
		_, err := newestValue(tx, q)
		if err == nil {
			_, err = tx.Delete(q.args[1])
		}
		return err
	}, replyValue, args[1])
	return nil
}

// newestValue leaves the newest value of q.args[1] in q.value.
func newestValue(tx *engine.Tx, q *queued) (bool, error) {
	q.value = nil
	rec, ok, err := tx.Newest(q.args[1], kv.MaxID)
	if ok && err == nil {
		q.value = notNil(rec.Value)
	}
	return ok, err
}
