package command

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/metrics"
	"tskv/net/resp"
	"tskv/net/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixedNow is the clock of a test server: 2024-01-02T03:04:05.678Z.
const fixedNow = 1704164645678

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// host is a whole server: engine on a memory disk, handler, TCP.
type host struct {
	addr    string
	handler *Handler
	server  *server.Server
	db      *engine.DB
	disk    *disktest.Disk
	store   engine.Options
	now     atomic.Int64 // milliseconds
	ready   atomic.Bool
	stopped atomic.Int64 // calls of Shutdown
}

func newHost(t testing.TB, opt Options) *host {
	t.Helper()
	return newHostOn(t, disktest.New(), opt)
}

func newHostOn(t testing.TB, d *disktest.Disk, opt Options) *host {
	t.Helper()
	h := &host{disk: d}
	h.now.Store(fixedNow)
	h.ready.Store(true)
	now := func() time.Time { return time.UnixMilli(h.now.Load()) }
	instruments := metrics.NewEngine()
	h.store = engine.Options{FS: h.disk, Now: now, Metrics: instruments, MinFreeBytes: 1, NoMmap: true}
	var err error
	h.db, err = engine.Open("test", h.store)
	if err != nil {
		t.Fatal(err)
	}
	opt.Now, opt.Engine = now, instruments
	opt.DB = func() *engine.DB {
		if h.ready.Load() {
			return h.db
		}
		return nil
	}
	opt.Shutdown = func() { h.stopped.Add(1) }
	opt.Addr = "127.0.0.1:7379"
	if h.handler, err = New(opt); err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(h.handler, server.Options{AuthRequired: opt.Password != ""})
	if err != nil {
		t.Fatal(err)
	}
	h.server = srv
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		h.handler.Close()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// client is one connection.
type client struct {
	t    testing.TB
	conn net.Conn
	buf  *bufio.Reader
	in   *resp.Reader
}

func (h *host) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have closed it
	buf := bufio.NewReader(conn)
	return &client{t: t, conn: conn, buf: buf, in: resp.NewReader(buf, resp.DefaultReplyLimits())}
}

func (c *client) send(commands ...[]string) {
	c.t.Helper()
	var out []byte
	for _, args := range commands {
		raw := make([][]byte, len(args))
		for i, arg := range args {
			raw[i] = []byte(arg)
		}
		out = resp.AppendCommand(out, raw...)
	}
	if _, err := c.conn.Write(out); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) reply() resp.Reply {
	c.t.Helper()
	r, err := c.in.Read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// do sends one command and returns the reply's text form.
func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(args)
	r := c.reply()
	return show(&r)
}

// line sends a command whose arguments are separated by blanks; ” quotes none.
func (c *client) line(command string) string {
	c.t.Helper()
	return c.do(split(command)...)
}

func split(command string) []string {
	args := strings.Split(command, " ")
	for i := range args {
		if args[i] == `""` {
			args[i] = ""
		}
	}
	return args
}

// want sends command lines and compares the replies.
func (c *client) want(table [][2]string) {
	c.t.Helper()
	for _, row := range table {
		if got := c.line(row[0]); got != row[1] {
			c.t.Errorf("%s\n got %s\nwant %s", row[0], got, row[1])
		}
	}
}

// show writes a reply: +status, -error, :1, "bulk", nil, [array], {map}, <set>.
func show(r *resp.Reply) string {
	var elems []string
	for i := range r.Elems {
		elems = append(elems, show(&r.Elems[i]))
	}
	list := strings.Join(elems, " ")
	switch r.Kind {
	case resp.KindNull:
		return "nil"
	case resp.KindStatus:
		return "+" + string(r.Text)
	case resp.KindError:
		return "-" + string(r.Text)
	case resp.KindInt:
		return ":" + strconv.FormatInt(r.Int, 10)
	case resp.KindBulk:
		return strconv.Quote(string(r.Text))
	case resp.KindVerbatim:
		return "=" + strconv.Quote(string(r.Text))
	case resp.KindArray:
		return "[" + list + "]"
	case resp.KindMap:
		return "{" + list + "}"
	case resp.KindSet:
		return "<" + list + ">"
	}
	return fmt.Sprintf("?%d", r.Kind)
}

// closed waits until the server has closed the connection.
func (c *client) closed() bool {
	_, err := c.buf.ReadByte()
	return err != nil
}
