package metrics

import "github.com/prometheus/client_golang/prometheus"

// Engine are the instruments of one open store.
type Engine struct {
	WALAppends    Counter   // log records written, one write(2) each
	WALBytes      Counter   // bytes of them
	GroupOps      Histogram // operations per log record (ObserveValue)
	GroupBatches  Histogram // batches (callers) per log record (ObserveValue)
	Fsyncs        Counter
	FsyncErrors   Counter
	FsyncLatency  Histogram
	CommitLatency Histogram // from entering the queue to being answered

	UserBytes Counter // bytes of keys, values, tags and times of records written
	WALStored Counter // bytes of log records as they lie in the log

	WriteState   Gauge   // 0 writes are admitted as they come, 1 slowed down, 2 stopped
	WriteSlow    Counter // nanoseconds that groups were held back
	QueueFull    Counter // a write had to wait for room in the queue
	Busy         Counter // a write was refused after waiting too long
	Stalls       Counter // writes stopped for flush or compaction to catch up
	StallSeconds Histogram

	Flushes            Counter
	FlushBytes         Counter
	FlushSeconds       Histogram
	FlushErrors        Counter
	Compactions        Counter
	CompactionBytesIn  Counter
	CompactionBytesOut Counter
	CompactionSeconds  Histogram
	CompactionErrors   Counter
	Checkpoints        Counter
	ArchiveDropped     Counter // log segments that fell out of a full archive
	FilesDropped       Counter // wholly deleted, so not even read

	BloomChecks         Counter
	BloomNegatives      Counter
	BloomFalsePositives Counter
	CorruptReads        Counter // reads answered with a corruption error
	BlocksDecoded       Counter // blocks of table files opened by reads and merges
	CacheHits           Counter // of decompressed payloads
	CacheMisses         Counter
	RevokedSnapshots    Counter // memtables taken from readers that were too slow

	ExpiredKeys    Counter // keys deleted because their time to live had ended
	RetentionFiles Counter // files dropped whole because all of their records had expired
	RetentionBytes Counter // bytes of them
	RetentionTrims Counter // range deletes written for rules of bytes and records

	HotFiles        Gauge // most files in one window that are still to be merged
	Files           Gauge
	FileBytes       Gauge
	DamagedFiles    Gauge // set aside by compaction
	Tombstones      Gauge // in the manifest
	WALSegments     Gauge
	ArchiveSegments Gauge
	ArchiveBytes    Gauge
	MemtableBytes   Gauge
	WarmBytes       Gauge // of flushed memtables kept for reading
	CacheBytes      Gauge
	MappedBytes     Gauge // most that maps of tables take in the process
	FrozenMemtables Gauge
	Keys            Gauge
	VisibleSequence Gauge
	ReadOnly        Gauge // 1 while writes are refused

	// One of these is 1 with ReadOnly.
	ReadOnlyFull, ReadOnlyRecovery, ReadOnlySync Gauge

	ReserveBytes Gauge   // room kept for a full disk
	ReserveSpent Counter // times that it was given back

	set instruments
}

// NewEngine returns the instruments of one store, all zero.
func NewEngine() *Engine {
	e := &Engine{}
	e.nameWrites()
	e.nameMerges()
	e.nameGauges()
	return e
}

func (e *Engine) nameWrites() {
	s := &e.set
	s.counter("wal_appends_total", "Log records written, one per commit group.", &e.WALAppends)
	s.counter("wal_bytes_total", "Bytes of log records written.", &e.WALBytes)
	s.counter("wal_stored_bytes_total", "Bytes of log records as they lie in the log.", &e.WALStored)
	s.counter("user_bytes_total", "Bytes of keys, values, tags and times (8 each) of records written.", &e.UserBytes)
	s.ratio("write_amplification", "Bytes written to the log and to files per user byte, since the start.", e.WriteAmplification)
	s.gauge("write_state", "How writes are admitted: 0 as they come, 1 slowed down, 2 stopped.", &e.WriteState)
	s.seconds("write_slow_seconds_total", "Time that commit groups were held back while writes were slowed down.", &e.WriteSlow)
	s.histogram("commit_group_operations", "Operations per commit group.", &e.GroupOps, sizeScale())
	s.histogram("commit_group_batches", "Batches per commit group.", &e.GroupBatches, sizeScale())
	s.counter("fsyncs_total", "Syncs of the log.", &e.Fsyncs)
	s.counter("fsync_errors_total", "Failed syncs of the log.", &e.FsyncErrors)
	s.histogram("fsync_seconds", "Duration of a sync of the log.", &e.FsyncLatency, timeScale())
	s.histogram("commit_seconds", "Time of a batch from the queue to its answer.", &e.CommitLatency, timeScale())
	s.counter("queue_full_total", "Writes that waited for room in the commit queue.", &e.QueueFull)
	s.counter("busy_total", "Writes refused with BUSY.", &e.Busy)
	s.counter("stalls_total", "Times that writes stopped for flush or compaction to catch up.", &e.Stalls)
	s.histogram("stall_seconds", "Duration of such a stop.", &e.StallSeconds, timeScale())
}

