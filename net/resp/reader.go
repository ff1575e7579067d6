package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Kind is the type of a reply.
type Kind uint8

// The kinds of replies, with their first byte on the wire.
const (
	KindNull     Kind = iota // $-1, *-1, _
	KindStatus               // +
	KindError                // - and !
	KindInt                  // :
	KindBulk                 // $
	KindArray                // *
	KindMap                  // %: 2n elements, key and value in turn
	KindSet                  // ~
	KindPush                 // >
	KindDouble               // ,
	KindBool                 // #
	KindVerbatim             // =: Text without the format
	KindBig                  // (
)

// Reply is a reply, or the head of one: see Reader.
type Reply struct {
	Kind  Kind
	Int   int64   // KindInt; KindBool: 1 or 0
	Float float64 // KindDouble
	Text  []byte  // status, error, bulk, verbatim, big number: owned by the reply
	Count int     // elements that follow the head of an array, map, set or push
	Elems []Reply // the elements, if Read read them
}

// IsError reports whether the server refused the command.
func (r *Reply) IsError() bool { return r.Kind == KindError }

// IsAggregate reports whether Count elements belong to the reply.
func (r *Reply) IsAggregate() bool { return r.Kind >= KindArray && r.Kind <= KindPush }

// ReplyLimits bounds what a Reader takes from a server.
type ReplyLimits struct {
	Bulk     int // bytes of one string; default 512 MiB
	Elements int // elements of one aggregate; default 2^31-1
	Depth    int // aggregates within aggregates; default 32
}

// DefaultReplyLimits returns the defaults.
func DefaultReplyLimits() ReplyLimits {
	return ReplyLimits{Bulk: 512 << 20, Elements: math.MaxInt32, Depth: 32}
}

// Reader reads replies of either protocol. Memory is allocated as bytes arrive,
// never because of a declared length. After an error it is of no more use.
type Reader struct {
	r      *bufio.Reader
	limits ReplyLimits
}

// NewReader returns a reader of what r gets from a server.
func NewReader(r *bufio.Reader, limits ReplyLimits) *Reader {
	return &Reader{r: r, limits: limits}
}

// Read returns the next reply with all of its elements. io.EOF only between
// replies; other errors wrap ErrReply or come from the connection.
func (r *Reader) Read() (Reply, error) {
	reply, err := r.read(r.limits.Depth)
	if err != nil {
		return Reply{}, err
	}
	return reply, nil
}

func (r *Reader) read(depth int) (Reply, error) {
	reply, err := r.Head()
	if err != nil || !reply.IsAggregate() {
		return reply, err
	}
	if depth == 0 {
		return reply, fmt.Errorf("read reply: %w: nested too deep", ErrReply)
	}
	for range reply.Count {
		elem, err := r.read(depth - 1)
		if err != nil {
			return reply, notEOF(err)
		}
		reply.Elems = append(reply.Elems, elem)
	}
	return reply, nil
}

// Head returns the next reply without elements: of an aggregate the kind and
// Count, after which that many replies follow. With it a client reads replies of
// any length in constant memory.
func (r *Reader) Head() (Reply, error) {
	kind, err := r.r.ReadByte()
	if err != nil {
		return Reply{}, err
	}
	line, err := r.line()
	if err != nil {
		return Reply{}, notEOF(err)
	}
	reply, err := r.parse(kind, line)
	if err != nil {
		return Reply{}, notEOF(err)
	}
	return reply, nil
}

