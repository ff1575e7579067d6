package compaction

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tskv/kv"
	"tskv/manifest"
)

// symbolic is a store that follows the rules of Build without writing files: few
// windows and small files make the rare cases common.
type symbolic struct {
	rows    map[uint64][]memRow
	nextID  uint64
	windows int // files of windows per build, the rest is mixed
	perFile int // rows after which a file is full
}

func (s *symbolic) flush(rows []memRow, minSeq, maxSeq uint64) []manifest.File {
	return s.build(rows, minSeq, maxSeq, true, 0)
}

func (s *symbolic) build(rows []memRow, minSeq, maxSeq uint64, split bool, window int64) []manifest.File {
	open := make(map[int64]*manifest.File)
	var done []*manifest.File
	for _, m := range rows {
		at := window
		if split {
			at = WindowStart(ClassData, m.row.ID.Time)
		}
		f := open[at]
		if _, taken := open[Mixed]; f == nil && at != Mixed && len(open) >= s.windows+boolInt(taken) {
			at = Mixed
			f = open[at]
		}
		if f != nil && len(s.rows[f.ID]) >= s.perFile && string(f.MaxKey) != m.key {
			f = nil
		}
		if f == nil {
			s.nextID++
			f = &manifest.File{
				ID: s.nextID, Class: ClassData, Window: at, MinSeq: minSeq, MaxSeq: maxSeq,
				MinKey: []byte(m.key), MinTime: m.row.ID.Time, MaxTime: m.row.ID.Time,
			}
			open[at] = f
			done = append(done, f)
		}
		f.MaxKey = []byte(m.key)
		f.MinTime, f.MaxTime = min(f.MinTime, m.row.ID.Time), max(f.MaxTime, m.row.ID.Time)
		f.Rows++
		f.Size++
		if m.row.Form == kv.FormDelete {
			f.Deletes++
		}
		s.rows[f.ID] = append(s.rows[f.ID], m)
	}
	var files []manifest.File
	for _, f := range done {
		files = append(files, *f)
	}
	return files
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *symbolic) merge(plan Plan, tombs *kv.Tombstones) []manifest.File {
	if plan.Covered {
		return nil
	}
	var rows []memRow
	minSeq, maxSeq := plan.Inputs[0].MinSeq, uint64(0)
	for i := range plan.Inputs {
		f := &plan.Inputs[i]
		minSeq, maxSeq = min(minSeq, f.MinSeq), max(maxSeq, f.MaxSeq)
		for _, m := range s.rows[f.ID] {
			if !hidden(tombs, m, f.MaxSeq) {
				m.seq = f.MaxSeq
				rows = append(rows, m)
			}
		}
	}
	slices.SortFunc(rows, compareRows)
	rows = slices.CompactFunc(rows, func(a, b memRow) bool { return a.key == b.key && a.row.ID == b.row.ID })
	if plan.DropDeletes {
		rows = slices.DeleteFunc(rows, func(m memRow) bool { return m.row.Form == kv.FormDelete })
	}
	return s.build(rows, minSeq, maxSeq, plan.Split, plan.Window)
}

func (s *symbolic) read(f *manifest.File) []memRow { return s.rows[f.ID] }

// TestRandomHistories: whatever is written, flushed and compacted, the last
// write wins, the order of files stays sound, and compaction comes to an end.
func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	worlds := 300
	if testing.Short() {
		worlds = 100
	}
	plans := make(map[string]int)
	for n := range worlds {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		s := &symbolic{
			rows: make(map[uint64][]memRow), windows: 1 + rng.IntN(4), perFile: 20 + rng.IntN(200),
		}
		spread := 1 + rng.IntN(8)
		w := newWorld(t, rng.Uint64(), s, func(rng *rand.Rand) uint64 {
			return uint64(rng.IntN(spread)*rng.IntN(2))*7*dayMS + rng.Uint64N(10)
		})
		w.opt = PickOptions{MaxFileBytes: int64(s.perFile), SplitBytes: int64(10 + rng.IntN(200))}
		w.play(30, 60)
		for reason, n := range w.plans {
			plans[reason] += n
		}
		if t.Failed() {
			return
		}
	}
	t.Log(plans)
	for _, reason := range []string{"covered", "tiered", "split", "deletes", "tombstone", "settle"} {
		if plans[reason] == 0 && !testing.Short() {
			t.Errorf("no plan for the reason %s", reason)
		}
	}
}
