// Package repair tests what happens to damaged stores: that the offline check
// finds every damage, and that a salvage keeps all that verifies and nothing
// that is wrong. Stores are made by the engine, on a disk in memory.
//
// It holds tests only.
package repair
