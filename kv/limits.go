package kv

// Bounds of the data model. Whoever takes data from outside checks them before
// it allocates.
const (
	// MaxScale is the largest number of digits after the point of a decimal: as
	// many as every mantissa has room for.
	MaxScale = 18
	// MaxKey is the longest internal key in bytes: the longest key of a user
	// (65,535) and one byte for the namespace.
	MaxKey = 65536
	// MaxValue is the largest value in bytes. A record of the log, which holds a
	// whole group, is bounded at twice that.
	MaxValue = 64 << 20
	// MaxTags bounds the tags of one record.
	MaxTags = 32
	// MaxTag is the longest tag in bytes.
	MaxTag = 255
	// MaxTagSet is the longest TagSet in bytes: MaxTags of MaxTag bytes, each
	// behind a length of two bytes.
	MaxTagSet = MaxTags * (2 + MaxTag)
)
