package server

import "errors"

var (
	// ErrOptions is wrapped by the errors of Options.Validate.
	ErrOptions = errors.New("invalid server options")
	// ErrClosed is returned by Serve after Shutdown has begun, and by Flush on a
	// connection that is gone.
	ErrClosed = errors.New("the connection or server is closed")

	errInputFull = errors.New("no input memory within the deadline")
)
