package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tskv/net/resp"
)

// cliFlags are the command line of tskv cli.
type cliFlags struct {
	addr, socket, password string
	raw                    bool
}

func newCLI() *cobra.Command {
	f := &cliFlags{}
	cmd := &cobra.Command{
		Use:   "cli [command argument...]",
		Short: "send one command, or open a prompt",
		Example: `  tskv cli PUT room:1 '*' 21.5 TAG cellar
  tskv cli SCAN room:1 now-1h + WITHTAGS
  tskv cli                                    # a prompt
  echo 'GET room:1' | tskv cli                # one command per line`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCLI(f, args, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.addr, "addr", "127.0.0.1:7379", "host:port of the server")
	flags.StringVar(&f.socket, "socket", "", "unix socket of the server, instead of --addr")
	flags.StringVar(&f.password, "password", os.Getenv("TSKV_PASSWORD"), "password; better given in the environment as TSKV_PASSWORD")
	flags.BoolVar(&f.raw, "raw", false, "print values as they are, without quotes and numbering")
	return cmd
}

// errReply says that the server answered with an error, which was printed.
var errReply = errors.New("the server answered with an error")

// shell is a connection and where its replies are printed.
type shell struct {
	conn   net.Conn
	in     *resp.Reader
	out    *bufio.Writer
	pretty bool
}

func runCLI(f *cliFlags, args []string, in io.Reader, out io.Writer) error {
	network, addr := "tcp", f.addr
	if f.socket != "" {
		network, addr = "unix", f.socket
	}
	conn, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return fmt.Errorf("connect: %w (is the server running? tskv serve)", err)
	}
	defer func() { _ = conn.Close() }()
	s := &shell{conn: conn, in: resp.NewReader(bufio.NewReader(conn), resp.DefaultReplyLimits()), out: bufio.NewWriter(out), pretty: !f.raw}
	if f.password != "" {
		if err := s.authenticate(f.password); err != nil {
			return err
		}
	}
	if len(args) > 0 {
		return s.run(args)
	}
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return s.prompt(file, addr)
	}
	return s.lines(in)
}

func (s *shell) authenticate(password string) error {
	if err := s.send([]string{"AUTH", password}); err != nil {
		return err
	}
	reply, err := s.in.Read()
	if err == nil && reply.IsError() {
		err = errors.New(string(reply.Text))
	}
	return err
}

func (s *shell) send(args []string) error {
	var w resp.Writer
	w.ArrayHeader(len(args))
	for _, arg := range args {
		w.BulkString(arg)
	}
	_, err := s.conn.Write(w.Bytes())
	return err
}

// run sends one command and prints its reply as it arrives.
func (s *shell) run(args []string) error {
	if err := s.send(args); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	failed, err := s.printReply()
	if ferr := s.out.Flush(); err == nil {
		err = ferr
	}
	if err == nil && failed {
		err = errReply
	}
	return err
}

// lines runs one command per line of a pipe or file.
func (s *shell) lines(in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 64<<20)
	var failed bool
	for scanner.Scan() {
		err := s.line(scanner.Text())
		if errors.Is(err, errReply) {
			failed = true
			continue
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return errReply
	}
	return scanner.Err()
}

// line runs one line; an empty one does nothing.
func (s *shell) line(text string) error {
	args, err := resp.SplitArgs([]byte(text))
	if err != nil {
		_, _ = fmt.Fprintln(s.out, "(error)", err)
		return errors.Join(errReply, s.out.Flush())
	}
	if len(args) == 0 {
		return nil
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = string(a)
	}
	return s.run(words)
}

// prompt is the interactive form, with line editing and history.
func (s *shell) prompt(tty *os.File, addr string) error {
	state, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return fmt.Errorf("open prompt: %w", err)
	}
	defer func() { _ = term.Restore(int(tty.Fd()), state) }()
	t := term.NewTerminal(tty, addr+"> ")
	s.out = bufio.NewWriter(t)
	for {
		text, err := t.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch word := strings.ToLower(strings.TrimSpace(text)); word {
		case "exit", "quit":
			return nil
		}
		if err := s.line(text); err != nil && !errors.Is(err, errReply) {
			return err
		}
	}
}
