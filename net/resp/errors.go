package resp

import (
	"errors"
	"fmt"
)

// ProtocolError is a request that breaks the grammar or a limit. Its text is the
// reply that the client gets before it is closed, without the leading "ERR ".
type ProtocolError struct {
	reason string
}

// Error returns "Protocol error: " and the reason, as Redis words it.
func (e *ProtocolError) Error() string { return "Protocol error: " + e.reason }

var (
	// ErrMultibulkLength is a count of arguments that is no plain decimal number or
	// is over Limits.Args.
	ErrMultibulkLength = &ProtocolError{"invalid multibulk length"}
	// ErrBulkLength is a length of an argument that is no plain decimal number, is
	// over Limits.Bulk, lifts the command over Limits.Command, or does not lead to
	// the CR LF that must end the argument.
	ErrBulkLength = &ProtocolError{"invalid bulk length"}
	// ErrInlineLength is an inline command over Limits.Inline.
	ErrInlineLength = &ProtocolError{"too big inline request"}
	// ErrQuotes is an inline command with an unfinished or misplaced quote.
	ErrQuotes = &ProtocolError{"unbalanced quotes in request"}
	// ErrUnauthMultibulk is a command over Limits.UnauthArgs before authentication.
	ErrUnauthMultibulk = &ProtocolError{"unauthenticated multibulk length"}
	// ErrUnauthBulk is an argument over Limits.UnauthBulk before authentication.
	ErrUnauthBulk = &ProtocolError{"unauthenticated bulk length"}
	// ErrCrossProtocol is a line of HTTP ("POST " or "Host:"): somebody makes a
	// browser talk to this port. The connection is closed without a word.
	ErrCrossProtocol = errors.New("a line of HTTP on a RESP connection")
	// ErrReply is wrapped by everything that makes a reply unreadable.
	ErrReply = errors.New("malformed reply")
	// ErrLimits is wrapped by the errors of Limits.Validate.
	ErrLimits = errors.New("invalid protocol limits")
)

// errExpectedBulk is the error for c in the place of '$'. Bytes outside
// printable ASCII are shown as '?', because clients decode errors as text.
func errExpectedBulk(c byte) *ProtocolError {
	if c < ' ' || c > '~' {
		c = '?'
	}
	return &ProtocolError{fmt.Sprintf("expected '$', got '%c'", c)}
}
