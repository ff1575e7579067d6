package backup

import "errors"

var (
	// ErrNoRepository is returned for a directory that is not a repository, and
	// not an empty one that could become one.
	ErrNoRepository = errors.New("not a backup repository")
	// ErrVersion is returned for what a newer version wrote.
	ErrVersion = errors.New("written by a newer version")
	// ErrNoBackup is wrapped when no backup fits what was asked for.
	ErrNoBackup = errors.New("no such backup")
	// ErrGap is wrapped when the log between a backup and a position is not in the
	// repository.
	ErrGap = errors.New("the log has a gap")
	// ErrOtherHistory is wrapped by Add for a store that shares its database ID with
	// another one in the repository and is not the same: a copy made by hand.
	ErrOtherHistory = errors.New("the repository holds another history of this database")
	// ErrNotEmpty is returned by Extract for a directory in which there is something.
	ErrNotEmpty = errors.New("the directory is not empty")
)
