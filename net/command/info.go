package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tskv/engine"
)

// section is one part of INFO. ordinary: it is shown when none is named.
type section struct {
	name     string
	ordinary bool
	write    func(*session, *infoText)
}

// infoSections are in the order of the reply.
func infoSections() []section {
	return []section{
		{"server", true, (*session).infoServer},
		{"clients", true, (*session).infoClients},
		{"memory", true, (*session).infoMemory},
		{"persistence", true, (*session).infoPersistence},
		{"stats", true, (*session).infoStats},
		{"replication", true, (*session).infoReplication},
		{"cpu", true, (*session).infoCPU},
		{"commandstats", false, (*session).infoCommands},
		{"errorstats", true, (*session).infoErrors},
		{"latencystats", false, (*session).infoLatency},
		{"cluster", true, (*session).infoCluster},
		{"storage", true, (*session).infoStorage},
		{"keyspace", true, (*session).infoKeyspace},
	}
}

// infoText collects "name:value" lines.
type infoText struct{ b bytes.Buffer }

func (t *infoText) line(name string, value any) { fmt.Fprintf(&t.b, "%s:%v\r\n", name, value) }

func (s *session) info(args [][]byte) error {
	s.flushTally()
	var text infoText
	for _, sec := range infoSections() {
		wanted := len(args) == 1 && sec.ordinary
		for _, arg := range args[1:] {
			wanted = wanted || equalFold(arg, sec.name) || equalFold(arg, "all") || equalFold(arg, "everything") ||
				sec.ordinary && equalFold(arg, "default")
		}
		if !wanted {
			continue
		}
		if text.b.Len() > 0 {
			text.b.WriteString("\r\n")
		}
		title := strings.ToUpper(sec.name[:1]) + sec.name[1:]
		if sec.name == "cpu" {
			title = "CPU"
		}
		fmt.Fprintf(&text.b, "# %s\r\n", title)
		sec.write(s, &text)
	}
	s.out.Verbatim("txt", text.b.String())
	return nil
}

func (s *session) infoServer(t *infoText) {
	_, port, err := net.SplitHostPort(s.h.opt.Addr)
	if err != nil {
		port = "0"
	}
	up := s.h.clock()
	t.line("redis_version", RedisVersion)
	t.line("redis_build_id", buildID(s.h.opt.Version))
	t.line("tskv_version", s.h.opt.Version)
	t.line("redis_mode", "standalone")
	t.line("os", runtime.GOOS+" "+runtime.GOARCH)
	t.line("arch_bits", 64)
	t.line("go_version", runtime.Version())
	t.line("process_id", os.Getpid())
	t.line("run_id", s.h.runID)
	t.line("tcp_port", port)
	t.line("server_time_usec", s.h.opt.Now().UnixMicro())
	t.line("uptime_in_seconds", seconds(up))
	t.line("uptime_in_days", int64(up/day))
}

// buildID is the same for all processes of one version, as sixteen digits.
func buildID(version string) string {
	sum := sha256.Sum256([]byte(version + runtime.Version()))
	return hex.EncodeToString(sum[:8])
}

func (s *session) infoClients(t *infoText) {
	t.line("connected_clients", len(s.h.clients()))
	if p := s.h.parameter([]byte("maxclients")); p != nil {
		t.line("maxclients", p.Value())
	}
	t.line("blocked_clients", s.h.blocked.Load())
}

func (s *session) infoMemory(t *infoText) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss := residentBytes()
	t.line("used_memory", m.HeapAlloc)
	t.line("used_memory_human", humanBytes(m.HeapAlloc))
	t.line("used_memory_rss", rss)
	t.line("used_memory_rss_human", humanBytes(rss))
	t.line("used_memory_memtables", s.h.opt.Engine.MemtableBytes.Value())
	t.line("mem_clients_normal", s.h.opt.Net().InputBytes)
	var budget uint64
	if p := s.h.parameter([]byte("maxmemory")); p != nil {
		budget, _ = strconv.ParseUint(p.Value(), 10, 64)
	}
	t.line("maxmemory", budget)
	t.line("maxmemory_human", humanBytes(budget))
	t.line("maxmemory_policy", "noeviction")
	t.line("mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(rss)/float64(max(m.HeapAlloc, 1))))
	t.line("mem_allocator", "go")
}

