package command

import (
	"math"
	"time"

	"tskv/engine"
	"tskv/kv"
)

// window is a time range of one key as a client wrote it.
type window struct {
	key      []byte
	from, to bound
}

func (s *session) parseWindow(key, from, to []byte) (window, error) {
	present := s.h.opt.Now()
	now := func() time.Time { return present } // one moment for both ends
	w := window{key: key}
	var err error
	if w.from, err = parseBound(from, now); err != nil {
		return w, err
	}
	w.to, err = parseBound(to, now)
	return w, err
}

// ids returns the first and last ID of the window; false if it is empty.
func (w *window) ids() (from, to kv.ID, some bool) {
	from, ok := w.from.from()
	to, possible := w.to.to()
	return from, to, ok && possible && !to.Less(from)
}

// resolve is ids after looking "$" up in snap.
func (w *window) resolve(snap *engine.Snapshot) (from, to kv.ID, some bool, err error) {
	for _, b := range []*bound{&w.from, &w.to} {
		if ok, err := b.resolve(snap, w.key); err != nil || !ok {
			return from, to, false, err
		}
	}
	from, to, some = w.ids()
	return from, to, some, nil
}

// rangeQuery is a parsed SCAN of records.
type rangeQuery struct {
	window
	reverse  bool
	withTags bool
	limited  bool
	count    uint64 // if limited; at least 1
	offset   uint64
	tags     kv.TagSet
	blocks   bool
	block    time.Duration // if blocks; 0: for ever
}

// scan tells the two grammars apart.
func (s *session) scan(args [][]byte) error {
	if len(args) == 2 || equalFold(args[2], "match") || equalFold(args[2], "count") || equalFold(args[2], "type") {
		return s.scanKeys(args)
	}
	if len(args) < 4 {
		return errScan
	}
	if _, err := s.parseWindow(args[1], args[2], args[3]); err != nil {
		return errScan
	}
	return s.scanRange(args)
}

func (s *session) scanRange(args [][]byte) error {
	q, err := s.parseRange(args)
	if err != nil {
		return err
	}
	if q.blocks {
		return s.scanBlock(&q)
	}
	return s.readWindow(&q.window, func(snap *engine.Snapshot, from, to kv.ID) error {
		r := recordStream{s: s, q: &q, snap: snap, opt: engine.ScanOptions{
			From: from, To: to, Reverse: q.reverse, Tags: q.tags, Offset: q.offset,
		}}
		r.opt.Stop = r.stop(s.untilGone())
		return r.run()
	})
}

// readWindow calls read with a snapshot and the ends of w in it; of an empty
// window the first end lies behind the last.
func (s *session) readWindow(w *window, read func(snap *engine.Snapshot, from, to kv.ID) error) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	from, to, some, err := w.resolve(snap)
	if err != nil {
		return err
	}
	if !some {
		from, to = kv.MaxID, kv.MinID
	}
	return read(snap, from, to)
}

func (s *session) parseRange(args [][]byte) (rangeQuery, error) {
	w, err := s.parseWindow(args[1], args[2], args[3])
	q := rangeQuery{window: w}
	if err != nil {
		return q, err
	}
	var tags [][]byte
	for i := 4; i < len(args); i++ {
		value := i+1 < len(args)
		switch {
		case equalFold(args[i], "rev"):
			q.reverse = true
		case equalFold(args[i], "withtags"):
			q.withTags = true
		case equalFold(args[i], "tag") && value:
			i++
			tags = append(tags, args[i])
		case equalFold(args[i], "count") && value:
			i++
			q.limited = true
			if q.count, err = parseCount(args[i]); err != nil {
				return q, err
			}
		case equalFold(args[i], "block") && value:
			i++
			q.blocks = true
			if q.block, err = parseBlock(args[i]); err != nil {
				return q, err
			}
		case equalFold(args[i], "offset") && value:
			i++
			n, ok := kv.ParseUint(args[i])
			if !ok {
				return q, errInteger
			}
			q.offset = n
		default:
			return q, errSyntax
		}
	}
	q.tags, err = kv.MakeTagSet(tags)
	return q, err
}

// parseCount reads a number of at least 1.
func parseCount(text []byte) (uint64, error) {
	n, ok := kv.ParseUint(text)
	switch {
	case !ok || n > math.MaxInt64:
		return 0, errInteger
	case n == 0:
		return 0, errPositive
	}
	return n, nil
}
