package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk/disktest"
)

// life is a run of a log as the engine would drive it, on a disk that may stop
// or fail at any call, and what a replay afterwards must find.
type life struct {
	rng  *rand.Rand
	log  *Log
	seq  uint64
	open bool

	groups  []group
	unsure  map[int]group // by position: a group that got an error there
	synced  int           // groups that must survive a power cut
	from    uint64        // segments below were released
	syncErr error
}

// run appends n groups, with syncs, rotations, spares and releases between them.
// It goes on after errors as the engine does and ends when the log is dead.
func (l *life) run(disk *disktest.Disk, n int) {
	log, err := Create(disk, testOptions, l.from, l.seq, Summary{})
	if err != nil {
		return
	}
	l.log, l.open = log, true
	for range n {
		if l.syncErr != nil {
			return
		}
		l.step()
	}
	if l.log.Close() == nil {
		l.synced = len(l.groups)
	}
	l.open = false
}

func (l *life) step() {
	switch l.rng.IntN(8) {
	case 0, 1:
		l.sync()
	case 2:
		_ = l.log.PrepareSpare() // a failure leaves no spare: rotations do without
	case 3:
		if cur := l.log.Segment(); cur > l.from+1 {
			l.from = cur - 1 // the manifest says so, durably
			_ = l.log.Release(l.from)
		}
	}
	if l.log.Full() || l.rng.IntN(16) == 0 {
		before := len(l.groups)
		err := l.log.Rotate(l.seq)
		if errors.Is(err, ErrSyncFailed) {
			l.syncErr = err
			return
		}
		if err == nil {
			l.synced = before
		}
	}
	l.append()
}

func (l *life) sync() {
	before := len(l.groups)
	if err := l.log.Sync(); err != nil {
		l.syncErr = err
		return
	}
	l.synced = before
}

func (l *life) append() {
	g := group{
		segment: l.log.Segment(), offset: l.log.Size(), firstSeq: l.seq,
		ops: 1 + l.rng.Uint32N(3), payload: randomBytes(l.rng, 8+l.rng.IntN(1200)),
	}
	err := l.log.Append(g.firstSeq, g.ops, g.payload)
	switch {
	case err == nil:
		l.groups = append(l.groups, g)
		l.seq = g.firstSeq + uint64(g.ops)
	case errors.Is(err, ErrSyncFailed):
		l.syncErr = err
	case !errors.Is(err, ErrSegmentEnded):
		l.unsure[len(l.groups)] = g
	}
}

func newLife(seed uint64) *life {
	return &life{rng: rand.New(rand.NewPCG(seed, 4)), seq: 1, from: 1, unsure: map[int]group{}}
}

// check replays what a crash left. The result is a prefix, with no hole, that
// reaches at least to group number least. A group that got an error may be the
// last one.
func (l *life) check(disk *disktest.Disk, least int) (Summary, error) {
	first := 0
	for first < len(l.groups) && l.groups[first].segment < l.from {
		first++
	}
	got, sum, err := replayAll(disk, l.from)
	if err != nil {
		return sum, fmt.Errorf("replay: %w", err)
	}
	if disk.Handles() != 0 {
		return sum, fmt.Errorf("%d files left open", disk.Handles())
	}
	at := first
	for i, g := range got {
		if at < len(l.groups) && g.equal(l.groups[at]) {
			at++
			continue
		}
		if u, ok := l.unsure[at]; ok && i == len(got)-1 && g.firstSeq == u.firstSeq && bytes.Equal(g.payload, u.payload) {
			break
		}
		return sum, fmt.Errorf("group %d: %v was not appended there", at, g)
	}
	if at < least {
		return sum, fmt.Errorf("%d groups came back, %d were safe", at, least)
	}
	return sum, nil
}

// reopen begins the next life on what a crash left and lets power go again
// before a group was written: the first life's groups must still be there.
func (l *life) reopen(disk *disktest.Disk, sum Summary, least int, opt disktest.CrashOptions) error {
	disk.StopAfter(disk.Ops() + int(opt.Seed%9))
	log, err := Create(disk, testOptions, sum.LastSegment+1, l.seq+10, sum)
	if err == nil && opt.Seed%2 == 0 {
		_ = log.Close() // with a seal, if the disk still works
	}
	if _, err := l.check(disk.Crash(opt), least); err != nil {
		return fmt.Errorf("second crash after %s, %v: %w", disk.LastOp(), opt, err)
	}
	disk.StopAfter(-1)
	if _, err := l.check(disk.Clone(), least); err != nil {
		return fmt.Errorf("kill -9 after a crash: %w", err)
	}
	return nil
}

// TestCrashStates is goal G4 for the log.
func TestCrashStates(t *testing.T) {
	lives := 4
	if testing.Short() {
		lives = 1
	}
	states := 0
	for seed := range uint64(lives) {
		whole := disktest.New()
		newLife(seed).run(whole, 60)
		total := whole.Ops()
		for stop := 0; stop <= total; stop++ {
			d, l := disktest.New(), newLife(seed)
			d.StopAfter(stop)
			l.run(d, 60)
			where := fmt.Sprintf("seed %d, %s", seed, d.LastOp())
			killed := d.Clone()
			sum, err := l.check(killed, len(l.groups))
			if err != nil {
				t.Fatalf("kill -9 at %s: %v", where, err)
			}
			for _, opt := range disktest.CrashMatrix(seed + uint64(stop)) {
				states++
				again, err := l.check(d.Crash(opt), l.synced)
				if err != nil {
					t.Fatalf("%s: crash %v: %v", where, opt, err)
				}
				if err := l.reopen(d.Crash(opt), again, l.synced, opt); err != nil {
					t.Fatalf("%s: crash %v: %v", where, opt, err)
				}
				if err := l.reopen(killed.Clone(), sum, l.synced, opt); err != nil {
					t.Fatalf("%s: kill -9, then %v", where, err)
				}
			}
		}
	}
	t.Logf("%d crash states, each with two second crashes", states)
}
