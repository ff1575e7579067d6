package wal

import (
	"sync"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

// TestConcurrent runs every goroutine of the engine at once. It is for the race
// detector, and at its end nothing is missing.
func TestConcurrent(t *testing.T) {
	real, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, fs := range map[string]disk.FS{"memory": disktest.New(), "os": real} {
		t.Run(name, func(t *testing.T) {
			w := newWriter(t, fs, testOptions, 51)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			loop := func(fn func() error) {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if err := fn(); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			loop(w.log.Sync)
			loop(w.log.PrepareSpare)
			loop(func() error { _ = w.log.Stats(); return w.log.Release(w.log.Segment() - 1) })
			for range 500 {
				w.append(8 + w.rng.IntN(600))
				if w.log.Full() {
					w.must(w.log.Rotate(w.seq))
				}
			}
			from := w.log.Segment() - 1
			close(stop)
			wg.Wait()
			w.must(w.log.Close())
			groups, sum, err := replayAll(fs, from)
			w.must(err)
			for w.groups[0].segment < from {
				w.groups = w.groups[1:]
			}
			sameGroups(t, groups, w.groups)
			if st := w.log.Stats(); !sum.Sealed || st.Appends != 501 {
				t.Errorf("%+v %+v", sum, st)
			}
		})
	}
}
