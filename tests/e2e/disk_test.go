package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tskv/tests/harness"
)

// disks are the small file systems that a server fills.
func disks() map[string]func(t *testing.T, size int64) string {
	return map[string]func(t *testing.T, size int64) string{
		"tmpfs": func(t *testing.T, size int64) string { return harness.Tmpfs(t, size) },
		"ext4":  func(t *testing.T, size int64) string { return harness.NewLoop(t, "", size).Dir },
	}
}

const (
	diskBytes = 320 << 20
	bigBytes  = 200 << 10
)

// smallStore are flags for a store on a small disk.
func smallStore() []string {
	return []string{"--memtable-bytes", "4194304", "--min-free-bytes", "8388608"}
}

// big is a value that no codec makes smaller.
func big(n int) string {
	b := make([]byte, bigBytes)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b) // never fails
	return string(b)
}

// TestFullDisk is goal G9 with a real file system: a write fails within a second,
// reads go on, deletes make room, writes resume by themselves within five seconds,
// and a server that was killed starts without a free byte.
func TestFullDisk(t *testing.T) {
	for name, disk := range disks() {
		t.Run(name, func(t *testing.T) {
			top := disk(t, diskBytes)
			dir := filepath.Join(top, "data")
			s := harness.Start(t, harness.Binary(t), dir, smallStore()...)
			c := s.Dial(t)
			defer c.Close()
			c.Must(t, "PUT", "small", "1", "one")
			acked := fillDisk(t, s, c)
			checkRefused(t, s, "disk_full")
			if all := numbers(t, s); all["tskv_reserve_bytes"] == 0 || all["tskv_reserve_spent_total"] != 0 {
				t.Errorf("writing has used up the reserve: %v bytes are left, %v times it was spent",
					all["tskv_reserve_bytes"], all["tskv_reserve_spent_total"])
			}

			filler := takeAll(t, top)
			deleteMakesRoom(t, s, c, acked)
			wantBig(t, c, acked/2)
			_ = os.Remove(filler)
			accepts(t, c, 1)

			filler = takeAll(t, top)
			s.Kill()
			grow(t, filler)
			s = harness.Start(t, harness.Binary(t), dir, smallStore()...)
			again := s.Dial(t)
			defer again.Close()
			wantBig(t, again, acked/2)
			want(t, again, "one", "GET", "small")
			checkRefused(t, s, "")
			_ = os.Remove(filler)
			accepts(t, again, 2)
			s = startWithNothing(t, s, again, top)
			if took, err := s.Stop(); err != nil || took > 5*time.Second {
				t.Errorf("stop: %v after %v\n%s", err, took, s.Log())
			}
		})
	}
}

// startWithNothing kills a server and starts it with no byte free and nothing that
// could be given back: it serves what it replayed from memory until there is room.
func startWithNothing(t *testing.T, s *harness.Server, c *harness.Conn, top string) *harness.Server {
	t.Helper()
	c.Must(t, "SAVE")
	quiet(t, s)
	for i := range 5 {
		c.Must(t, "PUT", "last", fmt.Sprint(i), big(i))
	}
	s.Kill()
	spares, err := filepath.Glob(filepath.Join(s.Dir, "wal", "*.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(spares, filepath.Join(s.Dir, "RESERVE")) {
		_ = os.Remove(name) // it may not be there
	}
	filler := takeAll(t, top)
	s = harness.Start(t, harness.Binary(t), s.Dir, smallStore()...)
	again := s.Dial(t)
	defer again.Close()
	checkRefused(t, s, "recovery")
	for i := range 5 {
		want(t, again, big(i), "GET", "last", "AT", fmt.Sprint(i))
	}
	for _, args := range [][]string{{"PUT", "k", "1", "v"}, {"DEL", "last"}, {"FLUSHALL"}, {"SAVE"}} {
		if reply, err := again.Do(args...); err != nil || !strings.HasPrefix(string(reply.Text), "READONLY ") || !strings.Contains(string(reply.Text), "disk is full") {
			t.Errorf("%q: %s %v", args, harness.Text(reply), err)
		}
	}
	_ = os.Remove(filler)
	accepts(t, again, 3)
	want(t, again, "5", "COUNT", "last")
	return s
}

// quiet waits until no merge runs, whose files would be room for the next start.
func quiet(t *testing.T, s *harness.Server) {
	t.Helper()
	for calm := 0; calm < 5; {
		begin, before := time.Now(), numbers(t, s)["tskv_compactions_total"]
		eventually(t, 5*time.Second, "a moment", func() bool { return time.Since(begin) > 100*time.Millisecond })
		tables, err := filepath.Glob(filepath.Join(s.Dir, "sst", "*"))
		if after := numbers(t, s); err == nil && len(tables) == int(after["tskv_files"]) && after["tskv_compactions_total"] == before {
			calm++
		} else {
			calm = 0
		}
	}
}

// fillDisk writes two keys in turn until the server refuses, in time, and checks
// that others are served meanwhile.
func fillDisk(t *testing.T, s *harness.Server, c *harness.Conn) (acked int) {
	t.Helper()
	reader, pinger := watch(connect(t, s), "GET", "small"), watch(connect(t, s), "PING")
	refusal := ""
	var slowest, last time.Duration
	for refusal == "" && acked < 4*diskBytes/bigBytes {
		begin := time.Now()
		reply, err := c.Do("PUT", []string{"goes", "stays"}[acked%2], fmt.Sprint(acked), big(acked))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Log())
		}
		last = time.Since(begin)
		slowest = max(slowest, last)
		if reply.IsError() {
			refusal = string(reply.Text)
			break
		}
		acked++
	}
	t.Logf("%d values of %d bytes; slowest answer %v; reads p99 %v, PING p99 %v; then: %s", acked, bigBytes, slowest,
		reader.finish(t, 5*calm), pinger.finish(t, 5*calm), refusal)
	if !strings.HasPrefix(refusal, "READONLY ") || !strings.Contains(refusal, "disk is full") || last > time.Second {
		t.Errorf("%q after %v", refusal, last)
	}
	return acked
}

