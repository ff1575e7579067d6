package kv

import "errors"

var (
	// ErrInvalidID is returned for text that is not a record ID.
	ErrInvalidID = errors.New("invalid record ID")
	// ErrTags is wrapped by the error for a tag set that is out of bounds or, when
	// it was read from elsewhere, not in canonical form.
	ErrTags = errors.New("invalid tags")
	// ErrBatch is wrapped by the error for bytes that are no batch of operations.
	ErrBatch = errors.New("malformed batch")
	// ErrBatchVersion is wrapped by the error for a batch of an encoding that this
	// program does not know: it was written by a newer one, and is not damaged.
	ErrBatchVersion = errors.New("unknown version of the batch encoding")
)
