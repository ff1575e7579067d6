package engine

import (
	"time"
)

// Writes are slowed down before they must be stopped, so that clients see answers
// that come later rather than none. Numbers of files are those that a read of one
// key may have to look at.
const (
	slowFrozen   = 2  // memtables that wait for their flush
	stopFrozen   = 3  // and what they may take of memory
	slowHotFiles = 24 // compaction.HotFiles
	stopHotFiles = 48

	// slowShare of the recent flush rate is admitted while slow: the backlog
	// shrinks.
	slowShare = 0.8
	// leastShare is what remains of it just before files stop writes: merges cost
	// more than flushes, so the more files there are the less is admitted.
	leastShare = 0.1
	// leastRate is admitted in any case, in bytes of log records per second: a
	// disk that is slower than that stops writes instead.
	leastRate = 1 << 20
	// guessedRate stands for the flush rate before the first flush.
	guessedRate = 32 << 20
)

// writeState says how writes are admitted. Its numbers are those of the metric.
type writeState uint8

const (
	writesOpen writeState = iota
	writesSlow
	writesStopped
)

// String returns the word for INFO and the log.
func (s writeState) String() string { return [...]string{"open", "slow", "stopped"}[s] }

// pressure is what admission of writes hangs on.
type pressure struct {
	frozen int // memtables that wait for their flush
	// hotFiles is the number of files in the hottest window; 0 if compaction
	// has found nothing to gain, because waiting for it would never end then.
	hotFiles  int
	freeze    bool    // the active memtable must be frozen before the next group
	full      bool    // because it is full, not because somebody asked for a flush
	flushRate float64 // bytes of log records per second that flushes have reached; 0: not known
}

// admission is the decision. rate, in bytes of log records per second, is for
// writesSlow; reason for writesSlow and writesStopped.
type admission struct {
	state  writeState
	rate   float64
	reason string
}

// decide is a pure function. A memtable with room takes writes without making
// anything worse, so writes stop only when it must be frozen.
func (p pressure) decide() admission {
	switch {
	case p.freeze && p.frozen >= stopFrozen:
		return admission{state: writesStopped, reason: "memtables wait for their flush"}
	case p.full && p.hotFiles >= stopHotFiles:
		return admission{state: writesStopped, reason: "files wait for compaction"}
	}
	share, reason := 1.0, ""
	if p.frozen >= slowFrozen {
		share, reason = slowShare, "memtables wait for their flush"
	}
	if p.hotFiles >= slowHotFiles {
		over := float64(min(p.hotFiles, stopHotFiles)-slowHotFiles) / (stopHotFiles - slowHotFiles)
		share, reason = min(share, slowShare-(slowShare-leastShare)*over), "files wait for compaction"
	}
	if reason == "" {
		return admission{state: writesOpen}
	}
	if p.flushRate == 0 {
		p.flushRate = guessedRate
	}
	return admission{state: writesSlow, rate: max(share*p.flushRate, leastRate), reason: reason}
}

// throttle spreads groups over time: a bucket that leaks at the admitted rate.
type throttle struct {
	debt float64 // bytes admitted ahead of time
	at   time.Time
}

const (
	// maxSlowWait is the longest wait before one group: the next one waits again.
	maxSlowWait = 100 * time.Millisecond
	// maxDebt bounds what one huge batch makes later groups wait.
	maxDebt = time.Second
)

// admit adds a group's bytes.
func (t *throttle) admit(bytes int) { t.debt += float64(bytes) }

// wait returns how long to wait before the next group.
func (t *throttle) wait(now time.Time, rate float64) time.Duration {
	t.debt = min(max(t.debt-rate*now.Sub(t.at).Seconds(), 0), rate*maxDebt.Seconds())
	t.at = now
	return min(time.Duration(t.debt/rate*float64(time.Second)), maxSlowWait)
}

// slowGroupBytes is the size of a group that takes as long as one wait.
func slowGroupBytes(rate float64) int {
	return int(min(max(rate*maxSlowWait.Seconds(), 64<<10), groupBytes))
}

// pressure returns what the present version is under.
func (c *committer) pressure() pressure {
	db := c.db
	p := pressure{
		frozen: c.v.frozen, freeze: c.mustFreeze(), full: c.memoryFull(),
		flushRate: float64(db.flushRate.Load()),
	}
	if state := db.state.Load(); db.idleAt.Load() != state.Generation {
		p.hotFiles = int(db.hotFiles.Load())
	}
	return p
}

// admission decides about the next group, and shows and logs a change of state.
func (c *committer) admission() admission {
	a := c.pressure().decide()
	if a.state != c.admitted {
		c.admitted = a.state
		c.db.metrics.WriteState.Set(int64(a.state))
		if a.state == writesOpen {
			c.db.log.Info("writes are admitted without delay")
		} else {
			c.db.log.Warn("writes are held back", "state", a.state.String(), "reason", a.reason)
		}
	}
	return a
}

// slowDown waits as long as the next group has to, and bounds it; false if the
// store closes meanwhile.
func (c *committer) slowDown() bool {
	a := c.admission()
	c.groupLimit = groupBytes
	if a.state != writesSlow {
		c.throttle.debt = 0
		return true
	}
	c.groupLimit = slowGroupBytes(a.rate)
	start := time.Now()
	wait := c.throttle.wait(start, a.rate)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	defer func() { c.db.metrics.WriteSlow.Add(uint64(time.Since(start))) }()
	select {
	case <-timer.C:
		return true
	case <-c.db.giveUp:
		return false
	}
}

// noteFlushRate remembers how fast a memtable that was about full was flushed.
func (db *DB) noteFlushRate(m *memory, took time.Duration) {
	if m.Bytes() < db.options.MemtableBytes/2 || took <= 0 {
		return
	}
	rate := uint64(float64(m.logged.Load()) / took.Seconds())
	if old := db.flushRate.Load(); old > 0 {
		rate = (old + rate) / 2
	}
	db.flushRate.Store(rate)
}
