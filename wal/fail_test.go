package wal

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"tskv/disk/disktest"
)

// failures are what a call can answer.
var failures = []disktest.FailRule{
	{Err: syscall.EIO},
	{Err: syscall.ENOSPC},
	{Err: syscall.EMFILE},
	{Err: syscall.ENOSPC, Short: 20},
	{Err: syscall.ENOSPC, Short: 1 << 20}, // all of it, and an error nevertheless
	{Err: syscall.EIO, Sticky: true},
	{Err: syscall.ENOSPC, Sticky: true, Short: 40},
}

// TestEveryCallFails is goal G7 for the log: every call of a run fails, once or
// from then on, and whatever then happens, kill -9 loses nothing that was
// acknowledged, and a power cut nothing that was synced.
func TestEveryCallFails(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	whole := disktest.New()
	newLife(seed).run(whole, 60)
	total := whole.Calls(disktest.OpAny)
	step := 1
	if testing.Short() {
		step = 5
	}
	runs, failed := 0, 0
	for nth := 1; nth <= total; nth += step {
		for _, rule := range failures {
			rule.Nth = nth
			d, l := disktest.New(), newLife(seed)
			d.Fail(rule)
			l.run(d, 60)
			where := fmt.Sprintf("call %d of %d fails with %+v", nth, total, rule)
			runs++
			if d.Failed() > 0 {
				failed++
			}
			d.Heal()
			if l.syncErr != nil && !errors.Is(l.syncErr, ErrSyncFailed) {
				t.Fatalf("%s: %v", where, l.syncErr)
			}
			least := len(l.groups)
			if l.syncErr != nil {
				least = l.synced
			}
			if err := l.recheck(d.Clone(), least); err != nil {
				t.Fatalf("%s: kill -9: %v", where, err)
			}
			opt := disktest.CrashMatrix(uint64(nth))[runs%16]
			if err := l.recheck(d.Crash(opt), l.synced); err != nil {
				t.Fatalf("%s: crash %v: %v", where, opt, err)
			}
			l.finish(t, d, where)
		}
	}
	if failed < runs*9/10 {
		t.Errorf("only %d of %d rules failed a call", failed, runs)
	}
	t.Logf("%d runs", runs)
}

// recheck checks a disk, begins the next life on it and checks again.
func (l *life) recheck(disk *disktest.Disk, least int) error {
	sum, err := l.check(disk, least)
	if err != nil {
		return err
	}
	log, err := Create(disk, testOptions, sum.LastSegment+1, l.seq+10, sum)
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	_, err = l.check(disk, least)
	return err
}

// finish closes a log that the run left open and looks for open files.
func (l *life) finish(t *testing.T, d *disktest.Disk, where string) {
	t.Helper()
	if l.open {
		if err := l.log.Close(); !errors.Is(err, ErrSyncFailed) {
			t.Fatalf("%s: close after a failed sync: %v", where, err)
		}
	}
	if d.Handles() != 0 {
		t.Fatalf("%s: %d files left open", where, d.Handles())
	}
}

// TestFailedSyncIsFinal is goal G8 for the log.
func TestFailedSyncIsFinal(t *testing.T) {
	for name, fail := range map[string]struct {
		rule disktest.FailRule
		call func(l *Log) error
	}{
		"sync":            {disktest.FailRule{Op: disktest.OpSync}, func(l *Log) error { return l.Sync() }},
		"sync in rotate":  {disktest.FailRule{Op: disktest.OpSync}, func(l *Log) error { return l.Rotate(1000) }},
		"sync in close":   {disktest.FailRule{Op: disktest.OpSync}, func(l *Log) error { return l.Close() }},
		"names in rotate": {disktest.FailRule{Op: disktest.OpSyncDir}, func(l *Log) error { return l.Rotate(1000) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := disktest.New()
			w := newWriter(t, d, testOptions, 41)
			w.append(700)
			w.append(700)
			w.must(w.log.Sync())
			w.append(5000) // over several pages
			w.append(700)
			d.Fail(fail.rule)
			err := fail.call(w.log)
			if !errors.Is(err, ErrSyncFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("first failure: %v", err)
			}
			d.Heal()
			before := d.Ops()
			calls := map[string]error{"append": w.log.Append(2000, 1, []byte("x")), "rotate": w.log.Rotate(2000), "sync": w.log.Sync(), "close": w.log.Close()}
			for call, err := range calls {
				closed := strings.HasSuffix(name, "close") && errors.Is(err, ErrClosed)
				if !errors.Is(err, ErrSyncFailed) && !closed {
					t.Errorf("%s afterwards: %v", call, err)
				}
			}
			if d.Ops() != before {
				t.Error("the disk was written to after a failed sync")
			}
			d.DropCaches()
			groups, sum, err := replayAll(d, 1)
			w.must(err)
			samePrefix(t, groups, w.groups)
			if len(groups) < 2 || sum.Sealed {
				t.Errorf("%d groups: %+v", len(groups), sum)
			}
			noHandles(t, d)
		})
	}
}

// A full disk is normal weather: the same group goes in when there is room.
func TestFullDisk(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 42)
	w.append(300)
	d.Capacity(1000)
	g := w.next(2000)
	for range 3 {
		if err := w.log.Append(g.firstSeq, g.ops, g.payload); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		groups, sum, err := replayAll(d, 1)
		w.must(err)
		sameGroups(t, groups, w.groups)
		if sum.TornBytes != 0 {
			t.Errorf("the failed write was not cut back: %+v", sum)
		}
	}
	d.Capacity(-1)
	w.must(w.log.Append(g.firstSeq, g.ops, g.payload))
	w.took(g)
	groups, _, err := replayAll(d, 1)
	w.must(err)
	sameGroups(t, groups, w.groups)
}

// Where a failed write cannot be cut back the segment has ended, and what the
// write left there stays out of the log.
func TestWriteThatCannotBeCutBack(t *testing.T) {
	for _, short := range []int{0, 10, 100, 1 << 20} {
		d := disktest.New()
		w := newWriter(t, d, testOptions, 43)
		w.append(300)
		d.Fail(disktest.FailRule{Op: disktest.OpWrite, Short: short})
		d.Fail(disktest.FailRule{Op: disktest.OpTruncate})
		if err := w.log.Append(w.seq, 1, []byte("12345678")); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if err := w.log.Append(w.seq, 1, []byte("12345678")); !errors.Is(err, ErrSegmentEnded) || !w.log.Full() {
			t.Fatalf("append behind garbage: %v", err)
		}
		w.must(w.log.Rotate(w.seq))
		w.append(300)
		groups, _, err := replayAll(d, 1)
		w.must(err)
		sameGroups(t, groups, w.groups)
	}
}

// A Rotate that stopped halfway may have left a header that says where the old
// segment ends, so nothing may be written there any more.
func TestRotateHalfway(t *testing.T) {
	d := disktest.New()
	w := newWriter(t, d, testOptions, 44)
	w.append(300)
	d.Fail(disktest.FailRule{Op: disktest.OpWrite, Short: segmentHeaderSize})
	if err := w.log.Rotate(w.seq); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := w.log.Append(w.seq, 1, []byte("x")); !errors.Is(err, ErrSegmentEnded) || !w.log.Full() {
		t.Fatalf("append: %v", err)
	}
	w.must(w.log.Sync())
	w.must(w.log.Rotate(w.seq))
	w.append(300)
	groups, sum, err := replayAll(d, 1)
	w.must(err)
	sameGroups(t, groups, w.groups)
	if sum.LastSegment != 2 {
		t.Errorf("%+v", sum)
	}
}