func (s *session) infoPersistence(t *infoText) {
	var st engine.Stats
	if s.db != nil {
		st = s.db.Stats()
	}
	status := "ok"
	if st.ReadOnly != nil {
		status = "err"
	}
	t.line("loading", flag(s.db == nil))
	t.line("async_loading", 0)
	t.line("rdb_changes_since_last_save", st.VisibleSeq-min(st.VisibleSeq, st.FlushedSeq))
	t.line("rdb_bgsave_in_progress", flag(s.h.saving.Load()))
	t.line("rdb_last_save_time", s.h.saved.Load())
	t.line("aof_enabled", 1)
	t.line("aof_last_write_status", status)
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

func (s *session) infoStats(t *infoText) {
	n := s.h.opt.Net()
	var errors uint64
	for _, count := range s.h.metrics.Errors() {
		errors += count
	}
	t.line("total_connections_received", n.Accepted)
	t.line("total_commands_processed", s.h.metrics.Calls())
	t.line("total_net_input_bytes", n.BytesIn)
	t.line("total_net_output_bytes", n.BytesOut)
	t.line("rejected_connections", n.Rejected)
	t.line("expired_keys", s.h.opt.Engine.ExpiredKeys.Value())
	t.line("evicted_keys", 0)
	channels, patterns := s.h.broker.counts()
	t.line("pubsub_channels", channels)
	t.line("pubsub_patterns", patterns)
	t.line("total_error_replies", errors)
	t.line("protocol_errors", n.ProtocolErrors)
	t.line("backpressure_events", n.Backpressure)
}

func (s *session) infoReplication(t *infoText) {
	t.line("role", "master")
	t.line("connected_slaves", 0)
	t.line("master_repl_offset", 0)
}

func (s *session) infoCPU(t *infoText) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return
	}
	t.line("used_cpu_sys", fmt.Sprintf("%.6f", time.Duration(usage.Stime.Nano()).Seconds()))
	t.line("used_cpu_user", fmt.Sprintf("%.6f", time.Duration(usage.Utime.Nano()).Seconds()))
}

func (s *session) infoCommands(t *infoText) {
	for _, sp := range s.h.table.all {
		m := s.h.metrics.At(sp.index)
		calls, rejected := m.Calls.Value(), m.Rejected.Value()
		if calls == 0 && rejected == 0 {
			continue
		}
		micros := float64(m.Latency.Sum()) / 1e3
		t.line("cmdstat_"+sp.full, fmt.Sprintf("calls=%d,usec=%.0f,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, micros, micros/float64(max(calls, 1)), rejected, m.Failed.Value()))
	}
}

func (s *session) infoErrors(t *infoText) {
	counts := s.h.metrics.Errors()
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	slices.Sort(words)
	for _, word := range words {
		t.line("errorstat_"+word, fmt.Sprintf("count=%d", counts[word]))
	}
}

func (s *session) infoLatency(t *infoText) {
	for _, sp := range s.h.table.all {
		h := &s.h.metrics.At(sp.index).Latency
		if h.Count() > 0 {
			t.line("latency_percentiles_usec_"+sp.full, fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f",
				h.Quantile(0.5)/1e3, h.Quantile(0.99)/1e3, h.Quantile(0.999)/1e3))
		}
	}
}

func (s *session) infoCluster(t *infoText) { t.line("cluster_enabled", 0) }

func (s *session) infoStorage(t *infoText) {
	e := s.h.opt.Engine
	if s.db != nil {
		st := s.db.Stats()
		t.line("sync", st.Sync)
		t.line("visible_sequence", st.VisibleSeq)
		t.line("flushed_sequence", st.FlushedSeq)
		t.line("memtable_bytes", st.MemtableBytes)
		t.line("memtable_rows", st.MemtableRows)
		t.line("frozen_memtables", st.FrozenMemtables)
		t.line("warm_memtables", st.WarmMemtables)
		t.line("warm_memtable_bytes", st.WarmBytes)
		t.line("files", st.Files)
		t.line("file_bytes", st.FileBytes)
		t.line("file_rows", st.FileRows)
		t.line("hot_files", st.HotFiles)
		t.line("damaged_files", st.DamagedFiles)
		t.line("tombstones", st.Tombstones)
		t.line("retention_rules", st.Rules)
		t.line("wal_segments", st.LastSegment-st.FirstSegment+1)
		t.line("read_only", flag(st.ReadOnly != nil))
		if st.ReadOnly != nil {
			t.line("read_only_reason", strings.ReplaceAll(st.ReadOnly.Error(), "\n", " "))
			var why *engine.ReadOnlyError
			if errors.As(st.ReadOnly, &why) {
				t.line("read_only_cause", why.Reason)
			}
		}
		t.line("reserve_bytes", st.ReserveBytes)
		t.line("reserve_wanted_bytes", st.ReserveWanted)
	}
	t.line("wal_appends", e.WALAppends.Value())
	t.line("wal_bytes", e.WALBytes.Value())
	t.line("fsyncs", e.Fsyncs.Value())
	t.line("fsync_p99_usec", fmt.Sprintf("%.3f", e.FsyncLatency.Quantile(0.99)/1e3))
	t.line("write_state", [...]string{"open", "slow", "stopped"}[e.WriteState.Value()])
	t.line("write_slow_seconds", fmt.Sprintf("%.3f", float64(e.WriteSlow.Value())/1e9))
	t.line("stalls", e.Stalls.Value())
	t.line("busy", e.Busy.Value())
	t.line("user_bytes", e.UserBytes.Value())
	t.line("write_amplification", fmt.Sprintf("%.2f", e.WriteAmplification()))
	t.line("flushes", e.Flushes.Value())
	t.line("compactions", e.Compactions.Value())
}

func (s *session) infoKeyspace(t *infoText) {
	if s.db == nil {
		return
	}
	if n := s.db.Keys(); n > 0 {
		t.line("db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", n, s.db.Expires()))
	}
}

// residentBytes is the memory of the process that the system holds for it; 0
// where the system does not tell.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}
