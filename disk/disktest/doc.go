// Package disktest is a disk in memory that can lose power, stop after any
// operation and let any call fail. It implements disk.FS the way POSIX allows
// the worst file system to behave, not the way a kind one does.
//
// # What it remembers
//
// A file has content as processes see it and content that is durable. Sync
// makes the first the second, for content and length, never for the name. A
// directory has names that processes see and names that are durable; between
// them lies an ordered list of creations, links, renames and removals, which
// SyncDir of that directory makes durable. A rename is one entry of the list:
// after a crash the old name or the new one is there, never both, never none.
// MkdirAll, the removal of an empty directory and the rename of a directory are
// durable at once.
//
// # What a crash leaves
//
// Crash returns a new disk. Of each file's unsynced 512-byte sectors a seeded
// share survives, each by itself: as last written, or as one of the earlier
// contents since the last sync; Torn lets some hold new bytes before old ones.
// The length is the durable one, the last one or one between them. Of each
// directory's list a prefix survives or, with Reorder, any subset. Clone is the
// disk after kill -9: nothing is lost.
//
// # What a failed sync leaves
//
// As in Linux: the pages that could not be written count as clean. They read
// back as written until a crash or DropCaches, and a later Sync says OK without
// making them durable, unless the same 4 KiB page is written again. A failed
// SyncDir forgets the list of its directory in the same way.
//
// It refuses to know what the files mean. It is for tests only. Everything may
// be called from many goroutines.
package disktest
