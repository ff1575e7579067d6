package memtable

import "tskv/kv"

// batchRows is the most rows that a source returns at once.
const batchRows = 1024

// batch is the memory of one open source, kept by the pool between uses.
type batch struct {
	time [batchRows]uint64
	seq  [batchRows]uint64
	form [batchRows]kv.Form
	num  [batchRows]int64
	raw  [][]byte    // nil until the first raw row, then batchRows long
	tags []kv.TagSet // the same

	chain   chain
	streams []stream
	rows    kv.Rows
}

// source merges the chain and the runs of a series. Streams are emitted in ID
// order; where versions of one ID meet in the output, the highest sequence stays.
type source struct {
	t        *Table
	r        kv.Range
	maxSeq   uint64
	limit    uint32 // maxSeq as a distance to the base
	filtered bool   // rows must be checked one by one
	aborted  []seqRange
	cover    cover
	step     int // of cover: where the last row was found

	b       *batch // nil when closed
	n       int    // rows in the batch
	delta   uint32 // of row n-1
	hasRaw  bool
	hasTags bool
}

// Source returns the rows of a series in a range, one per ID: among those with
// a sequence <= maxSeq the one of the highest sequence, unless a tombstone of
// this table hides it. Rows of FormDelete are kept. Batches have up to 1024
// rows; their Raw and Tags share the table's memory, so the caller holds a
// reference until it is done with them. Any goroutine.
func (t *Table) Source(s *Series, r kv.Range, maxSeq uint64) kv.Source {
	src := &source{t: t, r: r, maxSeq: maxSeq}
	limit, ok := t.maxDelta(maxSeq)
	if !ok || r.To.Less(r.From) {
		return src
	}
	src.limit = limit
	src.aborted = t.abortedRanges()
	if t.HasTombstones() {
		var room [4][]kv.Tombstone
		src.cover = newCover(t.tombstoneLists(s.key, room[:0]), src.aborted, &r, maxSeq)
	}
	src.filtered = src.aborted != nil || src.cover != nil
	src.b, _ = t.opt.Pool.batches.Get().(*batch)
	if src.b == nil {
		src.b = &batch{}
	}
	src.open(s)
	return src
}

// open collects the streams that have rows in the range.
func (src *source) open(s *Series) {
	b := src.b
	b.chain.open(s, &src.r, src.limit)
	if st := (stream{chain: &b.chain}); st.fill(src.r.Reverse) {
		b.streams = append(b.streams, st)
	}
	late := s.late.Load()
	if late == nil {
		return
	}
	src.addRun(&late.buffer)
	for i := range late.runs {
		src.addRun(&late.runs[i])
	}
}

func (src *source) addRun(r *run) {
	if len(r.records) == 0 || r.minDelta > src.limit {
		return
	}
	low := 0
	if id, ok := src.r.From.Prev(); ok {
		low = r.search(id)
	}
	if high := r.search(src.r.To); low < high {
		src.filtered = src.filtered || r.maxDelta > src.limit
		src.b.streams = append(src.b.streams, stream{records: r.records[low:high]})
	}
}

// Next returns the next batch.
func (src *source) Next() (*kv.Rows, error) {
	b := src.b
	if b == nil {
		return nil, nil
	}
	src.reset()
	for len(b.streams) > 0 {
		best, bound, alone := src.choose()
		st := &b.streams[best]
		piece := st.records
		if !alone {
			piece = st.upTo(bound, src.r.Reverse)
		}
		taken := src.emit(piece)
		st.drop(taken, src.r.Reverse)
		if taken < len(piece) {
			break // the batch is full
		}
		if len(st.records) == 0 && !st.fill(src.r.Reverse) {
			last := len(b.streams) - 1
			b.streams[best] = b.streams[last]
			b.streams = b.streams[:last]
		}
	}
	if src.n == 0 {
		src.Close()
		return nil, nil
	}
	src.finish()
	return &b.rows, nil
}

