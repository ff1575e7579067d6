package engine

import (
	"sync/atomic"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestLastIDUnderRules: a delete of records, which takes away what rules hide as
// well, does not make the store forget the last ID.
func TestLastIDUnderRules(t *testing.T) {
	const hour = 3_600_000
	fs := disktest.New()
	opt := testOptions(fs)
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	opt.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	db := open(t, opt)
	if err := db.Retain(Rule{Pattern: []byte("k"), AgeMS: hour, Records: 4}); err != nil {
		t.Fatal(err)
	}
	last := kv.ID{Time: uint64(now.Load()), Seq: 7}
	var b Batch
	b.Put([]byte("k"), last, []byte("1"))
	apply(t, db, &b)
	now.Add(2 * hour)
	deleteRange(t, db, "k", uint64(now.Load()), uint64(now.Load())+1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, opt)
	op := b.Add()
	op.Key, op.Value, op.Mode, op.Cond, op.After = []byte("k"), []byte("2"), IDAuto, IfLast, last
	if err := db.Apply(&b); err != nil || op.Err != nil {
		t.Error(err, op.Err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
