package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tskv/tests/harness"
)

const backupWriters = 6

// historians are writers whose records say what they know of each other: record n
// of a writer holds n and, for each writer, how many records were acknowledged
// when it was sent. So from any state of the store it can be told whether it is a
// prefix of what happened.
type historians struct {
	acked [backupWriters]atomic.Int64
	stop  atomic.Bool
	wait  sync.WaitGroup
}

func startHistorians(t *testing.T, addr string) *historians {
	t.Helper()
	h := &historians{}
	for w := range backupWriters {
		c, err := harness.Connect(addr)
		if err != nil {
			t.Fatal(err)
		}
		h.wait.Go(func() { // ends with stop, or with the server
			defer c.Close()
			pad := strings.Repeat("x", 200)
			for n := 1; !h.stop.Load(); n++ {
				var known []string
				for i := range h.acked {
					known = append(known, strconv.FormatInt(h.acked[i].Load(), 10))
				}
				value := strings.Join(known, ",") + " " + pad
				r, err := c.Do("MPUT", fmt.Sprint("h:", w), fmt.Sprint(n), value, fmt.Sprint("twin:", w), fmt.Sprint(n), "1")
				if err != nil || r.IsError() {
					return
				}
				h.acked[w].Store(int64(n))
			}
		})
	}
	return h
}

func (h *historians) counts() (all [backupWriters]int64) {
	for i := range h.acked {
		all[i] = h.acked[i].Load()
	}
	return all
}

// check wants a store to hold a prefix of the history that has at least the given
// records, and returns how many records it has.
func checkPrefix(t *testing.T, c *harness.Conn, least [backupWriters]int64) (total int64) {
	t.Helper()
	var have [backupWriters]int64
	for w := range backupWriters {
		have[w] = c.Must(t, "COUNT", fmt.Sprint("h:", w)).Int
		total += have[w]
		if twins := c.Must(t, "COUNT", fmt.Sprint("twin:", w)).Int; twins != have[w] {
			t.Errorf("writer %d: %d records and %d twins", w, have[w], twins)
		}
		if have[w] < least[w] {
			t.Errorf("writer %d: %d records, %d were acknowledged before", w, have[w], least[w])
		}
	}
	for w := range backupWriters {
		if have[w] == 0 {
			continue
		}
		r := c.Must(t, "GETREC", fmt.Sprint("h:", w))
		if id := string(r.Elems[0].Text); id != fmt.Sprint(have[w], "-0") {
			t.Errorf("writer %d: %d records, the last one is %s: there is a gap", w, have[w], id)
		}
		known, _, _ := strings.Cut(string(r.Elems[1].Text), " ")
		for other, text := range strings.Split(known, ",") {
			if n, err := strconv.ParseInt(text, 10, 64); err != nil || n > have[other] {
				t.Errorf("writer %d knew of %s records of writer %d, of which %d are there", w, text, other, have[other])
			}
		}
	}
	return total
}

// tool runs tskv with arguments that must succeed, and returns what it prints.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, errOut, code := run(t, "", nil, harness.Binary(t), args...)
	if code != 0 {
		t.Fatalf("tskv %v: code %d\n%s%s", args, code, out, errOut)
	}
	return out
}

// made is what tskv backup --json prints.
type made struct {
	ID           string `json:"id"`
	Position     uint64 `json:"position"`
	Tables       int    `json:"tables"`
	CopiedTables int    `json:"copied_tables"`
	Segments     int    `json:"copied_segments"`
}

func backUp(t *testing.T, s *harness.Server, repo string) made {
	t.Helper()
	var m made
	out := tool(t, "backup", "--addr", s.Addr, "--to", repo, "--json")
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return m
}

