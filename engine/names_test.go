package engine

import (
	"testing"

	"tskv/disk/disktest"
)

// TestLostNames: a sync of the table directory that fails for one build may lose
// the names of another that runs beside it, whose own sync then says OK: no
// manifest may list such files.
func TestLostNames(t *testing.T) {
	fs := disktest.New()
	db := open(t, faultOptions(fs))
	mine, other := db.tableFS(), db.tableFS()
	fs.Fail(disktest.FailRule{Op: disktest.OpSyncDir, Name: "sst"})
	if err := other.SyncDir("sst"); err == nil {
		t.Fatal("the sync did not fail")
	}
	if err := mine.SyncDir("sst"); err == nil {
		t.Error("a build whose names may be lost was synced")
	}
	if err := db.tableFS().SyncDir("sst"); err != nil {
		t.Error("a later build:", err)
	}
	mustPut(t, db, "k", 1, "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, testOptions(fs.Crash(disktest.CrashOptions{})))
	wantNewest(t, db, "k", 1, "v")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
