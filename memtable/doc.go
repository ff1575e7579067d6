// Package memtable owns the sorted memory of the store: the rows and range
// tombstones written since the last flush, ordered by key, ID and sequence.
//
// It refuses to know files, groups, visibility and the time of day: whoever
// reads brings the highest sequence that it may see. Keys are opaque bytes.
//
// Shape. A map from the hash of a key finds its Series in O(1); a skip list of
// buckets of at most 128 series keeps key order and is touched only when a
// series is born. A series holds its rows in append order in a chain of chunks
// (index.go, series.go); rows that arrive below the last ID go to sorted runs
// beside it (late.go). Chunks, keys and payloads lie in pointer-free slabs that
// go back to a Pool when the last reference to the table is dropped (slab.go).
//
// Goroutines. One writer calls Series, Add, AddTombstone, Abort, Full and Fits.
// Everything else may be called from any goroutine beside the writer, by a
// holder of a reference; sources and iterators belong to one goroutine each.
// Readers take no lock but for finding a key, walking the key order and, in a
// table with tombstones, looking those up. Nothing here starts a goroutine.
package memtable
