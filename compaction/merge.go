package compaction

import (
	"cmp"
	"math"
	"slices"

	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// Input is one file of a merge and its open reader. The caller keeps the
// reader open until Merge returns.
type Input struct {
	Reader *sstable.Reader
	File   manifest.File
}

// Merge writes what is still to be seen of the inputs into new files, as the
// plan says: of rows with the same key and ID the one of the newest file, none
// that a tombstone hides, no point deletes if the plan allows it. tombs must
// hold all tombstones with a sequence up to that of the newest input; more do
// no harm. Sequences, window and tier of out are set from the inputs. A plan
// that is Covered makes no files, and needs no readers. What cannot be read is an
// *InputError.
func Merge(inputs []Input, tombs *kv.Tombstones, plan Plan, out Output) ([]manifest.File, error) {
	if plan.Covered || len(inputs) == 0 {
		return nil, nil
	}
	inputs = slices.Clone(inputs)
	slices.SortFunc(inputs, func(a, b Input) int {
		return cmp.Or(cmp.Compare(b.File.MaxSeq, a.File.MaxSeq), cmp.Compare(a.File.ID, b.File.ID))
	})
	out.MinSeq, out.MaxSeq, out.Tier = math.MaxUint64, 0, 0
	iters := make([]kv.SeriesIterator, len(inputs))
	for i, in := range inputs {
		out.MinSeq, out.MaxSeq = min(out.MinSeq, in.File.MinSeq), max(out.MaxSeq, in.File.MaxSeq)
		out.Tier = max(out.Tier, in.File.Tier)
		iters[i] = &named{in.Reader.StreamIterator(), in.File.ID}
		if tombs.Len() > 0 {
			iters[i] = &hiding{SeriesIterator: iters[i], tombs: tombs, seq: in.File.MaxSeq}
		}
	}
	if out.Tier < math.MaxUint8 {
		out.Tier++
	}
	it := kv.MergeSeries(iters)
	if plan.DropDeletes {
		it = &undeleting{it}
	}
	out.Split, out.Window = plan.Split, plan.Window
	return Build(it, func([]byte) uint8 { return plan.Class }, out)
}

// hiding leaves out what tombstones newer than a file hide of it.
type hiding struct {
	kv.SeriesIterator
	tombs  *kv.Tombstones
	seq    uint64
	ranges []kv.IDRange // of the current series
}

func (h *hiding) Next() ([]byte, error) {
	key, err := h.SeriesIterator.Next()
	if key != nil && err == nil {
		h.ranges = h.tombs.Hidden(key, h.seq, h.ranges[:0])
	}
	return key, err
}

func (h *hiding) Rows(r kv.Range) (kv.Source, error) {
	src, err := h.SeriesIterator.Rows(r)
	if err != nil || len(h.ranges) == 0 {
		return src, err
	}
	return kv.Hide(src, h.ranges), nil
}

// undeleting leaves out point deletes.
type undeleting struct{ kv.SeriesIterator }

func (u *undeleting) Rows(r kv.Range) (kv.Source, error) {
	src, err := u.SeriesIterator.Rows(r)
	if err != nil {
		return nil, err
	}
	return kv.DropDeletes(src), nil
}
