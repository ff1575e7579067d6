package chaos

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"tskv/net/resp"
	"tskv/tests/harness"
)

// load runs writers and readers against one life of the server.
type load struct {
	addr    string
	ledgers []*ledger
	stop    atomic.Bool
	// ill is set before a disk loses power: errors are answers then, and an
	// acknowledgement is no promise, because a machine without power sends none.
	ill atomic.Bool
	// dead is set when the power is gone: what is sent from then on must fail.
	dead   atomic.Bool
	wait   sync.WaitGroup
	mu     sync.Mutex
	faults []string
	reads  atomic.Int64
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 20 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

func (l *load) start(round, readers int) {
	for _, led := range l.ledgers {
		l.wait.Go(func() { l.write(led, rand.New(rand.NewPCG(led.seed, uint64(round*1000+led.writer)))) })
	}
	for r := range readers {
		l.wait.Go(func() { l.read(rand.New(rand.NewPCG(uint64(round), uint64(r)))) })
	}
}

// write sends pipelines of PUT and MPUT until the server dies or stop is set.
// A command enters the ledger before it is sent and is marked when answered.
func (l *load) write(led *ledger, rng *rand.Rand) {
	c, err := harness.Connect(l.addr)
	if err != nil {
		return
	}
	defer c.Close()
	for !l.stop.Load() {
		first, dead := len(led.commands), l.dead.Load()
		for range 1 + rng.IntN(16) {
			led.queue(c, rng)
		}
		if c.Flush() != nil {
			return
		}
		for n := first; n < len(led.commands); n++ {
			reply, err := c.Read()
			if err != nil {
				return
			}
			if reply.IsError() {
				if !l.ill.Load() && !strings.HasPrefix(string(reply.Text), "LOADING") {
					l.fault("writer %d command %d: %s", led.writer, n, reply.Text)
				}
				continue // refused: not acknowledged, may not be there
			}
			led.checkIDs(l, n, reply)
			if dead {
				l.fault("writer %d command %d was acknowledged without power", led.writer, n)
			}
			if !l.ill.Load() {
				led.commands[n].acked = true
				led.acks++
			}
		}
	}
}

// queue adds one command to the pipeline and the ledger.
func (led *ledger) queue(c *harness.Conn, rng *rand.Rand) {
	n := len(led.commands)
	cmd := command{keys: []int{rng.IntN(keysPerWriter)}}
	if rng.IntN(4) == 0 {
		cmd.keys = rng.Perm(keysPerWriter)[:2+rng.IntN(3)]
		args := []string{"MPUT"}
		for _, k := range cmd.keys {
			args = append(args, led.key(k), led.id(n), led.value(n, k))
		}
		c.Queue(args...)
	} else {
		c.Queue("PUT", led.key(cmd.keys[0]), led.id(n), led.value(n, cmd.keys[0]), "TAG", fmt.Sprint("n", n%5))
	}
	led.commands = append(led.commands, cmd)
}

// checkIDs compares the answered IDs with those asked for.
func (led *ledger) checkIDs(l *load, n int, reply resp.Reply) {
	got := harness.Text(reply)
	want := led.id(n)
	if reply.IsAggregate() {
		want = "[" + strings.TrimSpace(strings.Repeat(want+" ", len(led.commands[n].keys))) + "]"
	}
	if got != want {
		l.fault("writer %d command %d answered %s, want %s", led.writer, n, got, want)
	}
}

// read checks values for their checksum and order while others write.
func (l *load) read(rng *rand.Rand) {
	c, err := harness.Connect(l.addr)
	if err != nil {
		return
	}
	defer c.Close()
	for !l.stop.Load() {
		led := l.ledgers[rng.IntN(len(l.ledgers))]
		key := led.key(rng.IntN(keysPerWriter))
		args := []string{"SCAN", key, "-", "+", "REV", "COUNT", fmt.Sprint(1 + rng.IntN(300))}
		if rng.IntN(3) == 0 {
			args = []string{"GETREC", key}
		}
		reply, err := c.Do(args...)
		if err != nil {
			return
		}
		if reply.IsError() {
			if !l.ill.Load() && !strings.HasPrefix(string(reply.Text), "LOADING") {
				l.fault("%v: %s", args, reply.Text)
			}
			continue
		}
		l.reads.Add(1)
		l.checkRead(key, reply)
	}
}

func (l *load) checkRead(key string, reply resp.Reply) {
	if reply.Kind == resp.KindNull || len(reply.Elems) < 2 {
		return
	}
	records := reply.Elems[1].Elems
	if !reply.Elems[1].IsAggregate() {
		records = []resp.Reply{reply}
	}
	for _, r := range records {
		value := string(r.Elems[1].Text)
		body, sum, ok := strings.Cut(value, "#")
		if ok && sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) {
			l.fault("%s %s: damaged value %q", key, r.Elems[0].Text, value)
		}
	}
}
