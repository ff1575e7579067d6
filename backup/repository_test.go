package backup

import (
	"context"
	"errors"
	"path"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"tskv/disk"
	"tskv/disk/disktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sound(t *testing.T, r *Repository) Report {
	t.Helper()
	rep, err := r.Verify(t.Context())
	if err != nil || len(rep.Damaged) > 0 || len(rep.Affected) > 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	return rep
}

// TestIncremental makes backups of a store that grows and merges: each copies what
// is new only, and each can be restored.
func TestIncremental(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	var ids []string
	var positions []uint64
	for i := range 4 {
		positions = append(positions, s.round())
		if i == 2 {
			s.merge()
		}
		a := s.add(r)
		if a.Copied != 1 || a.Segments != 2 || a.Position != s.seq || len(a.Tables) != len(s.state.Files) || a.LogUpTo != s.state.MinSegment-1 {
			t.Errorf("backup %d: %+v", i, a)
		}
		ids = append(ids, a.ID)
	}
	again := s.add(r)
	if again.Copied != 0 || again.Segments != 0 || again.Position != s.seq {
		t.Errorf("nothing has changed: %+v", again)
	}
	if rep := sound(t, r); rep.Backups != 5 || rep.Files != 4+8 {
		t.Errorf("%+v", rep)
	}
	for i, id := range ids {
		if _, p := s.extract(r, id, nil); p.Position != positions[i] || len(p.Log) != 0 {
			t.Errorf("backup %d: %+v", i, p)
		}
	}
	if _, p := s.extract(r, "", nil); p.ID != again.ID {
		t.Errorf("the newest is %s", p.ID)
	}
	for _, to := range []uint64{positions[0], positions[0] + 1, positions[0] + 30, positions[1] - 1, positions[3] - 1} {
		restored, p := s.extract(r, "", &to)
		if p.Position > to || p.Position+80 <= to {
			t.Errorf("to %d from %d", to, p.Position)
		}
		if last := s.replayed(restored, p.MinSegment); to > p.Position && last < to {
			t.Errorf("to %d: the log reaches %d", to, last)
		}
	}
	to := positions[2] + 5
	if restored, p := s.extract(r, ids[0], &to); p.ID != ids[0] || s.replayed(restored, p.MinSegment) < to {
		t.Errorf("from the oldest: %+v", p)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Handles() != 0 {
		t.Errorf("%d handles are open", d.Handles())
	}
}

func TestPlanErrors(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	if _, err := r.Plan("", nil); !errors.Is(err, ErrNoBackup) {
		t.Errorf("of nothing: %v", err)
	}
	var ids []string
	for range 3 {
		s.round()
		ids = append(ids, s.add(r).ID)
	}
	for _, c := range []struct {
		id   string
		to   uint64
		want error
		text string
	}{
		{"nope", 0, ErrNoBackup, "nope"},
		{"", 79, ErrNoBackup, "position 79"},
		{"", 241, ErrGap, "reaches position 240"},
		{ids[1], 100, ErrNoBackup, "after 100"},
	} {
		if _, err := r.Plan(c.id, &c.to); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q to %d: %v", c.id, c.to, err)
		}
	}
	d.Corrupt(segmentDescription(hex64(7), 3), func(b []byte) []byte { return b[:len(b)-3] })
	to := uint64(100)
	if _, err := r.Plan("", &to); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("with a damaged description of a segment: %v", err)
	}
	if err := d.Remove(segmentDescription(hex64(7), 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Plan("", &to); !errors.Is(err, ErrGap) || !strings.Contains(err.Error(), "up to 80 and from 121") {
		t.Errorf("with a gap: %v", err)
	}
	to = 170
	if _, err := r.Plan("", &to); err != nil {
		t.Errorf("behind the gap: %v", err)
	}
}

// TestDamage: whatever is damaged is found by Verify and refused by Extract.
func TestDamage(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	first := s.add(r)
	s.round()
	second := s.add(r)
	to := first.Position + 10
	for _, name := range d.Files() {
		if name == markerName || name == disk.LockName {
			continue
		}
		for what, hurt := range map[string]func([]byte) []byte{
			"flip": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
			"cut":  func(b []byte) []byte { return b[:len(b)-1] },
		} {
			whole, err := d.ReadFile(name)
			s.ok(err)
			d.Corrupt(name, hurt)
			rep, err := r.Verify(t.Context())
			if err != nil || len(rep.Damaged) != 1 || strings.TrimSuffix(rep.Damaged[0].File, ".json") != strings.TrimSuffix(name, ".json") {
				t.Errorf("%s of %s: %+v %v", what, name, rep, err)
			}
			failed := 0
			for _, id := range []string{first.ID, second.ID} {
				p, err := r.Plan(id, nil)
				if err == nil {
					err = r.Extract(t.Context(), p, disktest.New())
				}
				if err != nil && !errors.Is(err, disk.ErrCorrupt) {
					t.Errorf("%s of %s: restore %s: %v", what, name, id, err)
				}
				if err != nil {
					failed++
				}
			}
			if want := len(rep.Affected); failed != want || want == 0 && !strings.HasPrefix(name, logDir) {
				t.Errorf("%s of %s: %d restores failed, affected %q", what, name, failed, rep.Affected)
			}
			if p, err := r.Plan(first.ID, &to); strings.HasPrefix(name, logDir) && p.Log != nil && err == nil {
				if err := r.Extract(t.Context(), p, disktest.New()); !errors.Is(err, disk.ErrCorrupt) && usesSegment(p, name) {
					t.Errorf("%s of %s: restore to a position: %v", what, name, err)
				}
			}
			if strings.HasSuffix(name, description) {
				if _, err := r.Prune(1); !errors.Is(err, disk.ErrCorrupt) {
					t.Errorf("%s of %s: prune: %v", what, name, err)
				}
			}
			d.WriteFile(name, whole)
		}
	}
	sound(t, r)
}

func usesSegment(p Plan, name string) bool {
	for i := range p.Log {
		if p.Log[i].name() == name {
			return true
		}
	}
	return false
}

// TestDamagedSource: a table whose own checksums are wrong does not get into a
// backup unnoticed.
func TestDamagedSource(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	s.d.Corrupt(disk.TableName(1), func(b []byte) []byte { b[100] ^= 1; return b })
	if _, err := r.Add(t.Context(), s.source()); !errors.Is(err, disk.ErrCorrupt) {
		t.Fatal(err)
	}
	r.opt.AllowDamaged = true
	a := s.add(r)
	if len(a.Damaged) != 1 || !strings.Contains(a.Damaged[0], disk.TableName(1)) {
		t.Errorf("%+v", a)
	}
	sound(t, r) // it is what was there
}

// TestOtherHistory: two stores of one database ID, one a copy by hand of the other,
// are not mixed.
func TestOtherHistory(t *testing.T) {
	s, other, d := newStore(t, 7), newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	s.add(r)
	other.write(3)
	other.flush()
	if _, err := r.Add(t.Context(), other.source()); !errors.Is(err, ErrOtherHistory) {
		t.Error(err)
	}
	third := newStore(t, 8) // another database may share the repository
	third.round()
	third.add(r)
	sound(t, r)
	if _, p := third.extract(r, "", nil); p.Database != hex64(8) {
		t.Errorf("%+v", p)
	}
}

func TestPrune(t *testing.T) {
	s, other, d := newStore(t, 7), newStore(t, 8), disktest.New()
	r := create(t, d)
	other.round()
	other.add(r)
	for i := range 5 {
		s.round()
		if i > 1 {
			s.merge()
		}
		s.add(r)
	}
	for _, name := range []string{"sst/mine", "wal/mine.wal", "wal/0-1.json"} {
		d.WriteFile(name, []byte("not of tskv"))
	}
	d.WriteFile("sst/"+hex64(7)+"-"+hex64(99)+"-0000abcd-5.sst", []byte("unused"))
	if _, err := r.Prune(0); err == nil {
		t.Error("keep 0 is taken")
	}
	p, err := r.Prune(2)
	if err != nil || len(p.Backups) != 3 || p.Files != 2+1+8+2 {
		t.Fatalf("%+v %v", p, err)
	}
	all, _, err := r.List()
	if err != nil || len(all) != 3 {
		t.Fatalf("%d backups are left: %v", len(all), err)
	}
	sound(t, r)
	for _, b := range all {
		owner := s
		if b.Database == hex64(8) {
			owner = other
		}
		owner.extract(r, b.ID, nil)
	}
	if names, _ := d.List(tableDir); len(names) != 1+1+3 {
		t.Errorf("tables left: %q", names)
	}
	to := all[1].Position + 3
	s.extract(r, "", &to)
	if p, err = r.Prune(2); err != nil || len(p.Backups)+p.Files != 0 {
		t.Errorf("again: %+v %v", p, err)
	}
}

func TestOpen(t *testing.T) {
	d := disktest.New()
	if _, err := Open(d, Options{}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("an empty directory: %v", err)
	}
	d.WriteFile("mine", []byte("x"))
	if _, err := Create(d, Options{}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("somebody's directory: %v", err)
	}
	d = disktest.New()
	r := create(t, d)
	for name, open := range map[string]func(disk.FS, Options) (*Repository, error){"open": Open, "create": Create} {
		if _, err := open(d, Options{}); !errors.Is(err, disk.ErrLocked) {
			t.Errorf("%s while it is locked: %v", name, err)
		}
	}
	if _, err := Open(d, Options{Unlocked: true}); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{"tskv backup repository\nformat 2\n": ErrVersion, "x": disk.ErrCorrupt} {
		d.WriteFile(markerName, []byte(text))
		if _, err := Open(d, Options{}); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if d.Handles() != 0 {
		t.Errorf("%d handles are open", d.Handles())
	}
}

func TestVersion(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	a := s.add(r)
	b := a.Backup
	b.Format++
	data, err := encode(&b, &b.Checksum)
	s.ok(err)
	d.WriteFile(path.Join(backupDir, a.ID, description), data)
	if _, damaged, err := r.List(); err != nil || len(damaged) != 1 || !errors.Is(damaged[0].Err, ErrVersion) {
		t.Errorf("%v %v", damaged, err)
	}
	if _, err := r.Plan("", nil); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func TestGivenUp(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	ctx, cancel := context.WithCancel(t.Context())
	r.opt.Progress = func(done, total int64) {
		if done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
		cancel()
	}
	if _, err := r.Add(ctx, s.source()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if all, _, _ := r.List(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	r.opt.Progress = func(int64, int64) {}
	s.add(r)
	sound(t, r)
}

// TestFullDestination: a backup that does not fit leaves the others alone, and works
// when there is room.
func TestFullDestination(t *testing.T) {
	s := newStore(t, 7)
	s.round()
	src := s.source()
	for limit := int64(0); ; limit += 700 {
		d := disktest.New()
		d.Capacity(limit)
		r, err := Create(d, Options{Now: clock()})
		if err == nil {
			_, err = r.Add(t.Context(), src)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d bytes: %v", limit, err)
		}
		d.Capacity(-1)
		if r == nil {
			r = create(t, d)
		}
		if all, damaged, err := r.List(); len(all)+len(damaged) != 0 || err != nil {
			t.Fatalf("%d bytes: %v %v %v", limit, all, damaged, err)
		}
		if _, err := r.Add(t.Context(), src); err != nil {
			t.Fatalf("%d bytes, then room: %v", limit, err)
		}
		sound(t, r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrash cuts the power, and kills the process, after every operation of two
// backups and a prune: every backup that is listed is whole, those that had been
// finished are listed, and a rerun completes.
func TestCrash(t *testing.T) {
	s := newStore(t, 7)
	s.round()
	one := s.source()
	s.round()
	two := s.source()
	run := func(d *disktest.Disk) (done []string, err error) {
		r, err := Create(d, Options{Now: clock()})
		if err != nil {
			return nil, err
		}
		defer func() { _ = r.Close() }()
		for _, src := range []Source{one, two} {
			a, err := r.Add(context.Background(), src)
			if err != nil {
				return done, err
			}
			done = append(done, a.ID)
		}
		done = done[1:] // from here on it may go
		_, err = r.Prune(1)
		return done, err
	}
	count := disktest.New()
	if _, err := run(count); err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop < count.Ops(); stop++ {
		d := disktest.New()
		d.StopAfter(stop)
		done, _ := run(d)
		matrix := disktest.CrashMatrix(uint64(stop))
		for _, after := range []*disktest.Disk{d.Clone(), d.Crash(matrix[0]), d.Crash(matrix[stop%len(matrix)]), d.Crash(matrix[len(matrix)-1])} {
			r := create(t, after)
			all, damaged, err := r.List()
			if err != nil || len(damaged) > 0 {
				t.Fatalf("stopped after %s: %v %v", d.LastOp(), damaged, err)
			}
			listed := map[string]bool{}
			for _, b := range all {
				listed[b.ID] = true
				s.extract(r, b.ID, nil)
			}
			for _, id := range done {
				if !listed[id] {
					t.Fatalf("stopped after %s: the finished backup %s is gone", d.LastOp(), id)
				}
			}
			if _, err := r.Add(t.Context(), two); err != nil {
				t.Fatalf("stopped after %s: the next backup: %v", d.LastOp(), err)
			}
			sound(t, r)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d disk operations", count.Ops())
}

// TestArchiveGap: a segment that the archive has lost, or that is damaged, leaves a
// gap in the repository and stops nothing else.
func TestArchiveGap(t *testing.T) {
	s, d := newStore(t, 7), disktest.New()
	r := create(t, d)
	s.round()
	first := s.add(r)
	s.round()
	s.ok(s.d.Remove(disk.ArchivedName(4)))
	s.round()
	s.d.Corrupt(disk.ArchivedName(5), func(b []byte) []byte { b[20] ^= 1; return b })
	if _, err := r.Add(t.Context(), s.source()); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("with a damaged segment: %v", err)
	}
	r.opt.AllowDamaged = true
	second := s.add(r)
	if second.LogUpTo != 6 || second.Segments != 1 || len(second.Damaged) != 1 {
		t.Errorf("%+v", second)
	}
	sound(t, r)
	for _, to := range []uint64{first.Position + 10, second.Position - 1} {
		if _, err := r.Plan(first.ID, &to); !errors.Is(err, ErrGap) {
			t.Errorf("to %d: %v", to, err)
		}
	}
	s.extract(r, second.ID, nil)
}
