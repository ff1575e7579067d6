package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"tskv/disk"
)

func benchLog(b *testing.B, opt Options) (*Log, disk.FS) {
	b.Helper()
	fs, err := disk.NewOS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	log, err := Create(fs, opt, 1, 1, Summary{})
	if err != nil {
		b.Fatal(err)
	}
	return log, fs
}

// advance rotates a full log and lets go of what is behind it.
func advance(b *testing.B, log *Log, seq uint64) {
	if !log.Full() {
		return
	}
	b.StopTimer()
	if err := log.Rotate(seq); err != nil {
		b.Fatal(err)
	}
	if err := log.Release(log.Segment()); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{64, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			log, _ := benchLog(b, Options{})
			payload := randomBytes(rand.New(rand.NewPCG(1, 1)), n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			seq := uint64(1)
			for b.Loop() {
				advance(b, log, seq)
				if err := log.Append(seq, 1, payload); err != nil {
					b.Fatal(err)
				}
				seq++
			}
			if err := log.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkAppendSync(b *testing.B) {
	for _, spares := range []int{-1, 2} {
		name := "growing"
		if spares > 0 {
			name = "spare"
		}
		b.Run(name, func(b *testing.B) {
			log, _ := benchLog(b, Options{Spares: spares})
			if err := log.PrepareSpare(); err != nil {
				b.Fatal(err)
			}
			if err := log.Rotate(1); err != nil {
				b.Fatal(err)
			}
			payload := randomBytes(rand.New(rand.NewPCG(1, 1)), 4<<10)
			b.SetBytes(int64(len(payload)))
			seq := uint64(1)
			for b.Loop() {
				advance(b, log, seq)
				if err := log.Append(seq, 1, payload); err != nil {
					b.Fatal(err)
				}
				if err := log.Sync(); err != nil {
					b.Fatal(err)
				}
				seq++
			}
			if err := log.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	const total = 256 << 20
	for _, n := range []int{64, 4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			log, fs := benchLog(b, Options{})
			payload := randomBytes(rand.New(rand.NewPCG(1, 1)), n)
			seq, written := uint64(1), int64(0)
			for written < total {
				if log.Full() {
					if err := log.Rotate(seq); err != nil {
						b.Fatal(err)
					}
				}
				if err := log.Append(seq, 1, payload); err != nil {
					b.Fatal(err)
				}
				seq++
				written += align(int64(n) + recordHeaderSize)
			}
			if err := log.Close(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(written)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Replay(fs, Options{}, 1, func(*Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRotate is what the commit goroutine waits: the sync of one unsynced
// group, the header and the sync of the names.
func BenchmarkRotate(b *testing.B) {
	log, _ := benchLog(b, Options{SegmentBytes: 1 << 20})
	payload := randomBytes(rand.New(rand.NewPCG(1, 1)), 4<<10)
	seq := uint64(1)
	for b.Loop() {
		b.StopTimer()
		if err := errors.Join(log.Release(log.Segment()), log.PrepareSpare(), log.Append(seq, 1, payload)); err != nil {
			b.Fatal(err)
		}
		seq++
		b.StartTimer()
		if err := log.Rotate(seq); err != nil {
			b.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
}
