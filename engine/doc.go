// Package engine is the open store, and the embedded Go API of tskv: the
// bounded queue, the commit goroutine, versions and snapshots, flush,
// compaction, recovery and deletes.
//
// It refuses to know RESP, configuration files and the environment. Every
// exported method of DB may be called from any goroutine; a Batch, a Snapshot's
// Scan and a Tx belong to one goroutine at a time.
//
// The write line: Apply puts a Batch into the queue; the commit goroutine
// takes everything that waits, decides conditions and IDs, encodes one log
// record and applies its effects to the memtable (commit.go); the record is
// written with one write(2), synced as the sync mode promises (sync.go), and
// only then does the visible sequence move and the callers wake.
//
// Two mutexes, one order: install (held by whoever replaces the manifest),
// then the version mutex (never across I/O).
package engine
