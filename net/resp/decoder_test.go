package resp

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// outcome is what a stream of requests decodes to, in a form that compares.
type outcome struct {
	commands []string
	rest     int
	err      string
}

func (o outcome) String() string {
	return fmt.Sprintf("%d commands %q, rest %d, error %q", len(o.commands), o.commands, o.rest, o.err)
}

func show(cmd Command) string {
	var b strings.Builder
	for _, arg := range cmd.Args {
		fmt.Fprintf(&b, "[%s]", arg)
	}
	return b.String()
}

// feed decodes input that arrives in the given pieces, as the server does: the
// rest moves to the front of the buffer, in fresh memory every time.
func feed(limits *Limits, authenticated bool, pieces ...[]byte) outcome {
	d := NewDecoder(limits)
	d.SetAuthenticated(authenticated)
	var b Batch
	var o outcome
	var rest []byte
	for _, piece := range pieces {
		buf := append(bytes.Clone(rest), piece...)
		used := 0
		for {
			n, err := d.Decode(buf[used:], &b)
			used += n
			for _, cmd := range b.Commands {
				o.commands = append(o.commands, show(cmd))
			}
			if err != nil {
				o.err = err.Error()
				return o
			}
			if n == 0 {
				break
			}
		}
		rest = buf[used:]
	}
	o.rest = len(rest)
	return o
}

func smallLimits() *Limits {
	return &Limits{Args: 16, Bulk: 64, Command: 256, Inline: 40, UnauthArgs: 3, UnauthBulk: 8}
}

type decodeCase struct {
	in   string
	want []string // commands as show prints them
	rest int
	err  error
}

