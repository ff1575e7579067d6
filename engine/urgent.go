package engine

import (
	"tskv/compaction"
)

// A merge of large files takes many seconds, and meanwhile every flush adds a small
// one to the window that is written to. So a large merge lets small ones go first:
// between two pieces of its output its goroutine does a whole merge of other files.
// That is still one processor.
//
// The two do not meet: a small merge takes no input of the large one, which for it
// stands in the way like any other file that may not be merged. What the large one
// writes takes the place of its inputs in the order of sequences, whatever has
// become of their neighbours.
const (
	// urgentFiles in the hot window let a small merge go first.
	urgentFiles = slowHotFiles / 2
	// urgentShare of the large merge's inputs is what a small one reads at most.
	urgentShare = 8
)

// beUrgent does one small merge if many files wait for one. plan is the one under
// way, which ends with the error of this one, unless that is of a damaged file.
// db.compactMu is held.
func (db *DB) beUrgent(plan *compaction.Plan) error {
	if db.urgent || db.hotFiles.Load() < urgentFiles { // one is under way, or none is needed
		return nil
	}
	var total int64
	busy := make(map[uint64]bool, len(plan.Inputs))
	for i := range plan.Inputs {
		total += plan.Inputs[i].Size
		busy[plan.Inputs[i].ID] = true
	}
	v := db.acquire()
	if v == nil {
		return nil
	}
	defer v.release()
	opt := db.pickOptions(v)
	opt.MaxInputBytes = max(min(opt.MaxInputBytes, total/urgentShare), 1)
	opt.Avoid = func(id uint64) bool { return busy[id] || db.damaged.avoid(id) }
	small, ok := compaction.Pick(v.files(), opt)
	if !ok || small.Reason != "tiered" && small.Reason != "crowd" {
		return nil
	}
	db.urgent = true
	defer func() { db.urgent = false }()
	if err := db.carryOut(v, small); err != nil && !db.setAside(err) {
		return err
	}
	return nil
}
