package command

import (
	"bytes"
	"maps"
	"slices"

	"tskv/engine"
)

// tailPrefix marks the channels that carry the records of keys.
const tailPrefix = "tail:"

// Bounds of one client's subscriptions.
const (
	maxSubscriptions = 65_536
	maxTails         = 1024
)

const (
	errTailPublish reply = "ERR channels that start with tail: carry the records of keys: write them with PUT"
	errTooManySubs reply = "ERR too many subscriptions"
)

func pubsubCommands() []spec {
	const f = flagLoading | flagStale | flagNoScript | flagSubscriber | flagNoMulti
	return []spec{
		{
			name: "subscribe", arity: -2, flags: f, group: "pubsub", since: "0.1.0",
			syntax:  "channel [channel ...]",
			summary: "Listens to channels. tail:<key> carries the new records of a key; tail:<key>@<start> first those after an ID, or from - (all), a time, or -n (the last n).",
			run:     (*session).subscribe,
		},
		{
			name: "unsubscribe", arity: -1, flags: f, group: "pubsub", since: "0.1.0",
			syntax: "[channel ...]", summary: "Stops listening to channels, or to all.", run: (*session).unsubscribe,
		},
		{
			name: "psubscribe", arity: -2, flags: f, group: "pubsub", since: "0.1.0",
			syntax:  "pattern [pattern ...]",
			summary: "Listens to the channels that match glob patterns; tail:<pattern> carries the new records of all matching keys.",
			run:     (*session).psubscribe,
		},
		{
			name: "punsubscribe", arity: -1, flags: f, group: "pubsub", since: "0.1.0",
			syntax: "[pattern ...]", summary: "Stops listening to patterns, or to all.", run: (*session).punsubscribe,
		},
		{
			name: "publish", arity: 3, flags: flagLoading | flagStale | flagFast, group: "pubsub", since: "0.1.0",
			syntax: "channel message", summary: "Sends a message to those who listen now, and answers how many they are. Nothing is stored.",
			run: (*session).publish,
		},
		{
			name: "pubsub", arity: -2, group: "pubsub", since: "0.1.0", syntax: "subcommand", summary: "Looks at subscriptions.",
			subs: []spec{
				{name: "channels", arity: -2, flags: flagLoading | flagStale, syntax: "[pattern]", summary: "The channels that someone listens to.", run: (*session).pubsubChannels},
				{name: "numsub", arity: -2, flags: flagLoading | flagStale, syntax: "[channel ...]", summary: "How many listen to each channel.", run: (*session).pubsubNumSub},
				{name: "numpat", arity: 2, flags: flagLoading | flagStale, summary: "How many patterns are listened to.", run: (*session).pubsubNumPat},
				{name: "help", arity: 2, flags: flagLoading | flagStale, summary: "Lists the subcommands.", run: (*session).containerHelp},
			},
		},
	}
}

// subscriptions are what a client listens to.
type subscriptions struct {
	channels, patterns map[string]*follower // with a follower for tails, else nil
	followers          []*follower
	next               int // whose turn it is
	monitor            *follower
}

func (u *subscriptions) count() int {
	if u == nil {
		return 0
	}
	return len(u.channels) + len(u.patterns)
}

// subs returns the session's subscriptions, made if there are none.
func (s *session) subs() *subscriptions {
	if s.listens == nil {
		s.listens = &subscriptions{channels: map[string]*follower{}, patterns: map[string]*follower{}}
	}
	return s.listens
}

func (s *session) subscribe(args [][]byte) error {
	return s.listen("subscribe", args[1:], s.subs().channels, s.h.broker.channels, s.channelTail)
}

func (s *session) psubscribe(args [][]byte) error {
	return s.listen("psubscribe", args[1:], s.subs().patterns, s.h.broker.patterns, s.patternTail)
}

