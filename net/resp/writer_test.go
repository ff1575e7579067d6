package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

type replyCase struct {
	name         string
	write        func(w *Writer)
	resp2, resp3 string // resp3 "" means the same
}

func replyCases() []replyCase {
	return []replyCase{
		{"ok", (*Writer).OK, "+OK\r\n", ""},
		{"status", func(w *Writer) { w.SimpleString("a\r\nb") }, "+a  b\r\n", ""},
		{"error", func(w *Writer) { w.Error("ERR a\r\n+OK\r\nb\n") }, "-ERR a  +OK  b \r\n", ""},
		{"int", func(w *Writer) { w.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ""},
		{"uint", func(w *Writer) { w.Uint(math.MaxInt64) }, ":9223372036854775807\r\n", ""},
		{"large uint", func(w *Writer) { w.Uint(math.MaxUint64) }, "$20\r\n18446744073709551615\r\n", ""},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\nb")) }, "$4\r\na\r\nb\r\n", ""},
		{"empty bulk", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", ""},
		{"bulk string", func(w *Writer) { w.BulkString("0123456789") }, "$10\r\n0123456789\r\n", ""},
		{"null", (*Writer).Null, "$-1\r\n", "_\r\n"},
		{"null array", (*Writer).NullArray, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.ArrayHeader(2); w.Int(1); w.Int(2) }, "*2\r\n:1\r\n:2\r\n", ""},
		{"map", func(w *Writer) { w.MapHeader(1); w.BulkString("k"); w.Int(2) }, "*2\r\n$1\r\nk\r\n:2\r\n", "%1\r\n$1\r\nk\r\n:2\r\n"},
		{"set", func(w *Writer) { w.SetHeader(1); w.Int(2) }, "*1\r\n:2\r\n", "~1\r\n:2\r\n"},
		{"push", func(w *Writer) { w.PushHeader(1); w.Int(2) }, "*1\r\n:2\r\n", ">1\r\n:2\r\n"},
		{"double", func(w *Writer) { w.Double(12.5) }, "$4\r\n12.5\r\n", ",12.5\r\n"},
		{"double 2", func(w *Writer) { w.Double(1e6) }, "$7\r\n1000000\r\n", ",1000000\r\n"},
		{"double 3", func(w *Writer) { w.Double(-1e300) }, "$7\r\n-1e+300\r\n", ",-1e+300\r\n"},
		{"inf", func(w *Writer) { w.Double(math.Inf(1)) }, "$3\r\ninf\r\n", ",inf\r\n"},
		{"-inf", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"nan", func(w *Writer) { w.Double(math.NaN()) }, "$3\r\nnan\r\n", ",nan\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "a\nb") }, "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n"},
		{"big", func(w *Writer) { w.BigNumber("123456789012345678901") }, "$21\r\n123456789012345678901\r\n", "(123456789012345678901\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte(":7\r\n")) }, ":7\r\n", ""},
	}
}

func TestWriter(t *testing.T) {
	for _, c := range replyCases() {
		var w Writer
		for _, version := range []int{2, 3} {
			want := c.resp2
			if version == 3 && c.resp3 != "" {
				want = c.resp3
			}
			w.Reset()
			w.SetProtocol(version)
			c.write(&w)
			if got := string(w.Bytes()); got != want || w.Protocol() != version || w.Len() != len(want) {
				t.Errorf("%s in RESP%d: %q, want %q", c.name, w.Protocol(), got, want)
			}
		}
	}
}

// TestWriterOnFull writes with a tiny limit: what is sent in pieces must be what
// is written whole, and the buffer must stay small.
func TestWriterOnFull(t *testing.T) {
	const limit = 64
	var whole, cut Writer
	var sent []byte
	most := 0
	cut.OnFull(limit, func() {
		most = max(most, cut.Len())
		sent = append(sent, cut.Bytes()...)
		cut.Reset()
	})
	long := strings.Repeat("0123456789", 100)
	for _, w := range []*Writer{&whole, &cut} {
		w.SetProtocol(3)
		for _, c := range replyCases() {
			c.write(w)
		}
		w.Bulk([]byte(long))
		w.BulkString(long)
		w.Verbatim("txt", long)
		w.Raw([]byte(long))
		w.Bulk([]byte(long[:limit/2]))
	}
	sent = append(sent, cut.Bytes()...)
	if !bytes.Equal(sent, whole.Bytes()) {
		t.Errorf("in pieces %q\nwhole %q", sent, whole.Bytes())
	}
	if most > 2*limit {
		t.Errorf("%d bytes were buffered, the limit is %d", most, limit)
	}
}

func TestWriterMute(t *testing.T) {
	var w Writer
	var sent []byte
	w.OnFull(32, func() { sent = append(sent, w.Bytes()...); w.Reset() })
	w.Int(1)
	w.Mute()
	for range 100 {
		w.BulkString(strings.Repeat("x", 50))
	}
	if got := string(w.Bytes()); got != ":1\r\n" || w.Len() != 4 {
		t.Errorf("muted: %q", got)
	}
	w.Unmute()
	w.Int(2)
	if got := string(append(sent, w.Bytes()...)); got != ":1\r\n:2\r\n" {
		t.Errorf("after Unmute: %q", got)
	}
	w.Truncate(4)
	w.Truncate(100)
	if got := string(w.Bytes()); got != ":1\r\n" {
		t.Errorf("truncated: %q", got)
	}
}

func TestReader(t *testing.T) {
	var w Writer
	w.SetProtocol(3)
	for _, c := range replyCases() {
		c.write(&w)
	}
	r := NewReader(bufio.NewReaderSize(bytes.NewReader(w.Bytes()), 16), DefaultReplyLimits())
	var again Writer
	again.SetProtocol(3)
	for _, c := range replyCases() {
		reply, err := r.Read()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		rewrite(&again, &reply)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if !bytes.Equal(w.Bytes(), again.Bytes()) {
		t.Errorf("read and written again\n got %q\nwant %q", again.Bytes(), w.Bytes())
	}
}

func rewrite(w *Writer, r *Reply) {
	switch r.Kind {
	case KindNull:
		w.Null()
	case KindStatus:
		w.SimpleString(string(r.Text))
	case KindError:
		w.Error(string(r.Text))
	case KindInt:
		w.Int(r.Int)
	case KindBulk:
		w.Bulk(r.Text)
	case KindArray:
		w.ArrayHeader(r.Count)
	case KindMap:
		w.MapHeader(r.Count / 2)
	case KindSet:
		w.SetHeader(r.Count)
	case KindPush:
		w.PushHeader(r.Count)
	case KindDouble:
		w.Double(r.Float)
	case KindBool:
		w.Bool(r.Int == 1)
	case KindVerbatim:
		w.Verbatim("txt", string(r.Text))
	case KindBig:
		w.BigNumber(string(r.Text))
	}
	for i := range r.Elems {
		rewrite(w, &r.Elems[i])
	}
}

func TestReaderMalformed(t *testing.T) {
	limits := ReplyLimits{Bulk: 100, Elements: 10, Depth: 2}
	for _, c := range []struct {
		in   string
		want error
	}{
		{"$101\r\n", ErrReply},
		{"$-2\r\n", ErrReply},
		{"$x\r\n", ErrReply},
		{"$1\r\nab\r\n", ErrReply},
		{"*11\r\n", ErrReply},
		{"%6\r\n", ErrReply},
		{"*-2\r\n", ErrReply},
		{"*?\r\n", ErrReply},
		{"*1\r\n*1\r\n*1\r\n:1\r\n", ErrReply},
		{":\r\n", ErrReply},
		{":99999999999999999999\r\n", ErrReply},
		{"#x\r\n", ErrReply},
		{",x\r\n", ErrReply},
		{"=3\r\ntxt\r\n", ErrReply},
		{"?\r\n", ErrReply},
		{"+OK\n", ErrReply},
		{"+" + strings.Repeat("x", 200<<10), ErrReply},
		{"+OK", io.ErrUnexpectedEOF},
		{"$5\r\nab", io.ErrUnexpectedEOF},
		{"*2\r\n:1\r\n", io.ErrUnexpectedEOF},
		{"", io.EOF},
	} {
		_, err := NewReader(bufio.NewReader(strings.NewReader(c.in)), limits).Read()
		if !errors.Is(err, c.want) {
			t.Errorf("%.40q: %v, want %v", c.in, err, c.want)
		}
	}
}

func TestReaderHead(t *testing.T) {
	r := NewReader(bufio.NewReader(strings.NewReader("*2\r\n:1\r\n:2\r\n")), DefaultReplyLimits())
	head, err := r.Head()
	if err != nil || !head.IsAggregate() || head.Count != 2 || head.Elems != nil {
		t.Fatalf("%+v, %v", head, err)
	}
	for want := int64(1); want <= 2; want++ {
		if elem, err := r.Read(); err != nil || elem.Int != want {
			t.Errorf("%+v, %v", elem, err)
		}
	}
}

func TestAppendCommand(t *testing.T) {
	in := AppendCommand(nil, []byte("PUT"), []byte("k"), nil)
	limits := DefaultLimits()
	if got := feed(&limits, true, in); len(got.commands) != 1 || got.commands[0] != "[PUT][k][]" {
		t.Errorf("%q: %v", in, got)
	}
}
