package command

import (
	"errors"
	"fmt"
	"strings"

	"tskv/disk"
	"tskv/engine"
	"tskv/kv"
)

// reply is an error whose text is sent to the client as it is: its first word
// is the error's class.
type reply string

// Error returns the text.
func (r reply) Error() string { return string(r) }

// Errors that Redis has too; the texts are equal.
const (
	errSyntax     reply = "ERR syntax error"
	errInteger    reply = "ERR value is not an integer or out of range"
	errFloat      reply = "ERR value is not a valid float"
	errPositive   reply = "ERR value is out of range, must be positive"
	errOverflow   reply = "ERR increment or decrement would overflow"
	errInfinity   reply = "ERR increment would produce NaN or Infinity"
	errInvalidID  reply = "ERR Invalid stream ID specified as stream command argument"
	errCursor     reply = "ERR invalid cursor"
	errNoAuth     reply = "NOAUTH Authentication required."
	errWrongPass  reply = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword reply = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errProtocol   reply = "NOPROTO unsupported protocol version"
	errLoading    reply = "LOADING tskv is loading the dataset in memory"
	errIndex      reply = "ERR DB index is out of range"
	errCluster    reply = "ERR This instance has cluster support disabled"
	errNoClient   reply = "ERR No such client"
	errTooLong    reply = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errNoConfig   reply = "ERR The server is running without a config file"
	errStopped    reply = "ERR the command was stopped: the client is gone or the server shuts down"
	errPattern    reply = "ERR the pattern is too long"
	errScan       reply = "ERR use SCAN cursor [MATCH pattern] [COUNT n] [TYPE type], or SCAN key from to [REV] [COUNT n] [OFFSET n] [TAG tag]... [WITHTAGS] [BLOCK ms] with time bounds: - + $ id (id now now-5m @unix-seconds RFC3339"
)

// maxEchoBytes bounds how much of a client's own text an error repeats.
const maxEchoBytes = 128

func echo(text []byte) string {
	return string(text[:min(len(text), maxEchoBytes)])
}

func errBound(text []byte) error {
	return reply(fmt.Sprintf("ERR invalid time bound '%s': use - + $ id (id now now-5m @unix-seconds or RFC 3339", echo(text)))
}

func errSubscriber(name string) error {
	return reply("ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
}

func errArity(name string) error {
	return reply("ERR wrong number of arguments for '" + name + "' command")
}

// errUnknown is worded as in Redis: the arguments share maxEchoBytes.
func errUnknown(args [][]byte) error {
	var list []byte
	for _, arg := range args[1:] {
		if len(list) >= maxEchoBytes {
			break
		}
		arg = arg[:min(len(arg), maxEchoBytes-len(list))]
		list = append(append(append(list, '\''), arg...), "' "...)
	}
	return reply(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", echo(args[0]), list))
}

func errUnknownSub(name string, sub []byte) error {
	return reply(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", echo(sub), upper(name)))
}

// replyText maps an error to its text on the wire. It is the only place that
// does.
func replyText(err error) string {
	var ready reply
	var conflict *engine.ConflictError
	var corrupt *disk.CorruptError
	switch {
	case errors.As(err, &ready):
		return string(ready)
	case errors.As(err, &conflict):
		return "CONFLICT last=" + conflict.Last.String()
	case errors.As(err, &corrupt):
		return "CORRUPT" + strings.TrimPrefix(corrupt.Error(), "corrupt")
	case errors.Is(err, engine.ErrWrongType):
		return "WRONGTYPE Operation against a key holding the wrong kind of value"
	case errors.Is(err, engine.ErrBusy):
		return "BUSY storage stalled"
	case errors.Is(err, engine.ErrReadOnly):
		return "READONLY " + err.Error()
	case errors.Is(err, engine.ErrIDTooSmall):
		return "ERR The ID specified is equal or smaller than the key's last ID"
	case errors.Is(err, kv.ErrInvalidID):
		return string(errInvalidID)
	}
	return "ERR " + err.Error()
}

// errorWord returns the first word of an error's text, by which it is counted.
func errorWord(text string) string {
	for i := range len(text) {
		if text[i] == ' ' {
			return text[:i]
		}
	}
	return text
}