// TestBackup is goal G20: backups while writers go on hold the state at one
// position each; restored, also to positions in between, they are prefixes of what
// was written.
func TestBackup(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 20))
	s, c := start(t, "--memtable-bytes", "262144", "--archive-bytes", "1000000000")
	repo := filepath.Join(t.TempDir(), "repo")
	h := startHistorians(t, s.Addr)
	var backups []made
	var before [][backupWriters]int64
	for range setting("TSKV_BACKUPS", 3) {
		eventually(t, 20*time.Second, "writes go on", func() bool {
			return len(before) == 0 && h.counts()[0] > 200 || len(before) > 0 && h.counts()[0] > before[len(before)-1][0]+200
		})
		before = append(before, h.counts())
		backups = append(backups, backUp(t, s, repo))
	}
	h.stop.Store(true)
	h.wait.Wait()
	for i, b := range backups {
		if i > 0 && (b.Position <= backups[i-1].Position || b.Segments == 0) {
			t.Errorf("backup %d: %+v after %+v", i, b, backups[i-1])
		}
		restoreAndCheck(t, before[i], "--from", repo, "--backup", b.ID)
	}
	for i := 1; i < len(backups); i++ {
		from, span := backups[i-1].Position, backups[i].Position-backups[i-1].Position
		last := int64(0)
		for _, to := range []uint64{from + 1, from + 1 + rng.Uint64N(span), backups[i].Position - 1} {
			n := restoreAndCheck(t, before[i-1], "--from", repo, "--to", fmt.Sprint(to))
			if n < last {
				t.Errorf("position %d has %d records, an earlier one %d", to, n, last)
			}
			last = n
		}
	}
	checkPrefix(t, c, h.counts())
	if left, _ := os.ReadDir(filepath.Join(s.Dir, "checkpoints")); len(left) != 0 {
		t.Errorf("checkpoints are left: %v", left)
	}
	if left, _ := os.ReadDir(filepath.Join(s.Dir, "archive")); len(left) > 20 {
		t.Errorf("%d segments are left in the archive", len(left))
	}
	tool(t, "backup", "verify", repo)
	tool(t, "backup", "prune", repo, "--keep", "1")
	restoreAndCheck(t, before[len(before)-1], "--from", repo)
}

// restoreAndCheck restores into a new directory, runs a server on it and checks
// what it holds.
func restoreAndCheck(t *testing.T, least [backupWriters]int64, flags ...string) (records int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	tool(t, append([]string{"restore", "--dir", dir}, flags...)...)
	s := harness.Start(t, harness.Binary(t), dir, smallDisk)
	c := s.Dial(t)
	defer c.Close()
	records = checkPrefix(t, c, least)
	want(t, c, "1-0", "PUT", "after", "1", "it goes on")
	if _, err := s.Stop(); err != nil {
		t.Errorf("%v\n%s", err, s.Log())
	}
	if t.Failed() {
		t.Fatalf("restore %v\n%s", flags, s.Log())
	}
	return records
}

// TestBackupOffline backs up the directory of a killed server.
func TestBackupOffline(t *testing.T) {
	s, _ := start(t, "--memtable-bytes", "262144", "--archive-bytes", "1000000000")
	repo := filepath.Join(t.TempDir(), "repo")
	h := startHistorians(t, s.Addr)
	eventually(t, 20*time.Second, "writes go on", func() bool { return h.counts()[0] > 300 })
	if _, errOut, code := run(t, "", nil, harness.Binary(t), "backup", "--dir", s.Dir, "--to", repo); code == 0 || !strings.Contains(errOut, "--addr") {
		t.Errorf("of a directory that a server has open: code %d, %s", code, errOut)
	}
	s.Kill()
	h.wait.Wait()
	tool(t, "backup", "--dir", s.Dir, "--to", repo)
	restoreAndCheck(t, h.counts(), "--from", repo)
	for _, dir := range []string{s.Dir, repo} {
		if _, errOut, code := run(t, "", nil, harness.Binary(t), "restore", "--from", repo, "--dir", dir); code == 0 || !strings.Contains(errOut, "not empty") {
			t.Errorf("restore into %s: code %d, %s", dir, code, errOut)
		}
	}
}

// killAfter runs tskv and kills it with SIGKILL after a time, if it has not ended.
func killAfter(t *testing.T, life time.Duration, args ...string) (killed bool) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	return !timer.Stop() && err != nil
}

