package compaction

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"tskv/disk"
	"tskv/disk/disktest"
	"tskv/kv"
	"tskv/manifest"
)

// layers builds one file per list of rows, with sequences 1-10, 11-20 and so on.
func layers(t testing.TB, d disk.FS, out Output, lists ...[]memRow) []manifest.File {
	t.Helper()
	var files []manifest.File
	for i, rows := range lists {
		out.MinSeq, out.MaxSeq = uint64(i*10+1), uint64(i*10+10)
		made := build(t, rows, out)
		if len(made) != 1 {
			t.Fatalf("layer %d has %d files", i, len(made))
		}
		files = append(files, made...)
	}
	return files
}

func mergeAll(t testing.TB, d disk.FS, files []manifest.File, tombs []kv.Tombstone, plan Plan, out Output) []manifest.File {
	t.Helper()
	inputs := openInputs(t, d, files)
	defer closeInputs(t, inputs)
	merged, err := Merge(inputs, kv.NewTombstones(tombs), plan, out)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range merged {
		if f.MinSeq != files[0].MinSeq || f.MaxSeq != files[len(files)-1].MaxSeq {
			t.Errorf("merged file has sequences %d..%d", f.MinSeq, f.MaxSeq)
		}
	}
	return merged
}

func TestMergeLastWriteWins(t *testing.T) {
	d := newDisk(t)
	out := outputOn(d)
	gone := num("b", 3, 0)
	gone.row.Form = kv.FormDelete
	files := layers(
		t, d, out,
		[]memRow{num("a", 1, 1), num("a", 2, 1), num("b", 3, 1), num("c", 1, 1)},
		[]memRow{num("a", 2, 2), num("a", 3, 2), gone},
		[]memRow{num("a", 3, 3), num("a", 4, 3), num("d", 1, 3)},
	)
	plan := Plan{Class: ClassData}
	want := []memRow{num("a", 1, 1), num("a", 2, 2), num("a", 3, 3), num("a", 4, 3), gone, num("c", 1, 1), num("d", 1, 3)}
	sameRows(t, d, mergeAll(t, d, files, nil, plan, out), want)
	plan.DropDeletes = true
	want = append(want[:4:4], want[5:]...)
	sameRows(t, d, mergeAll(t, d, files, nil, plan, out), want)
	files[0], files[2] = files[2], files[0] // their order in the call does not matter
	inputs := openInputs(t, d, files)
	merged, err := Merge(inputs, nil, plan, out)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, d, merged, want)
	closeInputs(t, inputs)
}

// TestMergeTombstones tries a tombstone before, in and after each input.
func TestMergeTombstones(t *testing.T) {
	for seq := uint64(0); seq <= 32; seq++ {
		for _, prefix := range []bool{false, true} {
			d := newDisk(t)
			out := outputOn(d)
			var lists [3][]memRow
			var want []memRow
			for _, key := range []string{"a", "ab", "b"} {
				for tm := uint64(1); tm <= 6; tm++ {
					kept := false
					for layer := 2; layer >= 0; layer-- {
						if layer > 0 && tm%3 != uint64(layer) {
							continue // the newer layers have every third row
						}
						m := num(key, tm, int64(layer))
						lists[layer] = append(lists[layer], m)
						covered := (key == "a" || prefix && key == "ab") && tm >= 2 && tm <= 5
						if !kept && !(covered && seq > uint64(layer*10+10)) {
							want, kept = append(want, m), true
						}
					}
				}
			}
			files := layers(t, d, out, lists[0], lists[1], lists[2])
			ts := kv.Tombstone{Key: []byte("a"), Prefix: prefix, From: kv.ID{Time: 2}, To: kv.ID{Time: 5, Seq: 9}, Seq: seq}
			merged := mergeAll(t, d, files, []kv.Tombstone{ts}, Plan{Class: ClassData}, out)
			sameRows(t, d, merged, want)
			if t.Failed() {
				t.Fatalf("tombstone at %d, prefix %t", seq, prefix)
			}
		}
	}
}

