package disk

import (
	"runtime/debug"
)

// Guard runs fn, which reads a Mapping of a file. If a read faults, because the
// file was cut behind the map or its disk cannot be read, fn ends there and
// Guard returns a *CorruptError that names the file, where the process would
// have died. Every other panic passes on, nil dereferences included.
//
// The fault leaves fn in the middle: what fn had half changed is the caller's
// to throw away. Goroutines that fn starts are not guarded. Any goroutine may
// call it; calls may nest.
func Guard(file string, fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = faultError(file, r)
		}
	}()
	return fn()
}

// faultError turns the panic of a memory fault into an error and raises every
// other panic again. The runtime gives an Addr only to faults at an address
// that a pointer could hold, never to nil dereferences.
func faultError(file string, r any) error {
	fault, ok := r.(interface{ Addr() uintptr })
	if !ok {
		panic(r)
	}
	return Corrupt(file, UnknownOffset,
		"memory fault at %#x: the file was cut or its disk cannot be read", fault.Addr())
}