// listen subscribes to names. A tail that cannot be opened ends it with an error;
// the names before stay.
func (s *session) listen(kind string, names [][]byte, own map[string]*follower, all map[string]map[*session]struct{}, open func(name []byte) (engine.TailOptions, error)) error {
	u := s.subs()
	for _, raw := range names {
		name := string(raw)
		if _, again := own[name]; !again {
			if u.count() >= maxSubscriptions {
				return errTooManySubs
			}
			var f *follower
			if bytes.HasPrefix(raw, []byte(tailPrefix)) {
				o, err := open([]byte(name[len(tailPrefix):]))
				if err != nil {
					return err
				}
				if f, err = s.follow(o); err != nil {
					return err
				}
				f.name, f.wide = name, o.Key == nil
			} else {
				s.h.broker.join(all, name, s)
			}
			own[name] = f
		}
		s.confirm(kind, name)
	}
	return nil
}

// confirm answers a change of subscriptions.
func (s *session) confirm(kind, name string) {
	s.out.PushHeader(3)
	s.out.BulkString(kind)
	s.out.BulkString(name)
	s.out.Int(int64(s.listens.count()))
	s.listening.Store(int64(s.listens.count()))
}

func (s *session) unsubscribe(args [][]byte) error {
	s.silence("unsubscribe", args[1:], s.subs().channels, s.h.broker.channels)
	return nil
}

func (s *session) punsubscribe(args [][]byte) error {
	s.silence("punsubscribe", args[1:], s.subs().patterns, s.h.broker.patterns)
	return nil
}

func (s *session) silence(kind string, names [][]byte, own map[string]*follower, all map[string]map[*session]struct{}) {
	list := make([]string, 0, len(names))
	for _, name := range names {
		list = append(list, string(name))
	}
	if len(list) == 0 {
		list = slices.Sorted(maps.Keys(own))
	}
	for _, name := range list {
		s.drop(name, own, all)
		s.confirm(kind, name)
	}
	if len(list) == 0 {
		s.out.PushHeader(3)
		s.out.BulkString(kind)
		s.out.Null()
		s.out.Int(int64(s.listens.count()))
	}
}

// drop ends one subscription, if it is there.
func (s *session) drop(name string, own map[string]*follower, all map[string]map[*session]struct{}) {
	f, there := own[name]
	if !there {
		return
	}
	delete(own, name)
	if f == nil {
		s.h.broker.part(all, name, s)
		return
	}
	s.unfollow(f)
}

// dropSubscriptions ends all of them, and MONITOR.
func (s *session) dropSubscriptions() {
	u := s.listens
	if u == nil {
		return
	}
	for name := range u.channels {
		s.drop(name, u.channels, s.h.broker.channels)
	}
	for name := range u.patterns {
		s.drop(name, u.patterns, s.h.broker.patterns)
	}
	s.endMonitor()
	s.listens = nil
	s.listening.Store(0)
}

func (s *session) publish(args [][]byte) error {
	if bytes.HasPrefix(args[1], []byte(tailPrefix)) {
		return errTailPublish
	}
	s.out.Int(int64(s.h.broker.publish(args[1], args[2])))
	return nil
}

func (s *session) pubsubChannels(args [][]byte) error {
	if len(args) > 3 {
		return errArity("pubsub|channels")
	}
	if len(args) == 3 && len(args[2]) > maxPattern {
		return errPattern
	}
	b := s.h.broker
	b.mu.RLock()
	names := slices.Sorted(maps.Keys(b.channels))
	b.mu.RUnlock()
	if len(args) == 3 {
		names = slices.DeleteFunc(names, func(name string) bool { return !match(args[2], []byte(name)) })
	}
	s.out.ArrayHeader(len(names))
	for _, name := range names {
		s.out.BulkString(name)
	}
	return nil
}

func (s *session) pubsubNumSub(args [][]byte) error {
	b := s.h.broker
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.out.MapHeader(len(args) - 2)
	for _, name := range args[2:] {
		s.out.Bulk(name)
		s.out.Int(int64(len(b.channels[string(name)])))
	}
	return nil
}

func (s *session) pubsubNumPat([][]byte) error {
	_, patterns := s.h.broker.counts()
	s.out.Int(int64(patterns))
	return nil
}
