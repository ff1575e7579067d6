package repair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tskv/compaction"
	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/engine"
	"tskv/inspect"
	"tskv/kv"
)

func salvage(t *testing.T, what string, from disk.FS, keepOlder bool) (*disktest.Disk, *inspect.SalvageReport) {
	t.Helper()
	to := disktest.New()
	r, err := inspect.Salvage(from, to, inspect.SalvageOptions{Replay: replay, KeepOlder: keepOlder})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return to, r
}

func replay(fsys disk.FS) error {
	clock := time.UnixMilli(1_700_000_000_000)
	db, err := engine.Open("test", options(fsys, &clock))
	if err != nil {
		return err
	}
	return db.Close()
}

// covers reports whether a loss explains that a record of a table is not as it
// should be: missing, or with shown, an older one.
func covers(l *inspect.Loss, key string, id kv.ID, shown bool) bool {
	if l.Rows == 0 || strings.HasPrefix(l.File, disk.SegmentDir) || shown && l.Older == "hidden" {
		return false
	}
	if l.From != "" {
		from, err1 := kv.ParseID([]byte(l.From), 0)
		to, err2 := kv.ParseID([]byte(l.To), 0)
		if err1 != nil || err2 != nil {
			panic(fmt.Sprint("BUG: ", err1, err2))
		}
		catalog := l.MinKey != nil && l.MinKey.Space == "catalog"
		if !catalog && (id.Less(from) || to.Less(id)) {
			return false
		}
	}
	if l.MinKey == nil {
		return true
	}
	return l.MinKey.Key <= key && (key <= l.MaxKey.Key || l.MinKey.Space != l.MaxKey.Space)
}

// explained checks a salvaged store against what was written: nothing is wrong,
// and whatever is missing or out of date lies in a reported place.
func explained(t *testing.T, what string, s *store, got contents, r *inspect.SalvageReport) (missing int) {
	t.Helper()
	truth := s.base.clone()
	for _, a := range s.actions {
		lost := false
		for i := range r.Losses {
			l := &r.Losses[i]
			lost = lost || strings.HasPrefix(l.File, disk.SegmentDir) && l.Rows != 0 && a.first <= l.MaxSeq && l.MinSeq <= a.last
		}
		if !lost {
			a.apply(truth)
		}
	}
	any := func(key string, id kv.ID, shown bool) bool {
		for i := range r.Losses {
			if covers(&r.Losses[i], key, id, shown) {
				return true
			}
		}
		return false
	}
	for key, rows := range truth {
		if _, ok := got[key]; !ok && len(rows) == 0 && !any(key, kv.ID{}, false) {
			t.Fatalf("%s: the empty key %q is gone; losses %v", what, key, r.Losses)
		}
		for id, value := range rows {
			have, ok := got[key][id]
			switch {
			case ok && have == value:
			case ok && !any(key, id, true):
				t.Fatalf("%s: %q at %v is %q, want %q; losses %v", what, key, id, have, value, r.Losses)
			case !ok && !any(key, id, false):
				t.Fatalf("%s: %q at %v is missing; losses %v", what, key, id, r.Losses)
			default:
				missing++
			}
		}
	}
	for key, rows := range got {
		for id, value := range rows {
			if _, ok := truth[key][id]; !ok && !any(key, id, true) {
				t.Fatalf("%s: %q at %v is %q, but it was deleted; losses %v", what, key, id, value, r.Losses)
			}
		}
		if _, ok := truth[key]; !ok && len(rows) == 0 && !any(key, kv.ID{}, true) {
			t.Fatalf("%s: key %q is there, but it was deleted; losses %v", what, key, r.Losses)
		}
	}
	return missing
}

