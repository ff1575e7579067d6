package main

import (
	"bufio"
	"cmp"
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
			f.password = cmp.Or(f.password, os.Getenv(passwordVariable))
			return runCLI(f, args, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.addr, "addr", "127.0.0.1:7379", "host:port of the server")
	flags.StringVar(&f.socket, "socket", "", "unix socket of the server, instead of --addr")
	flags.StringVar(&f.password, "password", "", "password; better given in the environment as "+passwordVariable)
	flags.BoolVar(&f.raw, "raw", false, "print values as they are, without quotes and numbering")
	return cmd
}

// errReply says that the server answered with an error, which was printed.
var errReply = errors.New("the server answered with an error")

// shell is a connection and where its replies are printed.
type shell struct {
	flags  *cliFlags
	conn   net.Conn // nil after a failure
	in     *resp.Reader
	out    *bufio.Writer
	pretty bool
}

func runCLI(f *cliFlags, args []string, in io.Reader, out io.Writer) error {
	s := &shell{flags: f, out: bufio.NewWriter(out), pretty: !f.raw}
	if err := s.connect(); err != nil {
		return err
	}
	defer s.disconnect()
	if len(args) > 0 {
		return s.run(args)
	}
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return s.prompt(file)
	}
	return s.lines(in)
}

func (s *shell) connect() error {
	network, addr := "tcp", s.flags.addr
	if s.flags.socket != "" {
		network, addr = "unix", s.flags.socket
	}
	conn, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return fmt.Errorf("connect: %w (is the server running? tskv serve)", err)
	}
	s.conn, s.in = conn, resp.NewReader(bufio.NewReader(conn), resp.DefaultReplyLimits())
	if s.flags.password == "" {
		return nil
	}
	if err := s.authenticate(s.flags.password); err != nil {
		s.disconnect()
		return err
	}
	return nil
}

func (s *shell) disconnect() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is pending
		s.conn = nil
	}
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
	if errors.Is(err, io.EOF) && strings.EqualFold(args[0], "shutdown") {
		return nil // the server is gone, which was asked for
	}
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
		_, _ = fmt.Fprintln(s.out, "(error) unbalanced quotes")
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

// prompt is the interactive form, with line editing and history. The terminal is
// raw only while a line is typed, so that Ctrl-C ends a long reply.
func (s *shell) prompt(tty *os.File) error {
	fd := int(tty.Fd())
	t := term.NewTerminal(tty, cmp.Or(s.flags.socket, s.flags.addr)+"> ")
	s.out = bufio.NewWriter(tty)
	for {
		text, err := readLine(t, fd)
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
		if err := s.submit(text); err != nil && !errors.Is(err, errReply) {
			_, _ = fmt.Fprintln(tty, "(error)", err)
			s.disconnect()
		}
	}
}

// submit is line on a new connection, if the last one failed.
func (s *shell) submit(text string) error {
	if s.conn == nil {
		if err := s.connect(); err != nil {
			return err
		}
	}
	return s.line(text)
}

func readLine(t *term.Terminal, fd int) (string, error) {
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("open prompt: %w", err)
	}
	defer func() { _ = term.Restore(fd, state) }()
	if width, height, err := term.GetSize(fd); err == nil && width > 0 && height > 0 {
		if err := t.SetSize(width, height); err != nil {
			return "", fmt.Errorf("open prompt: %w", err)
		}
	}
	return t.ReadLine()
}
