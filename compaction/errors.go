package compaction

import "errors"

// ErrOrder is returned by CheckOrder for files among which the newest row of a
// key and ID cannot be told.
var ErrOrder = errors.New("files overlap in sequence")