func (e *Engine) nameMerges() {
	s := &e.set
	s.counter("flushes_total", "Memtables written to files.", &e.Flushes)
	s.counter("flush_bytes_total", "Bytes of files written by flushes.", &e.FlushBytes)
	s.histogram("flush_seconds", "Duration of a flush.", &e.FlushSeconds, timeScale())
	s.counter("flush_errors_total", "Failed flushes.", &e.FlushErrors)
	s.counter("compactions_total", "Compactions.", &e.Compactions)
	s.counter("compaction_read_bytes_total", "Bytes of files merged by compactions.", &e.CompactionBytesIn)
	s.counter("compaction_written_bytes_total", "Bytes of files written by compactions.", &e.CompactionBytesOut)
	s.histogram("compaction_seconds", "Duration of a compaction.", &e.CompactionSeconds, timeScale())
	s.counter("compaction_errors_total", "Failed compactions.", &e.CompactionErrors)
	s.counter("checkpoints_total", "Checkpoints made.", &e.Checkpoints)
	s.counter("archive_dropped_total", "Log segments that fell out of a full archive.", &e.ArchiveDropped)
	s.counter("files_dropped_total", "Wholly deleted files that were removed unread.", &e.FilesDropped)
	s.counter("bloom_checks_total", "Filter checks.", &e.BloomChecks)
	s.counter("bloom_negatives_total", "Filter checks that ruled a file out.", &e.BloomNegatives)
	s.counter("bloom_false_positives_total", "Filter checks that let a file through in vain.", &e.BloomFalsePositives)
	s.counter("block_cache_hits_total", "Payloads found in the block cache.", &e.CacheHits)
	s.counter("block_cache_misses_total", "Payloads that had to be decompressed.", &e.CacheMisses)
	s.counter("snapshots_revoked_total", "Memtables taken from readers that kept them for too long.", &e.RevokedSnapshots)
	s.counter("expired_keys_total", "Keys deleted because their time to live had ended.", &e.ExpiredKeys)
	s.counter("retention_dropped_files_total", "Files dropped whole because all of their records had expired.", &e.RetentionFiles)
	s.counter("retention_dropped_bytes_total", "Bytes of such files.", &e.RetentionBytes)
	s.counter("retention_trims_total", "Range deletes written for retention rules of bytes and records.", &e.RetentionTrims)
	s.counter("corrupt_reads_total", "Reads that met a damaged block or file.", &e.CorruptReads)
	s.counter("blocks_decoded_total", "Blocks of table files opened, by reads and merges.", &e.BlocksDecoded)
}

func (e *Engine) nameGauges() {
	s := &e.set
	s.gauge("hot_files", "Most files in one time window that are still to be merged.", &e.HotFiles)
	s.gauge("files", "Live table files.", &e.Files)
	s.gauge("file_bytes", "Bytes of live table files.", &e.FileBytes)
	s.gauge("damaged_files", "Files that compaction could not read and has set aside.", &e.DamagedFiles)
	s.gauge("tombstones", "Range deletes that files still need.", &e.Tombstones)
	s.gauge("wal_segments", "Log segments that a restart would replay.", &e.WALSegments)
	s.gauge("archive_segments", "Log segments kept for backups.", &e.ArchiveSegments)
	s.gauge("archive_bytes", "Bytes of them.", &e.ArchiveBytes)
	s.gauge("memtable_bytes", "Memory of the memtables that are not in files yet.", &e.MemtableBytes)
	s.gauge("warm_memtable_bytes", "Memory of flushed memtables that are kept for reading.", &e.WarmBytes)
	s.gauge("block_cache_bytes", "Memory of the cache of decompressed payloads.", &e.CacheBytes)
	s.gauge("mapped_bytes", "Most that the maps of table files take in the process.", &e.MappedBytes)
	s.gauge("frozen_memtables", "Memtables that wait for their flush.", &e.FrozenMemtables)
	s.gauge("keys", "Keys.", &e.Keys)
	s.gauge("visible_sequence", "Sequence of the last visible write.", &e.VisibleSequence)
	s.gauge("read_only", "1 while writes are refused.", &e.ReadOnly)
	for reason, g := range map[string]*Gauge{
		"disk_full": &e.ReadOnlyFull, "recovery": &e.ReadOnlyRecovery, "sync_failed": &e.ReadOnlySync,
	} {
		s.labelled("read_only_reason", "1 for the reason for which writes are refused.", "reason", reason, g)
	}
	s.gauge("reserve_bytes", "Bytes of disk kept for the day when it is full.", &e.ReserveBytes)
	s.counter("reserve_spent_total", "Times that the reserve was given back to a full disk.", &e.ReserveSpent)
}

// WriteAmplification returns the bytes written to the log and to files per user
// byte; 0 before the first record.
func (e *Engine) WriteAmplification() float64 {
	written := e.WALStored.Value() + e.FlushBytes.Value() + e.CompactionBytesOut.Value()
	if user := e.UserBytes.Value(); user > 0 {
		return float64(written) / float64(user)
	}
	return 0
}

// Describe implements prometheus.Collector.
func (e *Engine) Describe(out chan<- *prometheus.Desc) { e.set.Describe(out) }

// Collect implements prometheus.Collector.
func (e *Engine) Collect(out chan<- prometheus.Metric) { e.set.Collect(out) }
