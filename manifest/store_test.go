package manifest

import (
	"errors"
	"io/fs"
	"reflect"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

func mustStore(t *testing.T, d disk.FS, s *State) {
	t.Helper()
	if err := Store(d, s); err != nil {
		t.Fatal(err)
	}
}

func generation(n uint64) *State {
	s := sample()
	s.Generation = n
	s.Files[0].Size += int64(n)
	return s
}

func TestStoreLoad(t *testing.T) {
	d := disktest.New()
	if _, err := Load(d); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("empty directory: %v", err)
	}
	for n := uint64(1); n <= 3; n++ {
		mustStore(t, d, generation(n))
		got, err := Load(d)
		if err != nil || !reflect.DeepEqual(got, generation(n)) {
			t.Fatalf("generation %d: %+v, %v", n, got, err)
		}
	}
	prev, err := d.ReadFile(disk.PrevManifestName)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseState("prev", prev); err != nil || got.Generation != 2 {
		t.Errorf("previous manifest: %+v, %v", got, err)
	}
	if d.Handles() != 0 {
		t.Errorf("%d handles left open", d.Handles())
	}
}

func TestStoreOnRealDisk(t *testing.T) {
	d, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 3; n++ {
		mustStore(t, d, generation(n))
		got, err := Load(d)
		if err != nil || !reflect.DeepEqual(got, generation(n)) {
			t.Fatalf("generation %d: %+v, %v", n, got, err)
		}
	}
}

func TestStoreRefusesNonsense(t *testing.T) {
	d := disktest.New()
	mustStore(t, d, generation(1))
	s := generation(2)
	s.Files[1].ID = s.Files[0].ID
	if err := Store(d, s); !errors.Is(err, ErrInvalid) {
		t.Fatalf("stored a file twice: %v", err)
	}
	if got, err := Load(d); err != nil || got.Generation != 1 {
		t.Errorf("after a refused state: %+v, %v", got, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	d := disktest.New()
	mustStore(t, d, generation(1))
	mustStore(t, d, generation(2))
	d.Corrupt(disk.ManifestName, func(b []byte) []byte { return b[:len(b)/2] })
	s, err := Load(d)
	var ce *disk.CorruptError
	if s != nil || !errors.As(err, &ce) || ce.File != disk.ManifestName {
		t.Errorf("half a manifest: %+v, %v", s, err)
	}
	if err := d.Remove(disk.ManifestName); err != nil {
		t.Fatal(err)
	}
	if s, err = Load(d); s != nil || !errors.Is(err, disk.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no manifest, but a previous one: %+v, %v", s, err)
	}
}

// TestHuge: a length beyond all bounds is refused before it is read.
func TestHuge(t *testing.T) {
	d, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, d, generation(1))
	f, err := d.OpenWrite(disk.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(maxBytes+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(d); s != nil || !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("a huge manifest: %+v, %v", s, err)
	}
}

// TestCrash stops the disk after every operation of a Store and takes power
// away: the old or the new state is found, the new one if Store said so.
func TestCrash(t *testing.T) {
	for olds := range 3 { // the first Store, the second (no previous one yet), a later one
		states := 0
		for stop := 0; ; stop++ {
			d := disktest.New()
			for n := range olds {
				mustStore(t, d, generation(uint64(n+1)))
			}
			d.StopAfter(d.Ops() + stop)
			done := Store(d, generation(uint64(olds+1))) == nil
			for _, opt := range disktest.CrashMatrix(uint64(stop)) {
				for _, after := range []*disktest.Disk{d.Crash(opt), d.Clone()} {
					states++
					checkAfterCrash(t, after, olds, done, d.LastOp()+", "+opt.String())
				}
			}
			if done {
				break
			}
		}
		t.Logf("%d crash states with %d manifests before", states, olds)
	}
}

func checkAfterCrash(t *testing.T, d *disktest.Disk, olds int, done bool, where string) {
	t.Helper()
	got, err := Load(d)
	switch {
	case errors.Is(err, fs.ErrNotExist) && olds == 0 && !done:
	case err != nil:
		t.Fatalf("%d before, %s: %v", olds, where, err)
	case done && got.Generation != uint64(olds+1),
		got.Generation != uint64(olds) && got.Generation != uint64(olds+1),
		!reflect.DeepEqual(got, generation(got.Generation)):
		t.Fatalf("%d before, done %t, %s: generation %d", olds, done, where, got.Generation)
	}
	// What was left behind is no obstacle.
	mustStore(t, d, generation(9))
	if got, err := Load(d); err != nil || got.Generation != 9 {
		t.Fatalf("%d before, %s: then %+v, %v", olds, where, got, err)
	}
}

// TestEveryCallFails fails each call of Store once with each error: Store says
// so and the old or the new state is found, and later ones work again.
func TestEveryCallFails(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for nth := 1; ; nth++ {
			d := disktest.New()
			mustStore(t, d, generation(1))
			mustStore(t, d, generation(2))
			d.Fail(disktest.FailRule{Nth: nth, Err: errno, Short: 100})
			err := Store(d, generation(3))
			failed := d.Failed() > 0
			d.Heal()
			if err != nil && !errors.Is(err, errno) {
				t.Fatalf("call %d: %v, want %v", nth, err, errno)
			}
			got, loadErr := Load(d)
			if loadErr != nil || err == nil && got.Generation != 3 {
				t.Fatalf("call %d: store %v, then %+v, %v", nth, err, got, loadErr)
			}
			mustStore(t, d, generation(4))
			if d.Handles() != 0 {
				t.Fatalf("call %d: %d handles left open", nth, d.Handles())
			}
			if !failed {
				break
			}
		}
	}
}

// TestLoadFails fails each call of Load.
func TestLoadFails(t *testing.T) {
	for nth := 1; ; nth++ {
		d := disktest.New()
		mustStore(t, d, generation(1))
		d.Fail(disktest.FailRule{Nth: nth})
		s, err := Load(d)
		if d.Failed() == 0 {
			break
		}
		if s != nil && err != nil || s == nil && !errors.Is(err, syscall.EIO) || errors.Is(err, disk.ErrCorrupt) {
			t.Fatalf("call %d: %+v, %v", nth, s, err)
		}
		if d.Handles() != 0 {
			t.Fatalf("call %d: %d handles left open", nth, d.Handles())
		}
	}
}