func (r *Reader) parse(kind byte, line []byte) (Reply, error) {
	switch kind {
	case '+':
		return Reply{Kind: KindStatus, Text: bytes.Clone(line)}, nil
	case '-':
		return Reply{Kind: KindError, Text: bytes.Clone(line)}, nil
	case ':':
		n, err := strconv.ParseInt(string(line), 10, 64)
		if err != nil {
			return Reply{}, malformed(kind, line)
		}
		return Reply{Kind: KindInt, Int: n}, nil
	case '$', '=', '!':
		return r.bulk(kind, line)
	case '*', '%', '~', '>':
		return r.aggregate(kind, line)
	case '_':
		return Reply{}, nil
	case '#':
		if len(line) != 1 || line[0] != 't' && line[0] != 'f' {
			return Reply{}, malformed(kind, line)
		}
		reply := Reply{Kind: KindBool}
		if line[0] == 't' {
			reply.Int = 1
		}
		return reply, nil
	case ',':
		f, err := strconv.ParseFloat(string(line), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return Reply{}, malformed(kind, line)
		}
		return Reply{Kind: KindDouble, Float: f}, nil
	case '(':
		return Reply{Kind: KindBig, Text: bytes.Clone(line)}, nil
	}
	return Reply{}, malformed(kind, line)
}

func (r *Reader) aggregate(kind byte, line []byte) (Reply, error) {
	if kind == '*' && string(line) == "-1" {
		return Reply{}, nil
	}
	n, err := strconv.ParseUint(string(line), 10, 63)
	if err != nil || n > uint64(r.limits.Elements) {
		return Reply{}, malformed(kind, line)
	}
	reply := Reply{Kind: KindArray, Count: int(n)}
	switch kind {
	case '%':
		reply.Kind = KindMap
		if reply.Count > r.limits.Elements/2 {
			return Reply{}, malformed(kind, line)
		}
		reply.Count *= 2
	case '~':
		reply.Kind = KindSet
	case '>':
		reply.Kind = KindPush
	}
	return reply, nil
}

func (r *Reader) bulk(kind byte, line []byte) (Reply, error) {
	if kind == '$' && string(line) == "-1" {
		return Reply{}, nil
	}
	n, err := strconv.ParseUint(string(line), 10, 63)
	if err != nil || n > uint64(r.limits.Bulk) {
		return Reply{}, malformed(kind, line)
	}
	text, err := r.bytes(int(n))
	if err != nil {
		return Reply{}, err
	}
	var end [2]byte
	if _, err := io.ReadFull(r.r, end[:]); err != nil {
		return Reply{}, err
	}
	if end != [2]byte{'\r', '\n'} {
		return Reply{}, fmt.Errorf("read reply: %w: a string is longer than its length", ErrReply)
	}
	switch kind {
	case '!':
		return Reply{Kind: KindError, Text: text}, nil
	case '=':
		if len(text) < 4 || text[3] != ':' {
			return Reply{}, malformed(kind, text[:min(len(text), 4)])
		}
		return Reply{Kind: KindVerbatim, Text: text[4:]}, nil
	}
	return Reply{Kind: KindBulk, Text: text}, nil
}

// bytes reads n bytes into memory that grows as they arrive.
func (r *Reader) bytes(n int) ([]byte, error) {
	const step = 64 << 10
	buf := make([]byte, 0, min(n, step))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, 2*cap(buf)))
			copy(grown, buf)
			buf = grown
		}
		part := buf[len(buf):cap(buf)]
		if _, err := io.ReadFull(r.r, part); err != nil {
			return nil, err
		}
		buf = buf[:cap(buf)]
	}
	return buf[:n], nil
}

// line reads up to CR LF; it must fit the bufio.Reader's buffer, or 64 KiB.
func (r *Reader) line() ([]byte, error) {
	const longest = 64 << 10
	line, err := r.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) < longest {
			line, err = r.r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("read reply: %w: endless line", ErrReply)
		}
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("read reply: %w: a line without CR", ErrReply)
	}
	return line[:len(line)-2], nil
}

func malformed(kind byte, line []byte) error {
	return fmt.Errorf("read reply: %w: %q", ErrReply, append([]byte{kind}, line[:min(len(line), 64)]...))
}

// notEOF makes an end within a reply an io.ErrUnexpectedEOF.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
