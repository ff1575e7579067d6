package engine

import (
	"math"
	"slices"

	"tskv/kv"
	"tskv/sstable"
)

// walk yields the rows of one key in ID order, deletes included, each ID once:
// as the newest source has it. It is a kv.Source.
//
// The obvious way is a merge of sources that yield all their rows. A walk looks
// at the spans of the files' indexes instead, before anything is decoded. A span
// that lies before the next row of every other input can neither hide a row nor
// be hidden, so it is passed over whole if no row of it is wanted, or if it is
// enough to count it. A span under a tombstone is passed over wherever it lies.
// Only spans that overlap, and the ends of the range, are read.
//
// Invariant: no row still to come from an input lies before its edge. The input
// with the first edge is narrowed until it has rows; the rows before the edges
// of all others are passed on as they are. Where rows of inputs alternate, a
// region up to the end of the first block is merged as a whole.
type walk struct {
	w    view
	key  []byte
	rg   kv.Range
	want walkOptions
	bits sstable.TagBits // of want.tags

	hash    sstable.Hash
	hides   []kv.IDRange // tombstones in memory
	inputs  []*input     // newest first
	pending []pending    // in the order in which their first rows may come
	region  kv.Source    // nil: no region is being merged
	part    kv.Rows
	turns   uint
	err     error
}

// walkOptions say what a walk need not yield.
type walkOptions struct {
	tags  kv.TagSet    // rows without all of these may be left out; nil: none may
	count *uint64      // rows may be left out up to this number, which falls by theirs; nil: none may
	stop  func() error // asked now and then; an error ends the walk. nil: never
}

// pending is a table that may have rows, none of them before low.
type pending struct {
	table *table
	low   kv.ID
}

// walk starts at the first row of the range. With KeysOnly, rows have their tags
// only if some are asked for.
func (w view) walk(key []byte, rg kv.Range, want walkOptions) *walk {
	k := &walk{w: w, key: slices.Clone(key), rg: rg, want: want}
	if want.tags != nil {
		k.bits = sstable.TagBitsOf(want.tags)
	}
	inMemory := rg
	inMemory.KeysOnly = rg.KeysOnly && want.tags == nil
	var tombs []kv.Tombstone
	for i, m := range k.memtables() {
		if s := m.Find(key); s != nil {
			k.addMemory(m, s, inMemory, math.MaxUint64-uint64(i), ranges(tombs))
		}
		if m.HasTombstones() {
			tombs = m.Covering(key, w.seq, tombs)
		}
	}
	k.hides = ranges(tombs)
	k.addTables()
	return k
}

// addMemory makes a memtable's series an input.
func (k *walk) addMemory(m *memory, s memSeries, rg kv.Range, rank uint64, hides []kv.IDRange) {
	if rg.Reverse && m.HasTombstones() {
		// Newest leaps over what its own tombstones hide.
		row, _, ok := m.Newest(s, rg.To, k.w.seq)
		if !ok || row.ID.Less(rg.From) {
			return
		}
		rg.To = row.ID
	}
	in := &input{rank: rank, hider: kv.NewHider(hides)}
	in.open = func(from kv.ID) kv.Source {
		rest := rg
		rest.From = from
		if rg.Reverse {
			rest.From, rest.To = rg.From, from
		}
		return m.Source(s, rest, k.w.seq)
	}
	in.low = rg.From
	if rg.Reverse {
		in.low = rg.To
	}
	in.memory = in.open(in.low)
	k.inputs = append(k.inputs, in)
}

// indexed reports whether the files of warm memtables are read instead of these:
// rows are counted, and an index knows numbers.
func (k *walk) indexed() bool { return k.want.count != nil && k.key[0] == spaceData }

// memtables returns those to read.
func (k *walk) memtables() []*memory {
	if k.indexed() {
		return k.w.v.mem[:1+k.w.v.frozen]
	}
	return k.w.v.mem
}

// tables returns the files to read beside the memtables.
func (k *walk) tables() []*table {
	if k.indexed() {
		return k.w.v.stored()
	}
	return k.w.tables(k.key)
}

// addTables lists the tables of the range without a look into them.
func (k *walk) addTables() {
	for _, t := range k.tables() {
		first, last := kv.ID{Time: t.file.MinTime}, kv.ID{Time: t.file.MaxTime, Seq: math.MaxUint64}
		if !last.Less(k.rg.From) && !k.rg.To.Less(first) {
			k.pending = append(k.pending, pending{t, k.start(first, last)})
		}
	}
	if len(k.pending) == 0 {
		return
	}
	k.hash = sstable.KeyHash(k.key)
	slices.SortStableFunc(k.pending, func(a, b pending) int {
		if k.rg.Reverse {
			a, b = b, a
		}
		return a.low.Compare(b.low)
	})
}

// before reports whether a comes before b in the order of the walk.
func (k *walk) before(a, b kv.ID) bool {
	if k.rg.Reverse {
		return b.Less(a)
	}
	return a.Less(b)
}

// start returns where the part of [first, last] in the range begins.
func (k *walk) start(first, last kv.ID) kv.ID {
	switch {
	case !k.rg.Reverse && first.Less(k.rg.From):
		return k.rg.From
	case !k.rg.Reverse:
		return first
	case k.rg.To.Less(last):
		return k.rg.To
	}
	return last
}

