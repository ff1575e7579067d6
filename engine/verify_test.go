package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
)

func TestVerify(t *testing.T) {
	d := disktest.New()
	db := open(t, testOptions(d))
	defer func() { _ = db.Close() }()
	db.compactMu.Lock() // the background leaves the files alone
	for i := range 3 {
		mustPut(t, db, fmt.Sprint("k", i), 1_700_000_000_000, "v")
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := db.Verify(t.Context(), nil)
	if err != nil || all.Files != 6 || all.Rows != 6 || all.Bytes == 0 || all.Broken != 0 {
		t.Fatalf("%+v %v", all, err)
	}
	if one, err := db.Verify(t.Context(), []byte("k1")); err != nil || one.Files != 2 || one.Rows != 2 {
		t.Fatalf("of one key: %+v %v", one, err)
	}
	if _, err := db.Verify(t.Context(), []byte{}); !errors.Is(err, ErrKey) {
		t.Errorf("of no key: %v", err)
	}
	broken := disk.TableName(db.filesOf([]byte("k1"))[0].ID)
	d.Corrupt(broken, func(b []byte) []byte { b[100] ^= 1; return b })
	missing := disk.TableName(db.filesOf([]byte("k2"))[0].ID)
	if err := d.Remove(missing); err != nil {
		t.Fatal(err)
	}
	d.Corrupt(disk.ManifestName, func(b []byte) []byte { b[40] ^= 1; return b })
	found, err := db.Verify(t.Context(), nil)
	if err != nil || found.Files != 6 || found.Rows != 4 || found.Broken != 3 || len(found.Damaged) != 3 {
		t.Fatalf("%+v %v", found, err)
	}
	for _, f := range found.Damaged {
		switch f.File {
		case broken, disk.ManifestName:
			if !errors.Is(f.Err, disk.ErrCorrupt) || !strings.Contains(f.Err.Error(), f.File) {
				t.Errorf("%s: %v", f.File, f.Err)
			}
		case missing:
		default:
			t.Errorf("%s is damaged: %v", f.File, f.Err)
		}
	}
	if one, err := db.Verify(t.Context(), []byte("k0")); err != nil || one.Broken != 1 {
		t.Errorf("of a sound key, only the manifest is damaged: %+v %v", one, err)
	}
	db.compactMu.Unlock()
}

// TestVerifyGivesUp: a caller who leaves, or a store that closes, ends it, and a
// second one does not begin.
func TestVerifyGivesUp(t *testing.T) {
	d := disktest.New()
	db := open(t, testOptions(d))
	mustPut(t, db, "k", 1, "v")
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	d.Before(func(op disktest.Op, name string) {
		if op == disktest.OpRead && strings.HasPrefix(name, disk.TableDir) {
			once.Do(func() {
				if _, err := db.Verify(ctx, nil); !errors.Is(err, ErrVerifying) {
					t.Errorf("a second one: %v", err)
				}
				cancel()
			})
		}
	})
	if found, err := db.Verify(ctx, nil); !errors.Is(err, context.Canceled) || found.Broken != 0 {
		t.Errorf("%+v %v", found, err)
	}
	d.Before(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Verify(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
