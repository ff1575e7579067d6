package engine

import (
	"tskv/kv"
	"tskv/sstable"
)

// input is one source of a walk: a memtable's series, or a table's.
type input struct {
	rank  uint64 // a higher one is newer
	low   kv.ID  // while rows is nil: no row to come lies before it
	rows  *kv.Rows
	pos   int // rows from here on are still to come
	hider *kv.Hider

	file     *sstable.Walk // nil: memory
	untagged bool          // no row of the file has the tags that are wanted

	memory kv.Source
	open   func(from kv.ID) kv.Source // memory from an ID on
}

// edge is an ID that no row to come lies before; that of the next row if rows
// are there.
func (in *input) edge() kv.ID {
	if in.rows != nil {
		return in.rows.ID(in.pos)
	}
	return in.low
}

// offer makes a batch the rows of the input, without the hidden ones.
func (in *input) offer(rows *kv.Rows) {
	in.low = rows.ID(rows.Len() - 1)
	in.rows, in.pos = in.hider.Filter(rows), 0
	if in.rows.Len() == 0 {
		in.rows = nil
	}
}

// loadMemory reads the next batch; false at the end. If all of it is hidden, it
// leaps to the end of what hides it.
func (in *input) loadMemory(reverse bool) (bool, error) {
	rows, err := in.memory.Next()
	if rows == nil || err != nil {
		return false, err
	}
	in.offer(rows)
	if in.rows != nil {
		return true, nil
	}
	hide, _ := in.hider.Range(in.low)
	next, more := hide.To.Next()
	if reverse {
		next, more = hide.From.Prev()
	}
	if !more {
		return false, nil
	}
	in.memory.Close()
	in.memory, in.low = in.open(next), next
	return true, nil
}

// loadFile reads the next batch of the open block.
func (in *input) loadFile() error {
	rows, err := in.file.Next()
	if rows != nil && err == nil {
		in.offer(rows)
	}
	return err
}

func (in *input) close() {
	if in.file != nil {
		in.file.Close()
	} else {
		in.memory.Close()
	}
	in.rows = nil
}

// take returns the rows from the position up to end, in part if not all of the
// batch, and moves on.
func (in *input) take(end int, part *kv.Rows) *kv.Rows {
	rows := in.rows
	if in.pos > 0 || end < rows.Len() {
		*part = rows.Slice(in.pos, end)
		rows = part
	}
	if in.pos = end; end == in.rows.Len() {
		in.rows = nil
	}
	return rows
}

// shortRun is the length below which rows of an input between those of others are
// not worth a batch of their own.
const shortRun = 256

// run returns the rows of an input that lie before the bound. If they are few,
// because inputs alternate or have the same ID, it starts a region instead.
func (k *walk) run(in *input, bound kv.ID, alone bool) *kv.Rows {
	n := in.rows.Len()
	end := n
	if !alone && !k.before(in.rows.ID(n-1), bound) {
		end = in.rows.Seek(bound, in.pos, k.rg.Reverse)
	}
	if end < n && end-in.pos < shortRun {
		k.startRegion()
		return nil
	}
	return in.take(end, &k.part)
}

// startRegion merges the inputs that have rows, up to the end of the first block
// that ends, and not as far as an input without rows may begin.
func (k *walk) startRegion() {
	last := k.rg.To
	if k.rg.Reverse {
		last = k.rg.From
	}
	nearer := func(id kv.ID) {
		if k.before(id, last) {
			last = id
		}
	}
	stopBefore := func(id kv.ID) {
		ok := false
		if k.rg.Reverse {
			id, ok = id.Next()
		} else {
			id, ok = id.Prev()
		}
		if ok {
			nearer(id)
		}
	}
	if len(k.pending) > 0 {
		stopBefore(k.pending[0].low)
	}
	for _, in := range k.inputs {
		switch {
		case in.rows == nil:
			stopBefore(in.low)
		case in.file == nil:
		case in.file.Opened():
			span := in.file.Span()
			nearer(k.end(span.Min, span.Max))
		default:
			nearer(in.low)
		}
	}
	var gates []kv.Source
	for _, in := range k.inputs {
		if in.rows != nil && !k.before(last, in.edge()) {
			gates = append(gates, &gate{k: k, in: in, last: last})
		}
	}
	k.region = kv.Merge(gates, k.rg.Reverse)
}

// gate yields the rows of an input up to the end of a region.
type gate struct {
	k    *walk
	in   *input
	last kv.ID
	part kv.Rows
}

// Next implements kv.Source.
func (g *gate) Next() (*kv.Rows, error) {
	in := g.in
	for in.rows == nil {
		if in.file == nil {
			if more, err := in.loadMemory(g.k.rg.Reverse); !more || err != nil {
				return nil, err
			}
			continue
		}
		if !in.file.Opened() {
			return nil, nil
		}
		if err := in.loadFile(); err != nil {
			return nil, g.k.w.db.readError(err)
		}
	}
	n := in.rows.Len()
	end := n
	if g.k.before(g.last, in.rows.ID(n-1)) {
		next, ok := g.last.Next()
		if g.k.rg.Reverse {
			next, ok = g.last.Prev()
		}
		if ok {
			end = in.rows.Seek(next, in.pos, g.k.rg.Reverse)
		}
	}
	if end == in.pos {
		return nil, nil
	}
	return in.take(end, &g.part), nil
}

// Close implements kv.Source; the input is the walk's.
func (g *gate) Close() {}
