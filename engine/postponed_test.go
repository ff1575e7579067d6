package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"tskv/disk/disktest"
	"tskv/kv"
)

// TestPostponedWithRules: a recovery that waits for room ends well in a store with
// retention rules and expiries, whatever the sync mode. Meanwhile all that needs no
// write works, and the rest says why not.
func TestPostponedWithRules(t *testing.T) {
	for _, sync := range []SyncMode{SyncAlways, SyncInterval, SyncOS} {
		t.Run(sync.String(), func(t *testing.T) {
			fs := postponedDisk(t)
			opt := faultOptions(fs)
			opt.Sync, opt.MinFreeBytes = sync, 1<<10
			if sync == SyncInterval {
				opt.SyncInterval = 10 * time.Millisecond
			}
			db := open(t, opt)
			checkPostponed(t, db)
			checkWhilePostponed(t, db)
			tail, err := db.Tail(TailOptions{Key: []byte("k")})
			if err != nil {
				t.Fatal(err)
			}
			defer tail.Close()
			fs.Capacity(-1)
			resume(t, db, "k", 9000)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if events, err := tail.Next(ctx); err != nil || len(events) != 1 || events[0].ID != id(9000, 0) {
				t.Errorf("the tail gives %v %v", events, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, testOptions(fs))
			defer func() { _ = db.Close() }()
			if s := db.Stats(); s.Keys != 3 || s.Expires != 1 || s.Rules != 1 {
				t.Errorf("%d keys, %d with an expiry, %d rules", s.Keys, s.Expires, s.Rules)
			}
			wantNewest(t, db, "k", 9000, "resumed")
		})
	}
}

// postponedDisk is a disk without room, whose store has rules, expiries and records
// in its log only.
func postponedDisk(t *testing.T) *disktest.Disk {
	t.Helper()
	fs := disktest.New()
	db := open(t, testOptions(fs))
	if err := db.Retain(Rule{Pattern: []byte("k"), Records: 5}); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20) {
		mustPut(t, db, "k", 1+i, noise(byte(i), 1000))
	}
	mustPut(t, db, "e", 1, "v")
	err := db.Update(func(tx *Tx) error { _, err := tx.SetExpireAt([]byte("e"), 1<<50); return err }, []byte("e"))
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, db, "other", 1, "v")
	after := fs.Clone()
	db.stop(0)
	removeAll(t, after)
	leave(t, after, 0)
	return after
}

// checkWhilePostponed calls all that is not a write.
func checkWhilePostponed(t *testing.T, db *DB) {
	t.Helper()
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	n, err := snap.Count([]byte("k"), ScanOptions{To: kv.MaxID})
	if err != nil || n != 5 {
		t.Errorf("%d records: %v", n, err)
	}
	if _, err := db.Verify(context.Background(), nil); err != nil {
		t.Errorf("verify: %v", err)
	}
	if _, err := db.Checkpoint(context.Background(), "c"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("checkpoint: %v", err)
	}
	if _, err := db.ReleaseArchive(100); err != nil {
		t.Errorf("release archive: %v", err)
	}
	if _, err := db.Checkpoints(); err != nil {
		t.Errorf("checkpoints: %v", err)
	}
	for what, err := range map[string]error{
		"compact key": db.CompactKey([]byte("k")), "retain": db.Retain(Rule{Pattern: []byte("k"), Records: 1}),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
