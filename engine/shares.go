package engine

// Bounds of Options.Memory, and its default.
const (
	MinMemory     = 64 << 20
	MaxMemory     = 1 << 40
	DefaultMemory = 1 << 30
)

// shares are how a memory budget is divided, in bytes.
//
// What they leave is for what has fixed and small bounds (log buffers 8 MiB, a
// compaction some 32 MiB at most), for the input of a server's clients (an
// eighth) and for garbage that waits for its collection.
type shares struct {
	memtable int64 // each of one active and three frozen ones
	warm     int64 // all flushed memtables kept for reading
	cache    int64 // decompressed payloads
	maps     int64 // mapped pages of tables
	hotKeys  int64 // states of keys that the commit goroutine knows
	queue    int64 // batches in front of the commit goroutine
	// file is the size at which a table is full. The index of a table stays in
	// memory while it is written: with series of a record or two that is as much as
	// the file has bytes.
	file int64
}

// split divides a budget. For 1 GiB: memtables of 64 MiB, 128 MiB for two warm
// ones, 128 MiB of cache, 128 MiB of maps, 96 MiB of key states, 16 MiB of queue.
func split(budget int64) shares {
	s := shares{
		memtable: min(max(budget/16, 4<<20), 256<<20),
		cache:    budget / 8,
		maps:     budget / 8,
		hotKeys:  budget / 32 * 3,
		queue:    min(max(budget/64, 1<<20), 64<<20),
		file:     min(max(budget/4, 64<<20), 1<<30),
	}
	s.warm = maxWarm * s.memtable
	return s
}
