package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
)

// optionSet is a way to run a store that no answer may depend on.
type optionSet struct {
	name         string
	opt          Options
	noCompaction bool   // few files then: with many, writes stop
	after        string // what is done after every few steps
	every        int
}

func optionSets() []optionSet {
	return []optionSet{
		{name: "small", opt: Options{MemtableBytes: 64 << 10, SegmentBytes: 64 << 10}},
		{name: "in memory", opt: Options{MemtableBytes: 256 << 20, SegmentBytes: 64 << 20, Sync: SyncOS}},
		{name: "without map", opt: Options{MemtableBytes: 256 << 10, SegmentBytes: 64 << 10, NoMmap: true, Sync: SyncInterval, SyncInterval: 10 * time.Millisecond}},
		{name: "never compacted", opt: Options{MemtableBytes: 8 << 20, SegmentBytes: 1 << 20, Sync: SyncOS}, noCompaction: true, after: "flush", every: 20},
		{name: "always compacted", opt: Options{MemtableBytes: 1 << 20, SegmentBytes: 256 << 10, Sync: SyncOS}, after: "compact", every: 5},
		{name: "always flushed", opt: Options{MemtableBytes: 4 << 20, SegmentBytes: 64 << 10, Memory: MinMemory, Sync: SyncOS}, after: "flush", every: 1},
		{name: "purged", opt: Options{MemtableBytes: 128 << 10, SegmentBytes: 64 << 10, purgeAfter: 2}, after: "flush", every: 3},
	}
}

// TestMetamorphic runs the same random histories under all option sets. All must
// give the model's answers, and so the same as each other. TSKV_SEEDS=n runs n
// histories, TSKV_SEED=s the one of seed s.
func TestMetamorphic(t *testing.T) {
	first, seeds := uint64(1), 20
	if testing.Short() {
		seeds = 4
	}
	if n, err := strconv.Atoi(os.Getenv("TSKV_SEEDS")); err == nil {
		seeds = n
	}
	if s, err := strconv.ParseUint(os.Getenv("TSKV_SEED"), 10, 64); err == nil {
		first, seeds = s, 1
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			g := newGenerator(seed)
			steps := append(g.history(300), everything(g.keys, g.now)...)
			for _, set := range optionSets() {
				f := replay(&set, steps)
				if f == nil {
					continue
				}
				short := shrink(&set, steps[:f.at+1])
				t.Errorf("seed %d (TSKV_SEED=%[1]d), options %q: step %d of %d answers\n%s\nwant\n%s\nreplay of %d steps:%s",
					seed, set.name, f.at, len(steps), f.got, f.want, len(short), list(short))
			}
		})
	}
}

// deviation is a step with a wrong answer.
type deviation struct {
	at        int
	got, want string
}

// replay runs a history on the model and on a store; nil if they agree.
func replay(set *optionSet, steps []move) *deviation {
	disk := disktest.New()
	s := &subject{disk: disk, opt: set.opt, set: set, now: &atomic.Uint64{}}
	s.opt.FS, s.opt.MinFreeBytes = disk, 1
	s.opt.Now = func() time.Time { return time.UnixMilli(int64(s.now.Load())) }
	s.now.Store(steps[0].now)
	if err := s.open(); err != nil {
		return &deviation{0, failed(err), "an open store"}
	}
	w := newWorld()
	for i, st := range steps {
		w.now = st.now
		s.now.Store(st.now)
		w.expireAll()
		want := st.op.onModel(w)
		w.expireAll()
		got := st.op.onStore(s)
		if got == want && set.every > 0 && i%set.every == 0 {
			want = "ok"
			got = (&maintainStep{set.after}).onStore(s)
		}
		if got != want {
			s.letGo()
			_ = s.close()
			return &deviation{i, got, want}
		}
	}
	if err := s.close(); err != nil {
		return &deviation{len(steps) - 1, failed(err), "a clean close"}
	}
	return nil
}

// shrinkTime bounds how long a shorter history is looked for.
const shrinkTime = 20 * time.Second

// shrink leaves out steps as long as some step still deviates: half of them, then
// quarters and so on, each piece in random order.
func shrink(set *optionSet, steps []move) []move {
	end := time.Now().Add(shrinkTime)
	rng := rand.New(rand.NewPCG(1, 1))
	for size := len(steps) / 2; size > 0; size /= 2 {
		for _, k := range rng.Perm(len(steps)/size + 1) {
			from := min(k*size, len(steps))
			shorter := slices.Concat(steps[:from], steps[min(from+size, len(steps)):])
			if time.Now().After(end) {
				return steps
			}
			if len(shorter) == 0 || len(shorter) == len(steps) {
				continue
			}
			if f := replay(set, shorter); f != nil {
				steps = shorter[:f.at+1]
			}
		}
	}
	return steps
}

// list shows steps, long ones cut.
func list(steps []move) string {
	var text strings.Builder
	for i, s := range steps {
		if i == 60 {
			fmt.Fprintf(&text, "\n  and %d more", len(steps)-i)
			break
		}
		fmt.Fprintf(&text, "\n  %.600s", s)
	}
	return text.String()
}