// checkRefused wants the state and its reason at every place that tells of it; ""
// for any reason, or none.
func checkRefused(t *testing.T, s *harness.Server, reason string) {
	t.Helper()
	code, body, err := page(s, "/readyz")
	all := numbers(t, s)
	if reason == "" {
		t.Logf("readyz %d %q, reserve %v", code, body, all["tskv_reserve_bytes"])
		return
	}
	if err != nil || code != 503 || !strings.Contains(body, "disk is full") {
		t.Errorf("readyz: %d %q %v", code, body, err)
	}
	if all["tskv_read_only"] != 1 || all[`tskv_read_only_reason{reason="`+reason+`"}`] != 1 {
		t.Errorf("metrics: read_only %v, reason %v", all["tskv_read_only"], all[`tskv_read_only_reason{reason="`+reason+`"}`])
	}
	info := harness.Text(connect(t, s).Must(t, "INFO", "storage"))
	if !strings.Contains(info, "read_only:1\r\n") || !strings.Contains(info, "read_only_cause:"+reason) || !strings.Contains(info, "disk is full") {
		t.Errorf("INFO: %s", info)
	}
}

// takeAll writes a file until the disk has not a byte left.
func takeAll(t *testing.T, dir string) (name string) {
	t.Helper()
	name = filepath.Join(dir, "filler")
	grow(t, name)
	return name
}

func grow(t *testing.T, name string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for more := 1; more > 0; { // a file system may find blocks once it has synced
		more = 0
		block := bytes.Repeat([]byte{1}, 1<<20)
		for err = nil; err == nil; {
			n := 0
			if n, err = file.Write(block); err != nil && len(block) > 1 {
				block, err = block[:len(block)/2], nil
			}
			more += n
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		_ = file.Sync() // whether all of it is there does not matter
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// deleteMakesRoom deletes half of the data on a disk without a free byte.
func deleteMakesRoom(t *testing.T, s *harness.Server, c *harness.Conn, acked int) {
	t.Helper()
	begin := time.Now()
	eventually(t, 5*time.Second, "the delete is taken", func() bool {
		reply, err := c.Do("DEL", "goes")
		return err == nil && !reply.IsError()
	})
	defer func() {
		if t.Failed() {
			t.Log(s.Log())
		}
	}()
	eventually(t, 30*time.Second, "writes are taken after the delete", func() bool {
		reply, err := c.Do("PUT", "small", "3", "three")
		return err == nil && !reply.IsError()
	})
	t.Logf("writes resumed %v after DEL of %d MB", time.Since(begin), acked/2*bigBytes>>20)
	c.Must(t, "DELRANGE", "small", "3", "3")
}

// accepts wants a write to be taken within five seconds.
func accepts(t *testing.T, c *harness.Conn, n int) {
	t.Helper()
	begin := time.Now()
	eventually(t, 5*time.Second, "writes resume", func() bool {
		reply, err := c.Do("PUT", "resumed", fmt.Sprint(n), "v")
		return err == nil && !reply.IsError()
	})
	t.Logf("writes resumed after %v", time.Since(begin))
}

// wantBig compares all values of the key that stays.
func wantBig(t *testing.T, c *harness.Conn, n int) {
	t.Helper()
	for i := range n {
		want(t, c, big(2*i+1), "GET", "stays", "AT", fmt.Sprint(2*i+1))
		if t.Failed() {
			t.Fatalf("value %d of %d", i, n)
		}
	}
}