func decodeCases() []decodeCase {
	long := strings.Repeat("x", 64)
	return []decodeCase{
		{in: ""},
		{in: "*1\r\n$4\r\nPING\r\n", want: []string{"[PING]"}},
		{in: "*3\r\n$3\r\nPUT\r\n$0\r\n\r\n$4\r\na\r\nb\r\n", want: []string{"[PUT][][a\r\nb]"}},
		{in: "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", want: []string{"[a]", "[b]"}},
		{in: "*2\r\n$64\r\n" + long + "\r\n$1\r\nz\r\n", want: []string{"[" + long + "][z]"}},
		{in: "*0\r\n*-1\r\n*-23\r\n*1\r\n$1\r\na\r\n", want: []string{"[a]"}},
		{in: "*1\r\n$4\r\nPI", rest: 10},
		{in: "*1\r\n$1\r\na\r\n*", want: []string{"[a]"}, rest: 1},
		// Counts.
		{in: "*17\r\n", err: ErrMultibulkLength},
		{in: "*2147483647\r\n", err: ErrMultibulkLength},
		{in: "*9223372036854775807\r\n", err: ErrMultibulkLength},
		{in: "*18446744073709551617\r\n", err: ErrMultibulkLength},
		{in: "*99999999999999999999", rest: 21},
		{in: "*999999999999999999999", err: ErrMultibulkLength},
		{in: "*01\r\n", err: ErrMultibulkLength},
		{in: "*00\r\n", err: ErrMultibulkLength},
		{in: "*+1\r\n", err: ErrMultibulkLength},
		{in: "* 1\r\n", err: ErrMultibulkLength},
		{in: "*\r\n", err: ErrMultibulkLength},
		{in: "*1\n", err: ErrMultibulkLength},
		{in: "*1\rx", err: ErrMultibulkLength},
		{in: "*a\r\n", err: ErrMultibulkLength},
		{in: "*-\r\n", err: ErrMultibulkLength},
		{in: "*-0\r\n", err: ErrMultibulkLength},
		{in: "*--1\r\n", err: ErrMultibulkLength},
		{in: "*-01\r\n", err: ErrMultibulkLength},
		// Lengths.
		{in: "*1\r\n$65\r\n", err: ErrBulkLength},
		{in: "*1\r\n$-1\r\n", err: ErrBulkLength},
		{in: "*1\r\n$+1\r\n", err: ErrBulkLength},
		{in: "*1\r\n$01\r\n", err: ErrBulkLength},
		{in: "*1\r\n$\r\n", err: ErrBulkLength},
		{in: "*1\r\n$1x", err: ErrBulkLength},
		{in: "*1\r\n$9223372036854775807\r\n", err: ErrBulkLength},
		{in: "*1\r\n$18446744073709551615\r\n", err: ErrBulkLength},
		{in: "*1\r\n$1\r\nabc", err: ErrBulkLength},
		{in: "*1\r\n$1\r\na\rx", err: ErrBulkLength},
		{in: "*5\r\n" + strings.Repeat("$64\r\n"+long+"\r\n", 5), err: ErrBulkLength}, // whole command
		{in: "*1\r\n:1\r\n", err: errExpectedBulk(':')},
		{in: "*2\r\n$1\r\na\r\nx", err: errExpectedBulk('x')},
		{in: "*1\r\n\r\n", err: errExpectedBulk('\r')},
		{in: "*1\r\n$1\r\na\r\n*1\r\n$x", want: []string{"[a]"}, err: ErrBulkLength},
		// Inline.
		{in: "PING\r\n", want: []string{"[PING]"}},
		{in: "PING\n", want: []string{"[PING]"}},
		{in: "\r\n\n  \t\r\n", want: nil},
		{in: "put k \"a b\" 'c d'\r\n", want: []string{"[put][k][a b][c d]"}},
		{in: "a\r\n*1\r\n$1\r\nb\r\nc\r\n", want: []string{"[a]", "[b]", "[c]"}},
		{in: "PI", rest: 2},
		{in: strings.Repeat(" ", 41), err: ErrInlineLength},
		{in: strings.Repeat("y", 40) + "\n", want: []string{"[" + strings.Repeat("y", 40) + "]"}},
		{in: strings.Repeat("y", 41) + "\n", err: ErrInlineLength},
		{in: "a \"b\r\n", err: ErrQuotes},
		{in: "a\r\nb 'c'd\r\n", want: []string{"[a]"}, err: ErrQuotes},
		{in: "POST / HTTP/1.1\r\nHost: x\r\n\r\n", err: ErrCrossProtocol},
		{in: "GET / HTTP/1.1\r\nhost: x\r\n\r\n", want: []string{"[GET][/][HTTP/1.1]"}, err: ErrCrossProtocol},
		{in: "POST\r\nposts\r\n", want: []string{"[POST]", "[posts]"}},
	}
}

func (c decodeCase) outcome() outcome {
	o := outcome{commands: c.want, rest: c.rest}
	if c.err != nil {
		o.err = c.err.Error()
	}
	return o
}

func TestDecode(t *testing.T) {
	for _, c := range decodeCases() {
		if got, want := feed(smallLimits(), true, []byte(c.in)), c.outcome(); got.String() != want.String() {
			t.Errorf("Decode(%q)\n got %v\nwant %v", c.in, got, want)
		}
	}
}

func TestDecodeUnauthenticated(t *testing.T) {
	for _, c := range []decodeCase{
		{in: "*3\r\n$4\r\nAUTH\r\n$1\r\na\r\n$8\r\n12345678\r\nPING\r\n", want: []string{"[AUTH][a][12345678]", "[PING]"}},
		{in: "*4\r\n", err: ErrUnauthMultibulk},
		{in: "*17\r\n", err: ErrMultibulkLength},
		{in: "*1\r\n$9\r\n", err: ErrUnauthBulk},
		{in: "*1\r\n$65\r\n", err: ErrBulkLength},
		{in: "a b c d\r\n", err: ErrUnauthMultibulk},
	} {
		if got, want := feed(smallLimits(), false, []byte(c.in)), c.outcome(); got.String() != want.String() {
			t.Errorf("Decode(%q)\n got %v\nwant %v", c.in, got, want)
		}
	}
}