// TestSalvageSound: a salvage of a sound store holds the same, from each state of
// its log.
func TestSalvageSound(t *testing.T) {
	for seed := range uint64(3) {
		s := small(t, seed)
		s.kill()
		before := dump(t, s.disk)
		to, r := salvage(t, "killed", s.disk, false)
		if !r.Complete || r.LogOps == 0 || r.Copied == 0 || r.Written+int(r.Reborn)+int(r.Older) != 0 {
			t.Errorf("%+v", r)
		}
		compare(t, "killed", read(t, to), s.want)
		if dump(t, s.disk) != before || s.disk.Handles()+to.Handles() != 0 {
			t.Error("the old store was changed, or is still open")
		}
		_ = read(t, s.disk) // closes it in order
		to, r = salvage(t, "closed", s.disk, false)
		if !r.Complete || r.LogOps != 0 {
			t.Errorf("%+v", r)
		}
		compare(t, "closed", read(t, to), s.want)
	}
}

// TestSalvageAnyFlip flips a bit in every part of a store and salvages it.
func TestSalvageAnyFlip(t *testing.T) {
	t.Run("plain", func(t *testing.T) { salvageFlips(t, small(t, 21)) })
	t.Run("retained", func(t *testing.T) { salvageFlips(t, retained(t, 21)) })
}

func salvageFlips(t *testing.T, s *store) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	step := 40
	if testing.Short() {
		step = 200
	}
	s.kill()
	lastFile, _, end := lastOfLog(t, s.disk)
	tried, lost := 0, 0
	for _, name := range s.disk.Files() {
		kind, _, _ := disk.ParseName(name)
		if kind == disk.KindLock || kind == disk.KindTemp || kind == disk.KindReserve {
			continue
		}
		data, err := s.disk.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		size := len(data)
		if name == lastFile {
			size = int(end)
		}
		for i := rng.IntN(step); i < size; i += 1 + rng.IntN(step) {
			d := s.disk.Clone()
			d.Corrupt(name, func(b []byte) []byte { b[i] ^= 1 << rng.IntN(8); return b })
			what := fmt.Sprintf("%s byte %d", name, i)
			to := disktest.New()
			r, err := inspect.Salvage(d, to, inspect.SalvageOptions{Replay: replay})
			if errors.Is(err, inspect.ErrVersion) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			tried++
			if name == lastFile && i >= int(end)-200 && r.Complete {
				continue // the last record: it counts as never finished
			}
			if explained(t, what, s, read(t, to), r) > 0 {
				lost++
			}
		}
	}
	t.Logf("%d flips, %d with missing records", tried, lost)
	if tried < 20 {
		t.Error("too few flips")
	}
}

// TestSalvageHidesOlder: where the newer version of a record is in a damaged block,
// the older one does not come back, unless that is asked for. The log, which is
// newer still, stays.
func TestSalvageHidesOlder(t *testing.T) {
	s := newStore(t, 1)
	s.fill("k", 0, 400)
	s.fill("other", 0, 400)
	s.flush()
	for i := range 300 {
		s.put("k", kv.ID{Time: uint64(i) * 1000}, fmt.Sprint("new ", i))
	}
	s.put("k", kv.ID{Time: 350_000}, "new")
	s.flush()
	s.put("k", kv.ID{Time: 7000}, "newest")
	s.kill()
	name := newestTable(t, s.disk)
	s.disk.Corrupt(name, func(b []byte) []byte { b[100] ^= 1; return b })
	to, r := salvage(t, "hide", s.disk, false)
	got := read(t, to)
	explained(t, "hide", s, got, r)
	if r.Complete || r.Older != 351 || got["k"][kv.ID{Time: 7000}] != "newest" || len(got["k"]) != 1+49 || len(got["other"]) != 400 {
		t.Errorf("%d rows are left, %+v", len(got["k"]), r)
	}
	to, r = salvage(t, "keep", s.disk, true)
	if got := read(t, to); r.Older != 0 || len(got["k"]) != 400 || got["k"][kv.ID{Time: 7000}] != "newest" {
		t.Errorf("keep: %d rows are left, %+v", len(got["k"]), r)
	}
}

