// Package metrics owns the names and the registration of tskv's instruments,
// and the instruments themselves: counters, gauges and histograms that cost a
// few nanoseconds, because one is touched per command.
//
// It refuses to know who counts and who serves the numbers. It is a leaf. Every
// method may be called from any goroutine.
package metrics
