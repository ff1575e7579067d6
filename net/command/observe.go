package command

import (
	"fmt"
	"runtime"
	"time"

	"tskv/engine"
	"tskv/kv"
)

func observeCommands() []spec {
	const f = flagAdmin | flagLoading | flagStale
	const help = "Lists the subcommands."
	return []spec{
		{
			name: "info", arity: -1, flags: flagLoading | flagStale, group: "server", since: "0.1.0",
			syntax: "[section ...]", summary: "Numbers about the server, by section.", run: (*session).info,
		},
		{
			name: "slowlog", arity: -2, group: "server", since: "0.1.0", syntax: "subcommand", summary: "The last slow commands.",
			subs: []spec{
				{name: "get", arity: -2, flags: f, syntax: "[count]", summary: "The newest entries; -1 for all.", run: (*session).slowGet},
				{name: "len", arity: 2, flags: f, summary: "The number of entries.", run: (*session).slowLen},
				{name: "reset", arity: 2, flags: f, summary: "Forgets all entries.", run: (*session).slowReset},
				{name: "help", arity: 2, flags: flagLoading | flagStale, summary: help, run: (*session).containerHelp},
			},
		},
		{
			name: "latency", arity: -2, group: "server", since: "0.1.0", syntax: "subcommand", summary: "How long commands take.",
			subs: []spec{
				{name: "histogram", arity: -2, flags: f, syntax: "[command ...]", summary: "Calls by their duration in microseconds, in powers of two.", run: (*session).latencyHistogram},
				{name: "latest", arity: 2, flags: f, summary: "An empty list: events are not watched one by one.", run: (*session).emptyList},
				{name: "history", arity: 3, flags: f, syntax: "event", summary: "An empty list: events are not watched one by one.", run: (*session).emptyList},
				{name: "reset", arity: -2, flags: f, syntax: "[event ...]", summary: "Answers 0: no event was watched.", run: (*session).latencyReset},
				{name: "help", arity: 2, flags: flagLoading | flagStale, summary: help, run: (*session).containerHelp},
			},
		},
		{
			name: "memory", arity: -2, group: "server", since: "0.1.0", syntax: "subcommand", summary: "How much memory is in use.",
			subs: []spec{
				{
					name: "usage", arity: -3, flags: flagReadonly, keys: keySpec{2, 2, 1}, syntax: "key [SAMPLES count]",
					summary: "The bytes of a key's records, reckoned from its first records; SAMPLES 0 reads all.", run: (*session).memoryUsage,
				},
				{name: "stats", arity: 2, flags: f, summary: "Memory of the process by its use.", run: (*session).memoryStats},
				{name: "doctor", arity: 2, flags: f, summary: "Says in a sentence how the memory is.", run: (*session).memoryDoctor},
				{name: "help", arity: 2, flags: flagLoading | flagStale, summary: help, run: (*session).containerHelp},
			},
		},
	}
}

const defaultSlowCount = 10

func (s *session) slowGet(args [][]byte) error {
	n := int64(defaultSlowCount)
	if len(args) > 3 {
		return errArity("slowlog|get")
	}
	if len(args) == 3 {
		var ok bool
		if n, ok = parseInt(args[2]); !ok || n < -1 {
			return reply("ERR count should be greater than or equal to -1")
		}
	}
	entries := s.h.slow.latest(n)
	s.out.ArrayHeader(len(entries))
	for i := range entries {
		e := &entries[i]
		s.out.ArrayHeader(6)
		s.out.Int(e.id)
		s.out.Int(e.at.Unix())
		s.out.Int(e.took.Microseconds())
		s.out.ArrayHeader(len(e.args))
		for _, arg := range e.args {
			s.out.Bulk(arg)
		}
		s.out.BulkString(e.addr)
		s.out.BulkString(e.name)
	}
	return nil
}

func (s *session) slowLen([][]byte) error {
	s.out.Int(int64(s.h.slow.length()))
	return nil
}

func (s *session) slowReset([][]byte) error {
	s.h.slow.reset()
	s.out.OK()
	return nil
}

func (s *session) emptyList([][]byte) error {
	s.out.ArrayHeader(0)
	return nil
}

func (s *session) latencyReset([][]byte) error {
	s.out.Int(0)
	return nil
}

