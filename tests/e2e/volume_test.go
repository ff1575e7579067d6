package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tskv/tests/harness"
)

const (
	volumeKeys  = 1000
	volumeStart = 1_700_000_000_000 // ms
)

// TestVolume writes far more than the server's memory, and wants its RSS bounded
// throughout, no write that waits for a second, and every probed record back.
// TSKV_VOLUME is the megabytes to write: 5120 is the long run, with the default
// a run of a few seconds.
func TestVolume(t *testing.T) {
	megabytes, budget, limit := setting("TSKV_VOLUME", 0), "256MiB", 400<<10
	if megabytes == 0 {
		megabytes, budget, limit = 192, "64MiB", 208<<10
	}
	dir := t.TempDir()
	s, c := startOn(t, dir, "--memory", budget, "--sync", "interval")
	done, peak := make(chan struct{}), make(chan int, 1)
	go func() { peak <- watchRSS(t, s, done) }()

	f := &flood{c: connect(t, s)}
	r := rand.New(rand.NewPCG(seed(t), 1))
	begin, rows := time.Now(), 0
	for f.sent < int64(megabytes)<<20 {
		f.batch(t, floodBatch, func(_ int, dst []byte) (string, int64, []byte) {
			key, ms := fmt.Sprintf("events:%03d", rows%volumeKeys), int64(volumeStart+rows)
			rows++
			return key, ms, event(dst, r, ms)
		})
	}
	f.finish(t)
	took := time.Since(begin)
	written := f.sent
	t.Logf("%d events, %d MB of values in %v: %.0f events/s, %.0f MB/s; slowest command of %d: %v",
		rows, written>>20, took.Round(time.Millisecond), float64(rows)/took.Seconds(), float64(written)/1e6/took.Seconds(), floodBatch, f.slowest)
	if f.slowest > time.Second {
		t.Errorf("a write waited for %v\n%s", f.slowest, s.Log())
	}
	c.Must(t, "SAVE")
	probeVolume(t, s, c, rows, "warm")
	reportAmplification(t, s, written)
	close(done)
	highest := <-peak
	t.Logf("highest RSS %d kB with --memory %s", highest, budget)
	if highest > limit {
		t.Errorf("RSS of %d kB is over %d kB", highest, limit)
	}

	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	note := "cold"
	if err := dropCaches(); err != nil {
		note = fmt.Sprintf("after a restart, page cache not dropped (%v)", err)
	}
	s, c = startOn(t, dir, "--memory", budget)
	probeVolume(t, s, c, rows, note)
	if got := rss(t, s); got > limit {
		t.Errorf("RSS of %d kB after cold reads is over %d kB", got, limit)
	}
	want(t, c, fmt.Sprint((rows+volumeKeys-1)/volumeKeys), "COUNT", "events:000")
}

// dropCaches empties the page cache of the machine; it needs root.
func dropCaches() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// probeVolume reads random records by their ID and then whole keys.
func probeVolume(t *testing.T, s *harness.Server, c *harness.Conn, rows int, state string) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(rows), 2))
	probes := min(20_000, rows/10)
	begin := time.Now()
	p50, p99 := latencies(probes, func() {
		n := r.IntN(rows)
		ms := int64(volumeStart + n)
		got := c.Must(t, "GET", fmt.Sprintf("events:%03d", n%volumeKeys), "AT", strconv.FormatInt(ms, 10))
		if !strings.HasPrefix(string(got.Text), fmt.Sprintf(`{"ts":%d,`, ms)) {
			t.Fatalf("record %d: %.60q", n, got.Text)
		}
	})
	t.Logf("%s: GET AT p50 %v p99 %v, %.0f/s from one client", state, p50, p99, float64(probes)/time.Since(begin).Seconds())

	begin = time.Now()
	scanned, size := 0, 0
	for key := 0; key < volumeKeys && time.Since(begin) < 10*time.Second; key += 7 {
		n, bytes := scanAll(t, s, fmt.Sprintf("events:%03d", key))
		if want := (rows - key + volumeKeys - 1) / volumeKeys; n != want {
			t.Fatalf("key %d: %d rows, want %d", key, n, want)
		}
		scanned, size = scanned+n, size+bytes
	}
	took := time.Since(begin).Seconds()
	t.Logf("%s: SCAN %.0f rows/s, %.0f MB/s of reply", state, float64(scanned)/took, float64(size)/1e6/took)
}