// noise fills a store with values that no codec makes smaller.
func noise(t *testing.T, c *harness.Conn, rng *rand.Rand, records int) {
	t.Helper()
	value := make([]byte, 1000)
	for i := range records {
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		c.Queue("PUT", fmt.Sprint("noise:", i%7), fmt.Sprint(1_700_000_000_000+int64(i)*3_600_000), string(value))
		if i%100 == 99 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if r, err := c.Read(); err != nil || r.IsError() {
					t.Fatal(err, string(r.Text))
				}
			}
		}
	}
}

// TestBackupKilled kills the tool with SIGKILL in the middle of backups and
// restores, and the server in the middle of backups: the repository stays whole, no
// half of a backup is listed, and the next run completes and tidies up.
func TestBackupKilled(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 21))
	dir, repo, target := t.TempDir(), filepath.Join(t.TempDir(), "repo"), filepath.Join(t.TempDir(), "new")
	flags := []string{"--memtable-bytes", "1000000", "--archive-bytes", "1000000000"}
	s, c := startOn(t, dir, flags...)
	noise(t, c, rng, 8000)
	begin := time.Now()
	backUp(t, s, filepath.Join(t.TempDir(), "measure"))
	life := time.Since(begin)
	kills := 0
	for range setting("TSKV_BACKUP_KILLS", 6) {
		if err := os.RemoveAll(repo); err != nil {
			t.Fatal(err)
		}
		if killAfter(t, time.Duration(rng.Int64N(int64(life))), "backup", "--addr", s.Addr, "--to", repo) {
			kills++
		}
		if _, err := os.Stat(filepath.Join(repo, "REPOSITORY")); err == nil {
			tool(t, "backup", "verify", repo) // what is listed is whole
		}
		noise(t, c, rng, 100)
		backUp(t, s, repo)
		tool(t, "backup", "verify", repo)
		if left, _ := os.ReadDir(filepath.Join(dir, "checkpoints")); len(left) != 0 {
			t.Errorf("checkpoints are left: %v", left)
		}
		if killAfter(t, time.Duration(rng.Int64N(int64(life))), "restore", "--from", repo, "--dir", target) {
			kills++
			if _, err := os.Stat(target); err == nil {
				tool(t, "backup", "--dir", target, "--to", filepath.Join(t.TempDir(), "whole"))
			}
		}
		if err := os.RemoveAll(target); err != nil {
			t.Fatal(err)
		}
		tool(t, "restore", "--from", repo, "--dir", target)
		if err := os.RemoveAll(target); err != nil {
			t.Fatal(err)
		}
	}
	for range setting("TSKV_BACKUP_KILLS", 6) / 2 {
		if err := os.RemoveAll(repo); err != nil {
			t.Fatal(err)
		}
		victim := s
		timer := time.AfterFunc(time.Duration(rng.Int64N(int64(life))), victim.Kill)
		_, _, code := run(t, "", nil, harness.Binary(t), "backup", "--addr", s.Addr, "--to", repo)
		timer.Stop()
		victim.Kill()
		if code != 0 {
			kills++
		}
		s, _ = startOn(t, dir, flags...)
		backUp(t, s, repo)
		tool(t, "backup", "verify", repo)
	}
	if kills == 0 {
		t.Fatal("void: nothing was killed in time")
	}
	t.Logf("%d killed, a backup takes %v", kills, life)
}

// TestBackupDamage: a flipped bit in a repository is found, and what it belongs to is
// not restored.
func TestBackupDamage(t *testing.T) {
	s, c := start(t)
	repo := filepath.Join(t.TempDir(), "repo")
	c.Must(t, "PUT", "k", "1", "v")
	backUp(t, s, repo)
	tables, err := filepath.Glob(filepath.Join(repo, "sst", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(tables[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := run(t, "", nil, harness.Binary(t), "backup", "verify", repo); code != 1 || !strings.Contains(out, filepath.Base(tables[0])) {
		t.Errorf("verify: code %d, %s", code, out)
	}
	target := filepath.Join(t.TempDir(), "new")
	if _, errOut, code := run(t, "", nil, harness.Binary(t), "restore", "--from", repo, "--dir", target); code != 1 || !strings.Contains(errOut, "corrupt") {
		t.Errorf("restore: code %d, %s", code, errOut)
	}
	if left, _ := filepath.Glob(target + "*"); len(left) != 0 {
		t.Errorf("left by a failed restore: %q", left)
	}
}
