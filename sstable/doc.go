// Package sstable owns everything of one immutable table file: its format, the
// writer that streams it, the reader that finds, decodes and checks it, the
// column encodings, the series index and the filter.
//
// It knows kv (rows, ranges) and disk (files, checksums). It refuses to know
// versions, windows, sequences of single rows, tombstones and what a key means:
// a key is 1 to kv.MaxKey opaque bytes. It starts no goroutine and takes no lock
// across I/O.
//
// A Writer belongs to one goroutine. A Reader may be used by any number of
// goroutines at once; who closes it must know that no one else still uses it
// (the engine counts references). Sources and iterators belong to one goroutine.
package sstable