func TestDecodeOneByOneBeforeAuthentication(t *testing.T) {
	d := NewDecoder(smallLimits())
	d.SetAuthenticated(false)
	var b Batch
	in := []byte("*1\r\n$4\r\nAUTH\r\n*4\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$9\r\n123456789\r\n")
	n, err := d.Decode(in, &b)
	if err != nil || len(b.Commands) != 1 {
		t.Fatalf("before: %d commands, %v", len(b.Commands), err)
	}
	d.SetAuthenticated(true)
	m, err := d.Decode(in[n:], &b)
	if err != nil || len(b.Commands) != 1 || n+m != len(in) {
		t.Fatalf("after: %d commands, %d of %d bytes, %v", len(b.Commands), n+m, len(in), err)
	}
}

// TestDecodeEverySplit cuts each input, and pairs of inputs, at every position
// and at every pair of positions, and feeds it byte by byte.
func TestDecodeEverySplit(t *testing.T) {
	var corpus []string
	for _, c := range decodeCases() {
		corpus = append(corpus, c.in)
		if c.err == nil && c.rest == 0 {
			corpus = append(corpus, c.in+"*2\r\n$1\r\np\r\n$2\r\nqr\r\n"+c.in)
		}
	}
	for _, in := range corpus {
		for _, authenticated := range []bool{true, false} {
			checkSplits(t, []byte(in), authenticated)
		}
	}
}

func checkSplits(t *testing.T, in []byte, authenticated bool) {
	t.Helper()
	want := feed(smallLimits(), authenticated, in).String()
	check := func(pieces ...[]byte) {
		if got := feed(smallLimits(), authenticated, pieces...).String(); got != want {
			t.Fatalf("%q in pieces %q\n got %s\nwant %s", in, pieces, got, want)
		}
	}
	for i := range in {
		check(in[:i], in[i:])
		for j := i + 1; j < len(in) && len(in) < 100; j++ {
			check(in[:i], in[i:j], in[j:])
		}
	}
	check(bytewise(in)...)
}

func bytewise(in []byte) [][]byte {
	var pieces [][]byte
	for i := range in {
		pieces = append(pieces, in[i:i+1])
	}
	return pieces
}

