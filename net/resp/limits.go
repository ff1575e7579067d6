package resp

import (
	"fmt"
	"math"
)

// Limits bounds what a Decoder accepts. All are checked before anything is
// allocated for what they bound.
type Limits struct {
	Args       int // arguments of one command, its name included; default 65,536
	Bulk       int // bytes of one argument; default 64 MiB, the largest value
	Command    int // bytes of a whole command on the wire; default 65 MiB
	Inline     int // bytes of an inline command's line without its LF; default 4 KiB
	UnauthArgs int // like Args, before authentication; default 10
	UnauthBulk int // like Bulk, before authentication; default 16 KiB
}

// DefaultLimits returns the limits of PROTOCOL.md.
func DefaultLimits() Limits {
	return Limits{
		Args:       65536,
		Bulk:       64 << 20,
		Command:    65 << 20,
		Inline:     4 << 10,
		UnauthArgs: 10,
		UnauthBulk: 16 << 10,
	}
}

// Validate reports the first limit that is not positive or cannot be kept.
func (l Limits) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"Args", l.Args},
		{"Bulk", l.Bulk},
		{"Command", l.Command},
		{"Inline", l.Inline},
		{"UnauthArgs", l.UnauthArgs},
		{"UnauthBulk", l.UnauthBulk},
	} {
		if field.value <= 0 {
			return fmt.Errorf("check limit %s=%d: %w: must be positive", field.name, field.value, ErrLimits)
		}
	}
	if l.Command > math.MaxInt32 {
		return fmt.Errorf("check limit Command=%d: %w: must be below 2 GiB", l.Command, ErrLimits)
	}
	if l.Inline > l.Command {
		return fmt.Errorf("check limit Inline=%d: %w: must not be over Command", l.Inline, ErrLimits)
	}
	return nil
}
