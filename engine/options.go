package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tskv/disk"
	"tskv/metrics"
)

// SyncMode says what an acknowledged write has survived.
type SyncMode uint8

const (
	// SyncAlways acknowledges after fdatasync: nothing is lost by a power cut.
	SyncAlways SyncMode = iota
	// SyncInterval acknowledges after write(2) and syncs by a timer: kill -9 loses
	// nothing, a power cut at most the interval and one fdatasync.
	SyncInterval
	// SyncOS acknowledges after write(2) and leaves the rest to the kernel.
	SyncOS
)

// ParseSyncMode reads "always", "interval" or "os".
func ParseSyncMode(s string) (SyncMode, error) {
	for _, m := range []SyncMode{SyncAlways, SyncInterval, SyncOS} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("unknown sync mode %q: use always, interval or os", s)
}

// String returns the mode's name.
func (m SyncMode) String() string {
	switch m {
	case SyncAlways:
		return "always"
	case SyncInterval:
		return "interval"
	default:
		return "os"
	}
}

// Options open a database. The zero value is a good one.
type Options struct {
	FS            disk.FS       // default: the directory on the real disk
	Sync          SyncMode      // default SyncAlways
	SyncInterval  time.Duration // SyncInterval's timer; 10ms..1h, default 1s
	Memory        int64         // budget of bytes for all that the store keeps; MinMemory..MaxMemory, default 1 GiB
	MemtableBytes int64         // memory of one memtable; 64 KiB..4 GiB, default its share of Memory
	SegmentBytes  int64         // size of a WAL segment; 64 KiB..1 GiB, default 64 MiB
	QueueTimeout  time.Duration // how long a write waits for room before ErrBusy; default 10s
	MinFreeBytes  uint64        // writes are refused below this much free disk; default 512 MiB
	NoMmap        bool          // read tables with pread only
	ArchiveBytes  int64         // log kept in archive/ for backups, at most; default 0: none
	Now           func() time.Time
	Logger        *slog.Logger
	Metrics       *metrics.Engine

	bounded    bool          // of Restore: leave out groups of the log that end after replayTo
	replayTo   uint64        // a sequence
	retryPause time.Duration // of background work after a failure; tests shorten it
	purgeAfter int           // new tombstones that start a purge; tests lower it
}

// Validate checks the bounds and fills in the defaults.
func (o *Options) Validate() error {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def((*int64)(&o.SyncInterval), int64(time.Second))
	def(&o.Memory, DefaultMemory)
	def(&o.MemtableBytes, split(o.Memory).memtable)
	def(&o.SegmentBytes, 64<<20)
	def((*int64)(&o.QueueTimeout), int64(10*time.Second))
	def((*int64)(&o.retryPause), int64(retryPause))
	if o.purgeAfter == 0 {
		o.purgeAfter = purgeAfter
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 512 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewEngine()
	}
	switch {
	case o.Sync > SyncOS:
		return errors.New("sync mode: use always, interval or os")
	case o.SyncInterval < 10*time.Millisecond || o.SyncInterval > time.Hour:
		return errors.New("sync interval: 10ms to 1h")
	case o.Memory < MinMemory || o.Memory > MaxMemory:
		return errors.New("memory: 64 MiB to 1 TiB")
	case o.MemtableBytes < 64<<10 || o.MemtableBytes > 4<<30:
		return errors.New("memtable bytes: 64 KiB to 4 GiB")
	case o.SegmentBytes < 64<<10 || o.SegmentBytes > 1<<30:
		return errors.New("segment bytes: 64 KiB to 1 GiB")
	case o.ArchiveBytes < 0:
		return errors.New("archive bytes: not negative")
	case o.QueueTimeout < 0:
		return errors.New("queue timeout: not negative")
	}
	return nil
}
