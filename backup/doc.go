// Package backup owns the backup repository: a directory of verified copies of
// tables and log segments, shared by all backups in it, and a description of
// each backup. A second backup copies only what is not there yet.
//
// It refuses to know a running store: it copies from a checkpoint, a directory
// that does not change, and it writes what the engine then restores. A
// Repository is locked against other processes and belongs to one goroutine.
//
// Nothing is trusted because it was written: each copy is read back and compared
// before it gets its name, each name is durable before a description counts on
// it, and the description is the last thing that a backup writes. So a backup
// exists whole or not at all, whenever the process or the machine dies.
package backup