// latencyHistogram answers, for each command that was called, its calls up to
// each power of two of microseconds.
func (s *session) latencyHistogram(args [][]byte) error {
	s.flushTally()
	var chosen []*spec
	for _, sp := range s.h.table.all {
		named := len(args) == 2
		for _, arg := range args[2:] {
			named = named || equalFold(arg, sp.name) && sp.full == sp.name
		}
		if named && s.h.metrics.At(sp.index).Calls.Value() > 0 {
			chosen = append(chosen, sp)
		}
	}
	s.out.MapHeader(len(chosen))
	for _, sp := range chosen {
		m := s.h.metrics.At(sp.index)
		var bounds, counts []uint64
		m.Latency.Octaves(func(bound, n uint64) {
			micros := max(bound/1000, 1)
			if k := len(bounds); k > 0 && bounds[k-1] == micros {
				counts[k-1] = n
				return
			}
			bounds, counts = append(bounds, micros), append(counts, n)
		})
		s.out.BulkString(sp.full)
		s.out.MapHeader(2)
		s.out.BulkString("calls")
		s.out.Uint(m.Calls.Value())
		s.out.BulkString("histogram_usec")
		s.out.MapHeader(len(bounds))
		for i := range bounds {
			s.out.Uint(bounds[i])
			s.out.Uint(counts[i])
		}
	}
	return nil
}

// recordOverhead is what a record takes beside its value: its ID.
const recordOverhead = 16

const defaultSamples = 5

// memoryUsage reckons the size of a key from its number of records and the mean
// of the first ones.
func (s *session) memoryUsage(args [][]byte) error {
	samples := uint64(defaultSamples)
	if len(args) > 3 {
		if len(args) != 5 || !equalFold(args[3], "samples") {
			return errSyntax
		}
		n, ok := parseInt(args[4])
		switch {
		case !ok:
			return errInteger
		case n < 0:
			return errSyntax
		}
		samples = uint64(n)
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	key := args[2]
	_, there, err := snap.Key(key)
	if err != nil {
		return err
	}
	if !there {
		s.out.Null()
		return nil
	}
	all := engine.ScanOptions{From: kv.MinID, To: kv.MaxID, Stop: s.untilGone()}
	total, err := snap.Count(key, all)
	if err != nil {
		return err
	}
	all.Limit = samples
	seen, size, err := sampleRecords(snap, key, all)
	if err != nil {
		return err
	}
	bytes := float64(len(key))
	if seen > 0 {
		bytes += float64(size) / float64(seen) * float64(total)
	}
	s.out.Int(int64(bytes))
	return nil
}

// sampleRecords returns the number and the size of the records that a scan
// yields.
func sampleRecords(snap *engine.Snapshot, key []byte, opt engine.ScanOptions) (seen, size uint64, err error) {
	scan, err := snap.Scan(key, opt)
	if err != nil {
		return 0, 0, err
	}
	defer scan.Close()
	var value []byte
	for {
		rows, err := scan.Next()
		if err != nil || rows == nil {
			return seen, size, err
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			value = row.AppendValue(value[:0])
			size += uint64(recordOverhead + len(value) + len(row.Tags))
		}
		seen += uint64(rows.Len())
	}
}

func (s *session) memoryStats([][]byte) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	keys := uint64(0)
	if s.db != nil {
		keys = s.db.Keys()
	}
	tables := uint64(max(s.h.opt.Engine.MemtableBytes.Value(), 0))
	list := []struct {
		name  string
		value uint64
	}{
		{"total.allocated", m.HeapAlloc},
		{"process.rss", residentBytes()},
		{"heap.reserved", m.HeapSys - m.HeapReleased},
		{"clients.normal", s.h.opt.Net().InputBytes},
		{"memtables", tables},
		{"keys.count", keys},
	}
	s.out.MapHeader(len(list))
	for _, e := range list {
		s.out.BulkString(e.name)
		s.out.Uint(e.value)
	}
	return nil
}

func (s *session) memoryDoctor([][]byte) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	frozen := s.h.opt.Engine.FrozenMemtables.Value()
	text := fmt.Sprintf("The process has %s resident, %s of it live objects; the memtables hold %s. ",
		humanBytes(residentBytes()), humanBytes(m.HeapAlloc), humanBytes(uint64(max(s.h.opt.Engine.MemtableBytes.Value(), 0))))
	if frozen > 1 {
		text += fmt.Sprintf("%d memtables wait for their flush: the disk does not keep up with the writes.", frozen)
	} else {
		text += "Nothing waits for the disk."
	}
	s.out.Verbatim("txt", text)
	return nil
}

// humanBytes writes a size as INFO does.
func humanBytes(n uint64) string {
	const k = 1024
	switch {
	case n < k:
		return fmt.Sprintf("%dB", n)
	case n < k*k:
		return fmt.Sprintf("%.2fK", float64(n)/k)
	case n < k*k*k:
		return fmt.Sprintf("%.2fM", float64(n)/(k*k))
	}
	return fmt.Sprintf("%.2fG", float64(n)/(k*k*k))
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
