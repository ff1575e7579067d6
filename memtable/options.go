package memtable

import (
	"errors"
	"fmt"
)

// ErrOptions is wrapped by every error of Options.Validate.
var ErrOptions = errors.New("invalid memtable options")

// DefaultBytes is the size at which a table calls itself full.
const DefaultBytes = 64 << 20

// Options of a table. The zero value is usable.
type Options struct {
	// Bytes is the memory in bytes from which on Full reports true; 0 means
	// DefaultBytes. It is advice: Add works beyond it.
	Bytes int64
	// Pool hands out slabs and read buffers and takes them back. Tables of
	// one store share one; nil gives the table a pool of its own.
	Pool *Pool
}

// Validate reports a wrong option; the error wraps ErrOptions.
func (o *Options) Validate() error {
	if o.Bytes < 0 {
		return fmt.Errorf("check bytes %d: %w", o.Bytes, ErrOptions)
	}
	return nil
}
