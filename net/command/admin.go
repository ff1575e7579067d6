package command

import (
	"strconv"

	"tskv/engine"
)

func serverCommands() []spec {
	const f = flagLoading | flagStale
	return []spec{
		{
			name: "time", arity: 1, flags: f | flagFast, group: "server", since: "0.1.0",
			summary: "The server's clock: seconds and microseconds.", run: (*session).time,
		},
		{
			name: "save", arity: 1, flags: flagAdmin | flagNoMulti, group: "server", since: "0.1.0",
			summary: "Writes what is in memory to table files and waits for it.", run: (*session).save,
		},
		{
			name: "bgsave", arity: -1, flags: flagAdmin | flagNoMulti, group: "server", since: "0.1.0",
			syntax: "[SCHEDULE]", summary: "Starts to write what is in memory to table files.", run: (*session).bgSave,
		},
		{
			name: "lastsave", arity: 1, flags: f | flagFast, group: "server", since: "0.1.0",
			summary: "When SAVE or BGSAVE last succeeded, or the server started: Unix seconds.", run: (*session).lastSave,
		},
		{
			name: "shutdown", arity: -1, flags: f | flagAdmin | flagNoMulti, group: "server", since: "0.1.0",
			syntax: "[NOSAVE|SAVE]", summary: "Closes the store cleanly and ends the server.", run: (*session).shutdown,
		},
		{
			name: "wait", arity: 3, group: "generic", since: "0.1.0",
			syntax: "numreplicas timeout", summary: "Answers 0: there are no replicas.", run: (*session).wait,
		},
		{
			name: "waitaof", arity: 4, group: "generic", since: "0.1.0",
			syntax: "numlocal numreplicas timeout", summary: "Waits until acknowledged writes are synced to disk.", run: (*session).waitAOF,
		},
		{
			name: "function", arity: -2, group: "scripting", since: "0.1.0",
			syntax: "subcommand", summary: "There are no functions.",
			subs: []spec{
				{name: "flush", arity: -2, flags: flagWrite, syntax: "[ASYNC|SYNC]", summary: "Deletes all functions: none.", run: (*session).functionFlush},
			},
		},
		{
			name: "cluster", arity: -2, flags: f, group: "cluster", since: "0.1.0",
			syntax: "subcommand", summary: "Says that this is no cluster.", run: (*session).cluster,
		},
		{
			name: "acl", arity: -2, flags: f, group: "server", since: "0.1.0",
			syntax: "subcommand", summary: "Looks at users.",
			subs: []spec{
				{name: "whoami", arity: 2, flags: f, summary: "The user of this connection: default.", run: (*session).aclWhoAmI},
			},
		},
	}
}

func (s *session) time([][]byte) error {
	micros := s.h.opt.Now().UnixMicro()
	s.out.ArrayHeader(2)
	s.out.BulkString(strconv.FormatInt(micros/1e6, 10))
	s.out.BulkString(strconv.FormatInt(micros%1e6, 10))
	return nil
}

func (s *session) save([][]byte) error {
	if err := s.h.save(s.db); err != nil {
		return err
	}
	s.out.OK()
	return nil
}

func (h *Handler) save(db *engine.DB) error {
	now := h.opt.Now().Unix()
	if err := db.Flush(); err != nil {
		return err
	}
	h.saved.Store(now)
	return nil
}

func (s *session) bgSave(args [][]byte) error {
	if len(args) > 2 || len(args) == 2 && !equalFold(args[1], "schedule") {
		return errSyntax
	}
	if !s.h.startSave(s.db) {
		return reply("ERR Background save already in progress")
	}
	s.out.SimpleString("Background saving started")
	return nil
}

// startSave begins a save that Close waits for; false if one is running.
func (h *Handler) startSave(db *engine.DB) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || !h.saving.CompareAndSwap(false, true) {
		return false
	}
	h.saves.Add(1)
	go func() {
		defer h.saves.Done()
		defer h.saving.Store(false)
		if err := h.save(db); err != nil {
			h.log.Error("background save", "error", err)
		}
	}()
	return true
}

func (s *session) lastSave([][]byte) error {
	s.out.Int(s.h.saved.Load())
	return nil
}

// shutdown answers nothing, as in Redis: the connection is closed instead.
func (s *session) shutdown(args [][]byte) error {
	if len(args) > 2 || len(args) == 2 && !equalFold(args[1], "save") && !equalFold(args[1], "nosave") {
		return errSyntax
	}
	s.h.log.Info("shutdown asked for", "client", s.c.RemoteAddr())
	s.closing = true
	s.h.opt.Shutdown()
	return nil
}

func (s *session) wait(args [][]byte) error {
	if _, ok := parseInt(args[1]); !ok {
		return errInteger
	}
	if err := checkTimeout(args[2]); err != nil {
		return err
	}
	s.out.Int(0)
	return nil
}

// checkTimeout refuses what is no number of milliseconds.
func checkTimeout(arg []byte) error {
	switch n, ok := parseInt(arg); {
	case !ok:
		return reply("ERR timeout is not an integer or out of range")
	case n < 0:
		return reply("ERR timeout is negative")
	}
	return nil
}

func (s *session) waitAOF(args [][]byte) error {
	local, ok1 := parseInt(args[1])
	_, ok2 := parseInt(args[2])
	switch {
	case !ok1 || !ok2:
		return errInteger
	case local < 0 || local > 1:
		return reply("ERR value is out of range, value must between 0 and 1")
	}
	if err := checkTimeout(args[3]); err != nil {
		return err
	}
	if local == 1 {
		if err := s.db.Sync(); err != nil {
			return err
		}
	}
	s.out.ArrayHeader(2)
	s.out.Int(local)
	s.out.Int(0)
	return nil
}

func (s *session) functionFlush(args [][]byte) error {
	if len(args) > 3 || len(args) == 3 && !equalFold(args[2], "async") && !equalFold(args[2], "sync") {
		return reply("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
	}
	s.out.OK()
	return nil
}

func (s *session) cluster([][]byte) error { return errCluster }

func (s *session) aclWhoAmI([][]byte) error {
	s.out.BulkString("default")
	return nil
}
