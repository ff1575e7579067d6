package backup

import (
	"time"
)

// Options say how a repository is used. The zero value is a good one.
type Options struct {
	Tool string           // version of the program, noted in each backup
	Now  func() time.Time // default time.Now
	// Progress is told, after each piece of at most a mebibyte, how many bytes of
	// how many were read. It is called from the goroutine that works.
	Progress func(done, total int64)
	// AllowDamaged takes tables into a backup whose own checksums are wrong, and
	// notes them, instead of giving up.
	AllowDamaged bool
	// Unlocked lets Open do without the lock: enough for List.
	Unlocked bool
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Tool == "" {
		o.Tool = "dev"
	}
	return o
}