func TestMergeAllHidden(t *testing.T) {
	d := newDisk(t)
	out := outputOn(d)
	files := layers(t, d, out, seriesRows(3, 5, 0, 1), seriesRows(2, 5, 0, 1))
	before := len(d.Files())
	all := []kv.Tombstone{{Prefix: true, To: kv.MaxID, Seq: 100}}
	if merged := mergeAll(t, d, files, all, Plan{Class: ClassData}, out); len(merged) != 0 {
		t.Errorf("files of nothing: %+v", merged)
	}
	if merged, err := Merge([]Input{{File: files[0]}}, nil, Plan{Covered: true}, out); merged != nil || err != nil {
		t.Errorf("a covered plan gave %v, %v", merged, err)
	}
	if len(d.Files()) != before {
		t.Errorf("files %v", d.Files())
	}
}

// TestMergeOnFailingDisk fails every call of a merge once: an error, the inputs
// are untouched and nothing else is left.
func TestMergeOnFailingDisk(t *testing.T) {
	for nth := 1; ; nth++ {
		d := newDisk(t)
		out := outputOn(d)
		a, b := seriesRows(20, 40, 0, 2), seriesRows(20, 40, 1, 2)
		files := layers(t, d, out, a, b)
		names := fmt.Sprint(d.Files())
		inputs := openInputs(t, d, files)
		d.Fail(disktest.FailRule{Nth: nth})
		_, err := Merge(inputs, nil, Plan{Class: ClassData}, out)
		failed := d.Failed() > 0
		d.Heal()
		closeInputs(t, inputs)
		if !failed {
			break
		}
		if n := d.Handles(); n != 0 {
			t.Fatalf("call %d: %d handles left open", nth, n)
		}
		if err != nil && (!errors.Is(err, syscall.EIO) || fmt.Sprint(d.Files()) != names) {
			t.Fatalf("call %d: %v, files %v", nth, err, d.Files())
		}
		sameRows(t, d, files[:1], a)
		sameRows(t, d, files[1:], b)
	}
}

func TestLiveTombstones(t *testing.T) {
	file := manifest.File{
		ID: 1, MinSeq: 5, MaxSeq: 10, MinKey: []byte("b"), MaxKey: []byte("dx"), MinTime: 100, MaxTime: 200,
	}
	f := func(want bool, ts kv.Tombstone) {
		t.Helper()
		live := LiveTombstones([]manifest.File{file}, []kv.Tombstone{ts})
		if (len(live) == 1) != want {
			t.Errorf("%s prefix=%t seq=%d %v..%v: live %v", ts.Key, ts.Prefix, ts.Seq, ts.From, ts.To, live)
		}
	}
	at := func(key string, prefix bool, seq, from, to uint64) kv.Tombstone {
		return kv.Tombstone{Key: []byte(key), Prefix: prefix, Seq: seq, From: kv.ID{Time: from}, To: kv.ID{Time: to}}
	}
	f(true, at("c", false, 11, 0, 1000))
	f(false, at("c", false, 10, 0, 1000)) // the file was made with it
	f(false, at("c", false, 3, 0, 1000))
	f(true, at("c", false, 11, 200, 1000))
	f(false, at("c", false, 11, 201, 1000))
	f(true, at("c", false, 11, 0, 100))
	f(false, at("c", false, 11, 0, 99))
	f(true, at("b", false, 11, 0, 1000))
	f(false, at("a", false, 11, 0, 1000))
	f(false, at("dy", false, 11, 0, 1000))
	f(true, at("", true, 11, 0, 1000))
	f(true, at("d", true, 11, 0, 1000))
	f(true, at("b", true, 11, 0, 1000))
	f(false, at("a", true, 11, 0, 1000))
	f(false, at("e", true, 11, 0, 1000))
}
