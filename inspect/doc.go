// Package inspect reads a store that nobody has open: it checks every file and
// that they fit together (Check), shows what is in them (Log, Table, Manifest),
// and makes a new store of what still verifies (Salvage).
//
// It knows the documented formats and nothing of a running store: no cache, no
// version, no queue. It changes nothing in what it reads; only Salvage writes,
// and only into the new directory that it is given.
//
// Whatever it finds is data, not an error: a report is complete for as much as
// could be read. Errors are for what stopped the work: a store in use, a newer
// format, no store at all.
package inspect
