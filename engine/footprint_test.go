package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"tskv/kv"
)

// amount returns the number in an environment variable, by which the long
// measurements below are asked for; without it they are skipped.
func amount(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil || n <= 0 {
		t.Skip("set " + name + " to a number to measure")
	}
	return n
}

// resident returns the process's memory in bytes, now and at most.
func resident(t *testing.T) (now, most int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status: ", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d", &kib); n == 1 {
			now = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d", &kib); n == 1 {
			most = kib << 10
		}
	}
	return now, most
}

func diskBytes(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				total += info.Size()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// openWithin opens a store on the real disk under a budget that the Go runtime is
// told, too, as tskv serve does.
func openWithin(t *testing.T, memory int64) (*DB, string) {
	t.Helper()
	dir := t.TempDir()
	debug.SetMemoryLimit(memory / 100 * 85)
	db, err := Open(dir, Options{Sync: SyncOS, Memory: memory, MinFreeBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, dir
}

func mustApply(t *testing.T, db *DB, b *Batch) {
	t.Helper()
	err := db.Apply(b)
	for i := range b.Ops {
		err = errors.Join(err, b.Ops[i].Err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
}

// TestManyKeys puts TSKV_MANY_KEYS keys of 24 bytes with 3 records each, under a
// budget of 4 GiB, and then reads at random. It reports what they cost.
func TestManyKeys(t *testing.T) {
	keys := amount(t, "TSKV_MANY_KEYS")
	db, dir := openWithin(t, 4<<30)
	start := time.Now()
	key := func(i int) []byte { return fmt.Appendf(nil, "sensor:%017d", i*7919%keys) }
	var b Batch
	for round := range 3 {
		for i := range keys {
			b.Put(key(i), kv.ID{Time: uint64(1_700_000_000_000 + round*60_000 + i%1000)}, fmt.Appendf(nil, "%d.%02d", 20+i%7, i%100))
			if len(b.Ops) == 4096 || i == keys-1 {
				mustApply(t, db, &b)
			}
		}
		now, most := resident(t)
		t.Logf("round %d: %.0f s, RSS %d MB, at most %d MB, %+v", round, time.Since(start).Seconds(), now>>20, most>>20, db.Stats())
	}
	seconds := time.Since(start).Seconds()
	if err := db.Compact(); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	now, most := resident(t)
	t.Logf("%d keys: %.0f keys/s, %.0f records/s; compacted after %.0f s; RSS %d MB, at most %d MB; %d bytes on disk a key; %+v",
		keys, float64(keys)/seconds, 3*float64(keys)/seconds, time.Since(start).Seconds(), now>>20, most>>20, diskBytes(t, dir)/int64(keys), db.Stats())
	if most > 4<<30 {
		t.Errorf("%d bytes of memory under a budget of 4 GiB", most)
	}
	if n := db.Keys(); n != uint64(keys) {
		t.Errorf("%d keys, want %d", n, keys)
	}
	readRandomly(t, db, key, keys, 3)
}

func readRandomly(t *testing.T, db *DB, key func(int) []byte, keys, rows int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	const gets = 200_000
	start := time.Now()
	var dst []byte
	for range gets {
		i := rng.IntN(keys)
		rec, ok, err := db.Get(key(i), kv.MaxID, dst[:0])
		if err != nil || !ok {
			t.Fatalf("get %s: %v %v", key(i), ok, err)
		}
		dst = rec.Value
	}
	now, most := resident(t)
	t.Logf("%d random reads of the newest of %d rows: %.1f us each; RSS %d MB, at most %d MB", gets, rows,
		float64(time.Since(start).Microseconds())/gets, now>>20, most>>20)
}

// TestRecoverySpeed writes a log of TSKV_LOG_MB megabytes, half of it events and half
// numbers, ends without a flush, and measures the next start.
func TestRecoverySpeed(t *testing.T) {
	total := int64(amount(t, "TSKV_LOG_MB")) * 1e6
	dir := t.TempDir()
	db, err := Open(dir, Options{Sync: SyncOS, MemtableBytes: 4 << 30, MinFreeBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	var b Batch
	for n := uint64(0); db.metrics.WALBytes.Value() < uint64(total); n++ {
		value := fmt.Appendf(nil, "%d.%02d", rng.IntN(100), rng.IntN(100))
		if n%12 == 0 {
			value = fmt.Appendf(nil, "{%x}", rng.Uint64())
		}
		b.Put(fmt.Appendf(nil, "series:%d", n%20_000), kv.ID{Time: 1_700_000_000_000 + n}, value)
		if len(b.Ops) == 1024 {
			mustApply(t, db, &b)
		}
	}
	rows := db.Stats().MemtableRows
	db.stop(0)
	db.abandon()
	start := time.Now()
	if db, err = Open(dir, Options{Sync: SyncOS}); err != nil {
		t.Fatal(err)
	}
	seconds := time.Since(start).Seconds()
	t.Logf("%d MB, %d rows in %.1f s: %.0f MB/s, %.1f M rows/s; %+v", total/1e6, rows, seconds, float64(total)/1e6/seconds, float64(rows)/1e6/seconds, db.Stats())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFootprint writes TSKV_WRITE_MB megabytes of events and numbers under a budget
// of 256 MiB, reads at random beside it and after it, and holds the process
// under 400 MB throughout.
func TestFootprint(t *testing.T) {
	total := int64(amount(t, "TSKV_WRITE_MB")) * 1e6
	db, dir := openWithin(t, 256<<20)
	const keys = 2000
	key := func(i int) []byte { return fmt.Appendf(nil, "topic:%d", i) }
	rng := rand.New(rand.NewPCG(5, 6))
	stop := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		rng := rand.New(rand.NewPCG(7, 8))
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			at := kv.ID{Time: 1_700_000_000_000 + rng.Uint64N(1<<24)}
			if _, _, err := db.Get(key(rng.IntN(keys)), at, nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	start := time.Now()
	var b Batch
	var written, peak int64
	for n := uint64(0); written < total; n++ {
		value := fmt.Appendf(nil, `{"level":"info","host":"web-%02d","path":"/api/items/%d","status":200,"took":%d.%03d,"user":"%08x","text":"message served from the cache of the front end"}`,
			rng.IntN(20), rng.IntN(1000), rng.IntN(500), rng.IntN(1000), rng.Uint32())
		if n%4 == 0 {
			value = fmt.Appendf(nil, "%d.%02d", rng.IntN(100), rng.IntN(100))
		}
		b.Put(key(int(n%keys)), kv.ID{Time: 1_700_000_000_000 + n}, value)
		written += int64(len(value)) + 20
		if len(b.Ops) == 1024 {
			mustApply(t, db, &b)
		}
		if n%(1<<20) == 0 {
			now, _ := resident(t)
			peak = max(peak, now)
		}
	}
	mustApply(t, db, &b)
	close(stop)
	<-read
	_, most := resident(t)
	seconds := time.Since(start).Seconds()
	t.Logf("%d MB in %.0f s, %.0f MB/s, %d MB on disk; RSS at most %d MB; %+v", written/1e6, seconds, float64(written)/1e6/seconds, diskBytes(t, dir)/1e6, most/1e6, db.Stats())
	readRandomly(t, db, key, keys, int(written/keys/200))
	for range 3 {
		for i := range keys {
			at := kv.ID{Time: 1_700_000_000_000 + rng.Uint64N(1<<24)}
			if _, _, err := db.Get(key(i), at, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, most = resident(t); most > 400e6 {
		t.Errorf("%d MB of memory, want at most 400", most/1e6)
	}
}
