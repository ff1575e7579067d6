package command

import (
	"fmt"
	"strconv"

	"tskv/engine"
	"tskv/kv"
)

func monitorCommands() []spec {
	return []spec{{
		name: "monitor", arity: -1, flags: flagAdmin | flagNoScript | flagNoMulti, group: "server", since: "0.1.0",
		syntax:  "[key [FROM bound] [TAG tag]...]",
		summary: "Prints every command that is executed; with a key, its records: those from a bound on (-n: the last n), and then each new one.",
		run:     (*session).monitor,
	}}
}

func (s *session) monitor(args [][]byte) error {
	if len(args) == 1 {
		s.subs()
		s.h.broker.addMonitor(s)
		s.out.OK()
		return nil
	}
	o, err := s.parseMonitor(args)
	if err != nil {
		return err
	}
	u := s.subs()
	if u.monitor != nil {
		return reply("ERR this connection monitors a key already: RESET ends that")
	}
	if u.monitor, err = s.follow(o); err != nil {
		return err
	}
	s.out.OK()
	return nil
}

func (s *session) parseMonitor(args [][]byte) (engine.TailOptions, error) {
	o := engine.TailOptions{Key: args[1]}
	if err := checkKey(args[1]); err != nil {
		return o, err
	}
	var tags [][]byte
	for rest := args[2:]; len(rest) > 0; rest = rest[2:] {
		switch {
		case len(rest) < 2:
			return o, errSyntax
		case equalFold(rest[0], "from"):
			start, ok := s.parseFrom(rest[1])
			if !ok {
				return o, errBound(rest[1])
			}
			o.Start = start
		case equalFold(rest[0], "tag"):
			tags = append(tags, append([]byte(nil), rest[1]...))
		default:
			return o, errSyntax
		}
	}
	var err error
	o.Tags, err = kv.MakeTagSet(tags)
	return o, err
}

func (s *session) endMonitor() {
	if f := s.listens.monitor; f != nil {
		s.listens.monitor = nil
		s.unfollow(f)
	}
	s.h.broker.removeMonitor(s)
}

func (b *broker) addMonitor(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.monitors[s] = struct{}{}
	s.h.monitors.Store(int64(len(b.monitors)))
}

func (b *broker) removeMonitor(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.monitors, s)
	s.h.monitors.Store(int64(len(b.monitors)))
}

// show gives a command that is about to run to the clients that monitor. Secrets
// are not shown, and neither are commands of administrators.
func (s *session) show(sp *spec, args [][]byte) {
	if sp.flags&(flagSensitive|flagAdmin) != 0 {
		return
	}
	now := s.h.opt.Now()
	line := fmt.Appendf(nil, "%d.%06d [0 %s]", now.Unix(), now.Nanosecond()/1000, s.c.RemoteAddr())
	for i, arg := range args {
		if len(line) > maxMonitorLine {
			line = fmt.Appendf(line, " ... (%d more arguments)", len(args)-i)
			break
		}
		line = append(line, ' ')
		if len(arg) > maxMonitorArgument {
			line = strconv.AppendQuoteToASCII(line, string(arg[:maxMonitorArgument]))
			line = fmt.Appendf(line, "... (%d more bytes)", len(arg)-maxMonitorArgument)
			continue
		}
		line = strconv.AppendQuoteToASCII(line, string(arg))
	}
	b := s.h.broker
	b.mu.RLock()
	defer b.mu.RUnlock()
	for to := range b.monitors {
		to.mail.put(to, letter{payload: string(line)})
	}
}

// Bounds of a line of MONITOR.
const (
	maxMonitorLine     = 4096
	maxMonitorArgument = 1024
)
