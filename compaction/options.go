package compaction

import "tskv/kv"

const (
	minInputs = 2
	// maxInputs bounds the open readers of one merge, each with its read-ahead.
	maxInputs = 8
	// settledFiles is how many files a closed window may keep.
	settledFiles = 3
	// crowdedFiles of a window that are not full are merged even at a low gain.
	// Sizes that fall and rise again by half keep at most some ten.
	crowdedFiles = 16
	// maxMixed mixed files of a class are split even if they are small: they
	// stand in the way of merges in the windows that they reach into.
	maxMixed = 8
	// RewriteFraction: a file is rewritten for its deletes, or for what a
	// tombstone hides, when that is at least 1/RewriteFraction of it.
	RewriteFraction = 4
	// fullSlack: a file that lacks 1/fullSlack of MaxFileBytes counts as full.
	fullSlack = 8
	// closedAfterMS after its end a window counts as closed.
	closedAfterMS = dayMS

	defaultMinGain      = 2.0
	defaultMaxFileBytes = 1 << 30
	defaultSplitBytes   = 64 << 20
)

// PickOptions steers Pick. The zero value of a field means its default.
type PickOptions struct {
	// Now is the time in milliseconds since 1970; 0 = no window is closed.
	Now uint64
	// IdleSeq: a closed window settles only if all of its files have
	// MaxSeq <= IdleSeq; 0 = every closed window.
	IdleSeq uint64
	// MinGain is the least gain of a tiered merge (see Pick), default 2.0.
	MinGain float64
	// MaxFileBytes: a file of about that size or more is not merged any more,
	// default 1 GiB. The same value belongs into Output.
	MaxFileBytes int64
	// SplitBytes: mixed files of a class of that many bytes together are split
	// by window, default 64 MiB.
	SplitBytes int64
	// MaxInputBytes is the most that a merge may read, and so may need of free
	// disk; 0 = no bound. Plans that only drop files are not bound.
	MaxInputBytes int64
	// Avoid says which files cannot be read, nil = none. They are never merged,
	// and nothing is merged over them; a plan may drop them unread.
	Avoid func(id uint64) bool
	// Hidden says how many rows of a file tombstones hide for certain; nil: it is
	// not known.
	Hidden func(id uint64) uint64
	// Tombstones are the range tombstones that hide rows of files.
	Tombstones *kv.Tombstones
}

func (o *PickOptions) setDefaults() {
	if o.MinGain <= 1 {
		o.MinGain = defaultMinGain
	}
	if o.MaxFileBytes <= 0 {
		o.MaxFileBytes = defaultMaxFileBytes
	}
	if o.SplitBytes <= 0 {
		o.SplitBytes = defaultSplitBytes
	}
}