// choose returns the stream whose next record comes first, and the ID of the
// next record of all others that comes first.
func (src *source) choose() (best int, bound kv.ID, alone bool) {
	streams, reverse := src.b.streams, src.r.Reverse
	if len(streams) == 1 {
		return 0, kv.ID{}, true
	}
	head := streams[0].head(reverse)
	bound = kv.MaxID
	if reverse {
		bound = kv.MinID
	}
	for i := 1; i < len(streams); i++ {
		id := streams[i].head(reverse)
		if id.Less(head) != reverse && id != head {
			best, head, id = i, id, head
		}
		if id.Less(bound) != reverse {
			bound = id
		}
	}
	return best, bound, false
}

// emit appends the records of a piece to the batch in the source's direction
// and returns how many it has dealt with: all, unless the batch is full.
func (src *source) emit(piece []record) int {
	b := src.b
	i, step := 0, 1
	if src.r.Reverse {
		i, step = len(piece)-1, -1
	}
	for left := len(piece); left > 0; left-- {
		r := &piece[i]
		i += step
		if src.filtered && src.hides(r) {
			continue
		}
		at := src.n
		if at > 0 && b.time[at-1] == r.time && b.seq[at-1] == r.idSeq {
			if r.delta < src.delta {
				continue
			}
			at--
		} else if at == batchRows {
			return len(piece) - left
		}
		b.time[at], b.seq[at] = r.time, r.idSeq
		src.delta = r.delta
		src.n = at + 1
		if code := r.code(); code <= kv.MaxScale {
			b.form[at], b.num[at] = kv.Form(code), int64(r.value)
			if src.hasRaw || src.hasTags {
				src.setPayload(at, nil, nil)
			}
			continue
		}
		src.setRow(at, r)
	}
	return len(piece)
}

// setRow sets a row that is no plain decimal.
func (src *source) setRow(i int, r *record) {
	var row kv.Row
	src.t.arena.load(r, &row)
	src.b.form[i], src.b.num[i] = row.Form, row.Num
	src.setPayload(i, row.Raw, row.Tags)
}

// hides reports whether a record is beyond the snapshot, aborted or under a
// tombstone.
func (src *source) hides(r *record) bool {
	if r.delta > src.limit {
		return true
	}
	seq := src.t.base + uint64(r.delta)
	if isAborted(src.aborted, seq) {
		return true
	}
	if src.cover == nil {
		return false
	}
	src.step = src.cover.at(src.step, r.id())
	return src.cover[src.step].seq > seq
}

// setPayload sets Raw and Tags of a row; what is unused stays nil.
func (src *source) setPayload(i int, raw []byte, tags kv.TagSet) {
	if src.r.KeysOnly {
		return
	}
	b := src.b
	if raw != nil && !src.hasRaw {
		src.hasRaw = true
		if b.raw == nil {
			b.raw = make([][]byte, batchRows)
		}
	}
	if tags != nil && !src.hasTags {
		src.hasTags = true
		if b.tags == nil {
			b.tags = make([]kv.TagSet, batchRows)
		}
	}
	if src.hasRaw {
		b.raw[i] = raw
	}
	if src.hasTags {
		b.tags[i] = tags
	}
}

// reset empties the batch and keeps the promise that unused payloads are nil.
func (src *source) reset() {
	if src.hasRaw {
		clear(src.b.raw[:src.n])
	}
	if src.hasTags {
		clear(src.b.tags[:src.n])
	}
	src.n, src.delta, src.hasRaw, src.hasTags = 0, 0, false, false
}

// finish makes the batch's rows.
func (src *source) finish() {
	b, n := src.b, src.n
	b.rows = kv.Rows{Time: b.time[:n], Seq: b.seq[:n], Form: b.form[:n]}
	if src.r.KeysOnly {
		return
	}
	b.rows.Num = b.num[:n]
	if src.hasRaw {
		b.rows.Raw = b.raw[:n]
	}
	if src.hasTags {
		b.rows.Tags = b.tags[:n]
	}
}

// Close gives the batch back.
func (src *source) Close() {
	b := src.b
	if b == nil {
		return
	}
	src.reset()
	src.b = nil
	b.rows = kv.Rows{}
	b.chain = chain{}
	clear(b.streams[:cap(b.streams)])
	b.streams = b.streams[:0]
	src.t.opt.Pool.batches.Put(b)
}
