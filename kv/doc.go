// Package kv owns the words of the data model: IDs, decimal values, tag sets,
// rows and batches of rows, the byte encoding of write batches, and the merge
// of sorted sources.
//
// It refuses to know files, sequences of the log and the time of day. It is a
// leaf: everything above may use it. Nothing in it starts a goroutine; values
// may be read from many goroutines and changed by one.
package kv
