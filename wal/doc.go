// Package wal owns the write-ahead log: segments of checksummed records, the
// group sync, the rule that tells a torn tail from corruption, and the spare
// files that make an fdatasync cheap.
//
// It refuses to know what a payload means and which segments are still needed:
// the engine says so with Release. It starts no goroutine.
//
// A Log is written by one goroutine (Append, Rotate, Size, Full; the commit
// goroutine). Sync, Release, PrepareSpare, Stats and Close may run beside it
// on other goroutines. Replay runs before Create, on any one goroutine.
//
// The contract, proved in crash_test.go: after a power cut Replay yields a
// prefix of what was appended that holds everything appended before the last
// successful Sync began; after a kill of the process it yields everything.
package wal
