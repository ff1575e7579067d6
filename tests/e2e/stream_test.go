package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"tskv/tests/harness"
)

// TestLongReply scans a long key while another client writes to it: the count in
// the header is the count of elements, every record is the right one, the
// server's memory stays bounded and others are served.
func TestLongReply(t *testing.T) {
	rows := setting("TSKV_ROWS", 500_000)
	if testing.Short() {
		rows = min(rows, 100_000)
	}
	s, c := start(t, "--sync", "os", "--memtable-bytes", "8388608")
	begin := time.Now()
	fill(t, c, "long", rows, 0)
	t.Logf("%d rows written in %v", rows, time.Since(begin))
	c.Must(t, "SAVE")
	want(t, c, fmt.Sprint(rows), "COUNT", "long")
	before, anon := rss(t, s), status(t, s.Pid(), "RssAnon")

	done := make(chan struct{})
	added := make(chan int, 1)
	go func() { added <- appendMore(s, "long", done) }()
	p := watch(connect(t, s), "PING")
	peak := make(chan int, 1)
	go func() { peak <- watchRSS(t, s, done) }()
	begin = time.Now()
	for round := range 2 {
		n, err := readScan(connect(t, s), "long", rows)
		if err != nil {
			t.Errorf("scan %d: %v", round, err)
		}
		if n < rows {
			t.Errorf("scan %d: %d of %d rows", round, n, rows)
		}
	}
	rate := 2 * float64(rows) / time.Since(begin).Seconds()
	close(done)
	p99 := p.finish(t, calm)
	grown := <-peak - before
	t.Logf("%.0f rows/s checked one by one; RSS grew by %d kB of %d (%d anonymous); p99 of the other client %v; %d records added meanwhile", rate, grown, before, status(t, s.Pid(), "RssAnon")-anon, p99, <-added)
	if grown > 64<<10 {
		t.Errorf("RSS grew by %d kB", grown)
	}
	drain(t, s, rows)
}

// drain measures the rate with a client that only counts.
func drain(t *testing.T, s *harness.Server, rows int) {
	t.Helper()
	c := connect(t, s)
	begin := time.Now()
	c.Queue("SCAN", "long", "-", fmt.Sprint(rows))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	buf, stars, size := make([]byte, 256<<10), 0, 0
	for stars < rows+2 { // no value has a star
		n, err := c.Conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		stars += bytes.Count(buf[:n], []byte{'*'})
		size += n
	}
	took := time.Since(begin).Seconds()
	t.Logf("%.0f rows/s, %.0f MB/s to a client that counts", float64(rows)/took, float64(size)/took/1e6)
}

// appendMore adds records behind the others until done, and returns how many.
func appendMore(s *harness.Server, key string, done chan struct{}) int {
	c, err := harness.Connect(s.Addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	for n := 0; ; n++ {
		select {
		case <-done:
			return n
		default:
		}
		if reply, err := c.Do("PUT", key, "*", "new"); err != nil || reply.IsError() {
			return n
		}
	}
}

// watchRSS returns the highest RSS until done.
func watchRSS(t *testing.T, s *harness.Server, done chan struct{}) int {
	highest := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		highest = max(highest, rss(t, s))
		select {
		case <-done:
			return highest
		case <-tick.C:
		}
	}
}

// readScan reads SCAN key - + and checks each record: value(i, 0) at i+1 for the
// first rows, and "new" for those that came later. It returns the count.
func readScan(c *harness.Conn, key string, rows int) (int, error) {
	c.Queue("SCAN", key, "-", "+")
	if err := c.Flush(); err != nil {
		return 0, err
	}
	r := lines{bufio.NewReaderSize(c.Conn, 256<<10)}
	if err := r.expect("*2", "$1", "0"); err != nil {
		return 0, err
	}
	head, err := r.next()
	if err != nil || head[0] != '*' {
		return 0, fmt.Errorf("header %q: %w", head, err)
	}
	n, err := strconv.Atoi(string(head[1:]))
	if err != nil {
		return 0, err
	}
	var expected []byte
	for i := range n {
		id, text, err := r.record()
		if err != nil {
			return n, fmt.Errorf("record %d of %d: %w", i, n, err)
		}
		expected = strconv.AppendInt(expected[:0], int64(i), 10)
		if i >= rows {
			expected = append(expected[:0], "new"...)
		} else if at, ok := bytes.CutSuffix(id, []byte("-0")); !ok || string(at) != strconv.Itoa(i+1) {
			return n, fmt.Errorf("record %d has the ID %s", i, id)
		}
		if !bytes.Equal(text, expected) {
			return n, fmt.Errorf("record %d is %q", i, text)
		}
	}
	c.Queue("ECHO", "end") // nothing may come after the last element
	if err := c.Flush(); err != nil {
		return n, err
	}
	return n, r.expect("$3", "end")
}

// lines reads replies whose strings have no line ends in them.
type lines struct{ *bufio.Reader }

func (l lines) next() ([]byte, error) {
	line, err := l.ReadSlice('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if len(line) < 3 {
		return []byte{' '}, errors.Join(err, fmt.Errorf("line %q", line))
	}
	return line[:len(line)-2], err
}

func (l lines) expect(texts ...string) error {
	for _, text := range texts {
		if line, err := l.next(); err != nil || string(line) != text {
			return fmt.Errorf("received %q, want %q: %w", line, text, err)
		}
	}
	return nil
}

// record reads one [id, value]; the ID is valid until the next reading.
func (l lines) record() (id, text []byte, err error) {
	var copied [48]byte
	for i := range 5 {
		line, err := l.next()
		if err != nil {
			return nil, nil, err
		}
		switch i {
		case 0:
			if string(line) != "*2" {
				return nil, nil, fmt.Errorf("received %q for a record", line)
			}
		case 2:
			id = append(copied[:0], line...)
		case 4:
			text = line
		}
	}
	return id, text, nil
}
