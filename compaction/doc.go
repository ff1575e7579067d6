// Package compaction decides which files to merge and merges them. Pick is a
// pure function from a list of files to a plan; Build writes sorted series into
// files (a flush is a Build over a memtable); Merge is a Build over readers.
//
// It refuses to know locks, goroutines, versions and the manifest's file:
// whoever calls Build or Merge installs the result. Every function may be
// called from any goroutine as long as its arguments are not shared.
//
// # The order of rows
//
// No row on disk carries a sequence. Of two rows with the same key and ID the
// newer is the one in the file with the higher MaxSeq. So two files that can
// hold the same (key, ID) must have disjoint sequence ranges, and a merge may
// take only files that are adjacent in sequence. "Can hold the same" is judged
// by bounds: same class, overlapping key bounds, overlapping time bounds.
// (A key keeps its class for as long as a file holds it; windows of a class do
// not overlap in time.)
//
// One exception: files from one Build have one sequence range, and one of them
// may be mixed, i.e. hold many windows. Its time bounds overlap those of its
// siblings but its rows do not: each window of a build goes to one place.
// Hence a mixed file and a file of a window with exactly equal sequence ranges
// do not conflict. The exception survives merges because a merge that reaches
// over such a file is never legal unless all inputs have that same range.
//
// CheckOrder checks all this; see legal in pick.go for the rule on merges.
package compaction