// scanAll reads all records of a key whose values start with {"ts": and counts
// them.
func scanAll(t *testing.T, s *harness.Server, key string) (rows, size int) {
	t.Helper()
	c, err := harness.Connect(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Queue("SCAN", key, "-", "+")
	c.Queue("PING")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	mark, pong := []byte(`{"ts":`), []byte("PONG\r\n") // of one length
	buf := make([]byte, 256<<10)
	for kept := 0; ; {
		n, err := c.Conn.Read(buf[kept:])
		if err != nil {
			t.Fatal(err)
		}
		size += n
		text := buf[:kept+n]
		rows += bytes.Count(text, mark)
		if bytes.HasSuffix(text, pong) {
			return rows, size
		}
		// What may be the start of a mark or the end of the reply is kept, but
		// never a whole mark, which has been counted.
		kept = copy(buf, text[len(text)-min(len(text), len(mark)-1):])
	}
}

// reportAmplification compares what went to the disk with what the client sent.
func reportAmplification(t *testing.T, s *harness.Server, user int64) {
	t.Helper()
	c := connect(t, s)
	c.Must(t, "COMPACT")
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var disk int64
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "write_bytes:"); ok {
			disk, _ = strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	m := numbers(t, s)
	t.Logf("bytes to the disk per byte of value: %.2f by /proc, %.2f by tskv_write_amplification; %d files, %.0f MB, %.2fx smaller than the values",
		float64(disk)/float64(user), m["tskv_write_amplification"], int(m["tskv_files"]), m["tskv_file_bytes"]/1e6, float64(user)/m["tskv_file_bytes"])
}

// TestGrowth measures ingest and reads at growing sizes of the store. TSKV_GROWTH
// is the sizes in millions of records, as in 10,100,300: then rates must stay
// within 20 % of the first; a machine that does other things beside makes that a
// matter of luck, so it is not in the short run.
func TestGrowth(t *testing.T) {
	sizes := os.Getenv("TSKV_GROWTH")
	if sizes == "" {
		t.Skip("SKIPPED, NOTHING IS PROVED: set TSKV_GROWTH=10,100,300 (millions of records)")
	}
	s, c := start(t, "--sync", "interval", "--memory", "1GiB")
	f := &flood{c: connect(t, s)}
	r := rand.New(rand.NewPCG(seed(t), 3))
	rows := 0
	put := func(n int) float64 {
		begin := time.Now()
		for to := rows + n; rows < to; {
			f.batch(t, floodBatch, func(_ int, dst []byte) (string, int64, []byte) {
				n := rows
				rows++
				return growthKey(n), growthTime(n), growthValue(dst, n)
			})
		}
		f.finish(t)
		return float64(n) / time.Since(begin).Seconds()
	}
	var firstPut, firstGet float64
	for text := range strings.SplitSeq(sizes, ",") {
		millions, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		const sample = 9_000_000 // some seconds: merges come and go
		put(max(0, millions*1_000_000-rows-sample))
		rate := put(sample)
		c.Must(t, "COMPACT") // reads are compared on files alone
		const probes = 50_000
		begin := time.Now()
		p50, p99 := latencies(probes, func() {
			n := r.IntN(rows)
			if got := c.Must(t, "GET", growthKey(n), "AT", strconv.FormatInt(growthTime(n), 10)); string(got.Text) != string(growthValue(nil, n)) {
				t.Fatalf("record %d: %q", n, got.Text)
			}
		})
		gets := probes / time.Since(begin).Seconds()
		m := numbers(t, s)
		t.Logf("%d M records: %.2f M puts/s, %.0f gets/s (p50 %v, p99 %v), RSS %d MB, %d files, %.2f B/record",
			millions, rate/1e6, gets, p50, p99, rss(t, s)>>10, int(m["tskv_files"]), m["tskv_file_bytes"]/float64(rows))
		if firstPut == 0 {
			firstPut, firstGet = rate, gets
		}
		if rate < 0.8*firstPut || gets < 0.8*firstGet {
			t.Errorf("at %d M records: %.2f of the first ingest rate, %.2f of the first read rate", millions, rate/firstPut, gets/firstGet)
		}
	}
}

const growthKeys = 10_000

// Record n of TestGrowth: each key gets one every ten seconds, a random number of
// up to three digits with two decimals.
func growthKey(n int) string { return fmt.Sprintf("sensor:%05d", n%growthKeys) }

func growthTime(n int) int64 { return int64(volumeStart + n/growthKeys*10_000) }

func growthValue(dst []byte, n int) []byte {
	h := uint64(n) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	v := (h ^ h>>27) * 0x94d049bb133111eb >> 32 % 100_000
	dst = append(strconv.AppendUint(dst, v/100, 10), '.')
	return append(dst, byte('0'+v/10%10), byte('0'+v%10))
}