// newestTable returns the data table with the highest sequence.
func newestTable(t *testing.T, d *disktest.Disk) (name string) {
	t.Helper()
	best := uint64(0)
	for _, n := range d.Files() {
		if kind, _, _ := disk.ParseName(n); kind != disk.KindTable {
			continue
		}
		b, err := d.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		if seq := binary.LittleEndian.Uint64(b[32:]); b[12] != compaction.ClassCatalog && seq > best {
			name, best = n, seq
		}
	}
	return name
}

// TestSalvageWithoutManifest: the manifest before the last one, or none at all,
// will do: tables and log hold everything but range deletes.
func TestSalvageWithoutManifest(t *testing.T) {
	for _, compact := range []bool{false, true} {
		s := newStore(t, 2)
		for round := range 4 {
			for i := range 30 {
				s.put(fmt.Sprintf("key:%02d", i), kv.ID{Time: uint64(round%2) * 1000}, fmt.Sprint("round ", round))
				s.put(fmt.Sprintf("key:%02d", i), kv.ID{Time: uint64(i%3) * 20 * day}, fmt.Sprint(i+round))
			}
			s.flush()
		}
		if compact {
			s.must(s.db.Compact())
		}
		s.put("key:00", kv.ID{Time: 0}, "in the log")
		s.put("new", kv.ID{Time: 0}, "in the log")
		s.kill()
		for _, wipe := range [][]string{{disk.ManifestName}, {disk.ManifestName, disk.PrevManifestName}} {
			d := s.disk.Clone()
			for _, name := range wipe {
				d.Corrupt(name, func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
			}
			what := fmt.Sprint("compacted ", compact, ", damaged ", wipe)
			to, r := salvage(t, what, d, false)
			if r.Complete || r.Manifest == disk.ManifestName || (r.Manifest == "") != (len(wipe) == 2) {
				t.Errorf("%s: %+v", what, r)
			}
			compare(t, what, read(t, to), s.want)
		}
	}
}

// TestSalvageMergeLeftovers: without a manifest a merge's output lies beside its
// inputs; each record comes once, in its newest version.
func TestSalvageMergeLeftovers(t *testing.T) {
	s := newStore(t, 3)
	var mu sync.Mutex
	removed := map[string][]byte{}
	first := s.disk
	first.Before(func(op disktest.Op, name string) {
		if kind, _, _ := disk.ParseName(name); op == disktest.OpRemove && kind == disk.KindTable {
			b, err := first.ReadFile(name)
			mu.Lock()
			defer mu.Unlock()
			if removed[name] = b; err != nil {
				t.Error(err)
			}
		}
	})
	for round := range 3 {
		for i := range 30 {
			s.put(fmt.Sprintf("key:%02d", i), kv.ID{Time: uint64(i%4) * 1000}, fmt.Sprint("round ", round))
		}
		s.flush()
	}
	s.must(s.db.Compact())
	s.kill()
	first.Before(nil)
	if len(removed) < 4 {
		t.Fatal("no merges")
	}
	for name, b := range removed {
		s.disk.WriteFile(name, b)
	}
	for _, name := range []string{disk.ManifestName, disk.PrevManifestName} {
		if err := s.disk.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	to, r := salvage(t, "leftovers", s.disk, false)
	if r.Written == 0 {
		t.Errorf("%+v", r)
	}
	compare(t, "leftovers", read(t, to), s.want)
}

// TestSalvageWithoutCatalog: keys whose catalog entries are lost get new ones.
func TestSalvageWithoutCatalog(t *testing.T) {
	s := newStore(t, 1)
	for i := range 100 {
		s.put(fmt.Sprintf("key:%02d", i), kv.ID{Time: uint64(i)}, "1")
	}
	s.flush()
	s.delete("key:50")
	s.kill()
	for _, name := range s.disk.Files() {
		data, err := s.disk.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, _ := disk.ParseName(name); kind == disk.KindTable && data[12] == compaction.ClassCatalog {
			if err := s.disk.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	to, r := salvage(t, "no catalog", s.disk, false)
	if r.Reborn != 99 || r.Complete || r.Keys != 99 {
		t.Errorf("%+v", r)
	}
	compare(t, "no catalog", read(t, to), s.want)
	compare(t, "again", read(t, to), s.want)
}
