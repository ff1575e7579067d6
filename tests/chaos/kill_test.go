package chaos

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tskv/tests/harness"
)

const (
	writers = 16
	readers = 4
	// leastAcks: a run with fewer acknowledged writes per kill proves nothing.
	leastAcks = 100
)

func setting(name string, value int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return value
}

// TestKill is goal G1: kill -9 at random moments, during recovery, flush and
// compaction too, in all sync modes; nothing acknowledged is lost, nothing is
// there in part, nothing appears that was never written.
func TestKill(t *testing.T) {
	kills := setting("TSKV_KILLS", 4)
	seed := uint64(setting("TSKV_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("seed %d, %d kills: TSKV_SEED=%d TSKV_KILLS=%d repeats the choices", seed, kills, seed, kills)
	rng := rand.New(rand.NewPCG(seed, 1))
	bin, dir := harness.Binary(t), t.TempDir()
	ledgers := make([]*ledger, writers)
	for i := range ledgers {
		ledgers[i] = &ledger{seed: seed, writer: i}
	}
	acks := 0
	for round := range kills {
		mode := []string{"always", "interval", "os"}[round%3]
		s := harness.Start(t, bin, dir, "--sync", mode, "--memtable-bytes", "262144", "--min-free-bytes", "1048576")
		if rng.IntN(5) == 0 { // while it recovers
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
			s.Kill()
			continue
		}
		c := s.Dial(t)
		full := round%10 == 9
		for _, led := range ledgers {
			from := led.checked
			if full {
				from = 0
			}
			led.check(t, c, from)
		}
		c.Close()
		if t.Failed() {
			t.Fatalf("round %d (%s), directory kept until the test ends\n%s", round, mode, s.Log())
		}
		before := total(ledgers)
		runRound(t, s, ledgers, round, time.Duration(30+rng.IntN(400))*time.Millisecond)
		acks += total(ledgers) - before
	}
	finish(t, bin, dir, ledgers)
	if acks < leastAcks*kills/2 {
		t.Fatalf("void: only %d acknowledged writes in %d kills", acks, kills)
	}
	t.Logf("%d kills, %d acknowledged commands, none lost", kills, total(ledgers))
}

func runRound(t *testing.T, s *harness.Server, ledgers []*ledger, round int, life time.Duration) {
	t.Helper()
	l := &load{addr: s.Addr, ledgers: ledgers}
	l.start(round, readers)
	time.Sleep(life)
	s.Kill()
	l.stop.Store(true)
	l.wait.Wait()
	for _, f := range l.faults {
		t.Error(f)
	}
	if strings.Contains(s.Log(), "DATA RACE") {
		t.Error("the race detector ended the server")
	}
	if t.Failed() {
		t.Fatalf("round %d\n%s", round, s.Log())
	}
}

// finish checks everything once more after a clean stop, which must leave nothing
// to replay.
func finish(t *testing.T, bin, dir string, ledgers []*ledger) {
	t.Helper()
	s := harness.Start(t, bin, dir, "--min-free-bytes", "1048576")
	s.Dial(t).Close()
	if took, err := s.Stop(); err != nil || took > 5*time.Second {
		t.Fatalf("SIGTERM: %v after %v\n%s", err, took, s.Log())
	}
	s = harness.Start(t, bin, dir, "--min-free-bytes", "1048576")
	c := s.Dial(t)
	defer c.Close()
	for _, led := range ledgers {
		led.check(t, c, 0)
	}
	if t.Failed() {
		t.Fatal(s.Log())
	}
}

func total(ledgers []*ledger) int {
	n := 0
	for _, led := range ledgers {
		n += led.acks
	}
	return n
}
