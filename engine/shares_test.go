package engine

import "testing"

func TestSplit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		budget int64
		want   shares
	}{
		{MinMemory, shares{4 * mib, 8 * mib, 8 * mib, 8 * mib, 6 * mib, 1 * mib, 64 * mib}},
		{256 * mib, shares{16 * mib, 32 * mib, 32 * mib, 32 * mib, 24 * mib, 4 * mib, 64 * mib}},
		{1024 * mib, shares{64 * mib, 128 * mib, 128 * mib, 128 * mib, 96 * mib, 16 * mib, 256 * mib}},
		{4096 * mib, shares{256 * mib, 512 * mib, 512 * mib, 512 * mib, 384 * mib, 64 * mib, 1024 * mib}},
		{MaxMemory, shares{256 * mib, 512 * mib, MaxMemory / 8, MaxMemory / 8, MaxMemory / 32 * 3, 64 * mib, 1024 * mib}},
	} {
		got := split(c.budget)
		if got != c.want {
			t.Errorf("split(%d MiB) is %+v, want %+v", c.budget/mib, got, c.want)
		}
		// The worst case at once: all memtables, the pool that keeps one more of them,
		// and the rest. Warm memtables go as soon as two frozen ones wait.
		used := 5*got.memtable + got.cache + got.maps + got.hotKeys + got.queue
		if clients := c.budget / 8; used+clients > c.budget/100*81 {
			t.Errorf("%d MiB of a budget of %d MiB are given away", (used+clients)/mib, c.budget/mib)
		}
	}
}

func TestMemoryOption(t *testing.T) {
	for _, memory := range []int64{-1, 1, MinMemory - 1, MaxMemory + 1} {
		if err := (&Options{Memory: memory}).Validate(); err == nil {
			t.Errorf("memory %d is accepted", memory)
		}
	}
	o := Options{Memory: 256 << 20}
	if err := o.Validate(); err != nil || o.MemtableBytes != 16<<20 {
		t.Errorf("memtables of %d bytes, %v", o.MemtableBytes, err)
	}
	o = Options{MemtableBytes: 8 << 20}
	if err := o.Validate(); err != nil || o.Memory != DefaultMemory || o.MemtableBytes != 8<<20 {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestHotKeysBound adds many more states than fit.
func TestHotKeysBound(t *testing.T) {
	h := newHotKeys(1 << 20)
	for i := range 100_000 {
		h.add(&keyState{data: internalKey(nil, spaceData, []byte{byte(i), byte(i >> 8), byte(i >> 16)})})
		if n := len(h.young) + len(h.old); n > 1<<20/(stateBytes+8)+2 {
			t.Fatalf("%d states after %d", n, i)
		}
	}
	if len(h.old) == 0 || h.epoch == 0 {
		t.Error("nothing was dropped")
	}
}