func TestInlineWords(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
		bad  bool
	}{
		{in: "", want: ""},
		{in: "a  b\tc", want: "[a][b][c]"},
		{in: `""`, want: "[]"},
		{in: `'' ""`, want: "[][]"},
		{in: `"a\n\r\t\b\a\\\"\x41\x7a\xZZ\q"`, want: "[a\n\r\t\b\a\\\"AzxZZq]"},
		{in: `'a\'b\n"c'`, want: `[a'b\n"c]`},
		{in: `foo"bar baz"`, want: "[foobar baz]"},
		{in: `foo'bar baz' "x"`, want: "[foobar baz][x]"},
		{in: `a\nb`, want: `[a\nb]`},
		{in: "a\x00b", want: "[a\x00b]"},
		{in: `"a"b`, bad: true},
		{in: `"a""b"`, bad: true},
		{in: `"a`, bad: true},
		{in: `'a`, bad: true},
		{in: `"a\`, bad: true},
		{in: `"\x4`, bad: true},
		{in: `'a\'`, bad: true},
	} {
		args, err := SplitArgs([]byte(c.in))
		if errors.Is(err, ErrQuotes) != c.bad {
			t.Errorf("SplitArgs(%q): %v", c.in, err)
			continue
		}
		if got := show(Command{Args: args}); err == nil && got != c.want {
			t.Errorf("SplitArgs(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestProtocolErrorTexts(t *testing.T) {
	for err, want := range map[error]string{
		ErrMultibulkLength:   "Protocol error: invalid multibulk length",
		ErrBulkLength:        "Protocol error: invalid bulk length",
		ErrInlineLength:      "Protocol error: too big inline request",
		ErrQuotes:            "Protocol error: unbalanced quotes in request",
		ErrUnauthMultibulk:   "Protocol error: unauthenticated multibulk length",
		ErrUnauthBulk:        "Protocol error: unauthenticated bulk length",
		errExpectedBulk('x'): "Protocol error: expected '$', got 'x'",
	} {
		var protocol *ProtocolError
		if err.Error() != want || !errors.As(err, &protocol) {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if got := errExpectedBulk(0xff).Error(); got != "Protocol error: expected '$', got '?'" {
		t.Errorf("a byte that is no text: %q", got)
	}
}

// TestDecodeDeclaredLengths sends heads that promise much and deliver nothing.
func TestDecodeDeclaredLengths(t *testing.T) {
	limits := DefaultLimits()
	for _, in := range []string{
		"*65536\r\n",
		"*65536\r\n$67108864\r\n",
		"*2\r\n$3\r\nPUT\r\n$67108864\r\nabc",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := NewDecoder(&limits)
		var b Batch
		if n, err := d.Decode([]byte(in), &b); n != 0 || err != nil {
			t.Errorf("%q: %d, %v", in, n, err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
			t.Errorf("%q: %d bytes allocated", in, got)
		}
	}
}

// TestDecodeTinyPackets shows that work is linear: a command of 20,000 arguments
// and one of 4 MB arrive in packets of one byte.
func TestDecodeTinyPackets(t *testing.T) {
	limits := DefaultLimits()
	many := []byte("*20000\r\n" + strings.Repeat("$1\r\na\r\n", 20000))
	large := []byte(fmt.Sprintf("*1\r\n$%d\r\n%s\r\n", 4<<20, bytes.Repeat([]byte("v"), 4<<20)))
	for _, in := range [][]byte{many, large} {
		d := NewDecoder(&limits)
		var b Batch
		for i := 1; i <= len(in); i++ {
			n, err := d.Decode(in[:i], &b)
			if err != nil || (n > 0) != (i == len(in)) {
				t.Fatalf("after %d of %d bytes: consumed %d, %v", i, len(in), n, err)
			}
		}
		if len(b.Commands) != 1 {
			t.Fatalf("%d commands", len(b.Commands))
		}
	}
}

func TestDecoderNeed(t *testing.T) {
	limits := DefaultLimits()
	d := NewDecoder(&limits)
	var b Batch
	in := []byte("*1\r\n$100\r\nabc")
	if _, err := d.Decode(in, &b); err != nil {
		t.Fatal(err)
	}
	if got := d.Need(len(in)); got != 99 {
		t.Errorf("Need = %d, want 99", got)
	}
	if got := NewDecoder(&limits).Need(0); got != 1 {
		t.Errorf("Need of nothing = %d, want 1", got)
	}
}

func TestBatchRelease(t *testing.T) {
	limits := DefaultLimits()
	d := NewDecoder(&limits)
	var b Batch
	for _, in := range []string{strings.Repeat("*2\r\n$1\r\na\r\n$1\r\nb\r\n", 50), "*1\r\n$1\r\na\r\n"} {
		if _, err := d.Decode([]byte(in), &b); err != nil {
			t.Fatal(err)
		}
	}
	b.Release()
	for _, arg := range b.args[:cap(b.args)] {
		if arg != nil {
			t.Fatal("a released batch keeps a buffer alive")
		}
	}
	if _, err := d.Decode([]byte(strings.Repeat("x\n", 5000)), &b); err != nil || len(b.Commands) != 5000 {
		t.Fatalf("%d commands, %v", len(b.Commands), err)
	}
	b.Release()
	if cap(b.args) > keptHeaders || cap(b.Commands) > keptHeaders {
		t.Errorf("a released batch keeps %d and %d headers", cap(b.args), cap(b.Commands))
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Limits){
		func(l *Limits) { l.Args = 0 },
		func(l *Limits) { l.Bulk = -1 },
		func(l *Limits) { l.Command = 4 << 30 },
		func(l *Limits) { l.Inline = l.Command + 1 },
	} {
		l := DefaultLimits()
		change(&l)
		if err := l.Validate(); !errors.Is(err, ErrLimits) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