// end returns where the part of [first, last] in the range ends.
func (k *walk) end(first, last kv.ID) kv.ID {
	switch {
	case !k.rg.Reverse && k.rg.To.Less(last):
		return k.rg.To
	case !k.rg.Reverse:
		return last
	case first.Less(k.rg.From):
		return k.rg.From
	}
	return first
}

// stopEvery is how many turns pass between two looks at whether to stop. A turn
// takes between some nanoseconds and the reading of a block.
const stopEvery = 16

// Next implements kv.Source.
func (k *walk) Next() (*kv.Rows, error) {
	for k.err == nil {
		if k.turns++; k.turns%stopEvery == 0 {
			if k.err = k.mustStop(); k.err != nil {
				break
			}
		}
		if k.region != nil {
			rows, err := k.region.Next()
			if rows != nil && err == nil {
				return rows, nil
			}
			k.region.Close()
			k.region, k.err = nil, err
			continue
		}
		in, bound, alone := k.first()
		switch {
		case len(k.pending) > 0 && (in == nil || !k.before(in.edge(), k.pending[0].low)):
			k.err = k.openPending()
		case in == nil:
			return nil, nil
		case in.rows == nil:
			k.err = k.narrow(in, bound, alone)
		default:
			if rows := k.run(in, bound, alone); rows != nil {
				return rows, nil
			}
		}
	}
	return nil, k.err
}

// mustStop returns why the walk cannot go on.
func (k *walk) mustStop() error {
	if err := k.w.stale(); err != nil || k.want.stop == nil {
		return err
	}
	return k.want.stop()
}

// first returns the input with the first edge, one without rows before others
// with the same edge, and the first edge of all others; alone if there are none.
func (k *walk) first() (first *input, bound kv.ID, alone bool) {
	alone = true
	if len(k.pending) > 0 {
		bound, alone = k.pending[0].low, false
	}
	var head kv.ID
	for _, in := range k.inputs {
		id := in.edge()
		if first == nil || k.before(id, head) || id == head && in.rows == nil && first.rows != nil {
			if first, in = in, first; in == nil {
				head = id
				continue
			}
			head, id = id, head
		}
		if alone || k.before(id, bound) {
			bound, alone = id, false
		}
	}
	return first, bound, alone
}

// openPending makes the first pending table an input, if it has rows.
func (k *walk) openPending() error {
	t := k.pending[0].table
	k.pending = k.pending[1:]
	if !k.w.mayHold(t, k.key, &k.hash) {
		return nil
	}
	file, err := t.Walk(k.key, k.rg, k.want.tags != nil)
	if err != nil {
		return k.w.db.readError(err)
	}
	if file == nil {
		k.w.db.metrics.BloomFalsePositives.Inc()
		return nil
	}
	span := file.Span()
	in := &input{rank: t.file.MaxSeq, file: file, low: k.start(span.Min, span.Max)}
	in.hider = kv.NewHider(k.w.v.tombs.Hidden(k.key, t.file.MaxSeq, slices.Clone(k.hides)))
	in.untagged = k.want.tags != nil && span.MayHold(k.bits) && !t.MayHoldTags(k.want.tags)
	at := len(k.inputs)
	for at > 0 && k.inputs[at-1].rank < in.rank {
		at--
	}
	k.inputs = slices.Insert(k.inputs, at, in)
	return nil
}

// narrow takes an input without rows one step further. bound is the first edge
// of all others.
func (k *walk) narrow(in *input, bound kv.ID, alone bool) error {
	if in.file == nil {
		if more, err := in.loadMemory(k.rg.Reverse); !more || err != nil {
			k.remove(in)
			return err
		}
		return nil
	}
	span := in.file.Span()
	if span == nil {
		k.remove(in)
		return nil
	}
	start, end := k.start(span.Min, span.Max), k.end(span.Min, span.Max)
	some, all := in.hider.Covers(start, end)
	if k.rg.Reverse {
		some, all = in.hider.Covers(end, start)
	}
	free := alone || k.before(end, bound)
	var err error
	switch {
	case all, free && k.unwanted(in, span), free && !some && k.counted(span):
		err = in.file.Skip()
	case in.file.Opened():
		err = in.loadFile()
	default:
		err = in.file.Enter()
	}
	if err != nil {
		return k.w.db.readError(err)
	}
	if next := in.file.Span(); next != nil && in.rows == nil {
		if id := k.start(next.Min, next.Max); k.before(in.low, id) {
			in.low = id
		}
	}
	return nil
}

// unwanted reports whether no row of a span has the tags that are wanted.
func (k *walk) unwanted(in *input, span *sstable.Span) bool {
	return k.want.tags != nil && (in.untagged || !span.MayHold(k.bits))
}

// counted counts a span, if that is enough.
func (k *walk) counted(span *sstable.Span) bool {
	if k.want.count == nil || k.want.tags != nil || !span.Counted {
		return false
	}
	n := span.Rows - span.Deletes
	if n > *k.want.count {
		return false
	}
	*k.want.count -= n
	return true
}

func (k *walk) remove(in *input) {
	in.close()
	k.inputs = slices.DeleteFunc(k.inputs, func(other *input) bool { return other == in })
}

// Close implements kv.Source.
func (k *walk) Close() {
	for _, in := range k.inputs {
		in.close()
	}
	k.inputs, k.pending, k.region = nil, nil, nil
}
