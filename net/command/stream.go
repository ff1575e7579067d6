package command

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"tskv/engine"
	"tskv/kv"
)

// A reply up to collectBytes is built whole. A longer one is counted first and
// then streamed in pieces of pieceBytes from the same snapshot, so a scan takes
// the same memory however long it is.
const (
	collectBytes = 1 << 20
	pieceBytes   = 64 << 10
)

// recordStream answers one range scan: [next, [record ...]].
type recordStream struct {
	s    *session
	q    *rangeQuery
	snap *engine.Snapshot
	opt  engine.ScanOptions

	scan  *engine.Scan
	enc   rowEncoder
	rows  *kv.Rows // the batch being encoded, from row i on
	i     int
	last  kv.ID  // of the last encoded record
	count uint64 // records encoded
	left  uint64 // records that may still be encoded
	more  bool   // at the end: there was a record beyond COUNT

	follow bool  // the next page is never 0: after the last record, or start
	start  kv.ID // if follow: where the range begins

	announced bool // the number of records has been sent
}

// stop is what the scan asks. Once records are being sent, a client that hung up
// is noticed by that; one that only closed its sending side gets them all.
func (r *recordStream) stop(untilGone func() error) func() error {
	return func() error {
		if r.announced && !r.s.gone() {
			return nil
		}
		return untilGone()
	}
}

func (r *recordStream) run() error {
	r.left = math.MaxUint64
	opt := r.opt
	if r.q.limited {
		r.left = r.q.count
		opt.Limit = r.q.count + 1 // one more tells whether this is the last page
	}
	r.enc.withTags = r.q.withTags
	var err error
	if r.scan, err = r.snap.Scan(r.q.key, opt); err != nil {
		return err
	}
	defer r.scan.Close()
	body, done, err := r.fill(r.s.scratch[:0], collectBytes)
	r.s.scratch = body[:0]
	if err != nil {
		return err
	}
	if done {
		next := "0"
		switch {
		case r.more || r.follow && r.count > 0:
			next = "(" + r.last.String()
		case r.follow:
			next = r.start.String()
		}
		r.header(next, r.count)
		r.s.out.Raw(body)
		return nil
	}
	return r.stream(body)
}

// fill appends records to dst until it holds at least limit bytes; true if the
// reply is complete then.
func (r *recordStream) fill(dst []byte, limit int) ([]byte, bool, error) {
	for {
		if r.rows == nil || r.i == r.rows.Len() {
			rows, err := r.scan.Next()
			if err != nil {
				return dst, false, err
			}
			if rows == nil {
				return dst, true, nil
			}
			r.rows, r.i = rows, 0
		}
		if r.left == 0 {
			r.more = true
			return dst, true, nil
		}
		n := int(min(uint64(r.rows.Len()-r.i), r.left))
		start, end := r.i, r.i+n
		for r.i < end && len(dst) < limit {
			dst = r.enc.append(dst, r.rows, r.i)
			r.i++
		}
		r.count += uint64(r.i - start)
		r.left -= uint64(r.i - start)
		r.last = r.rows.ID(r.i - 1)
		if len(dst) >= limit {
			return dst, false, nil
		}
	}
}

func (r *recordStream) header(next string, records uint64) {
	r.s.out.ArrayHeader(2)
	r.s.out.BulkString(next)
	r.s.out.ArrayHeader(int(records))
}

// stream counts the rest of the range, announces it, and sends it. From the
// announcement on the reply can only be finished or broken off.
func (r *recordStream) stream(body []byte) error {
	rest, next, err := r.countRest()
	if err != nil {
		return err
	}
	if r.follow && next == "0" {
		if next, err = r.lastBound(); err != nil {
			return err
		}
	}
	total := r.count + rest
	r.announced = true
	r.header(next, total)
	r.s.out.Raw(body)
	if err := r.s.c.Flush(); err != nil {
		r.s.closing = true
		return nil
	}
	// The first piece was large; a client that takes the others slowly, or never,
	// must not hold that memory meanwhile.
	r.s.scratch, body = nil, nil
	r.s.out.SetBuffer(nil)
	for r.count < total && !r.s.gone() {
		body, _, err = r.fill(body[:0], pieceBytes)
		if errors.Is(err, errStopped) {
			return nil
		}
		if err == nil && len(body) == 0 {
			err = fmt.Errorf("%d records announced, %d found", total, r.count)
		}
		if err != nil {
			r.s.abort("scan of "+strconv.Quote(echo(r.q.key)), err)
			return nil
		}
		if r.count > total {
			r.s.abort("scan of "+strconv.Quote(echo(r.q.key)), fmt.Errorf("%d records announced, %d found", total, r.count))
			return nil
		}
		r.s.out.Raw(body)
		if err := r.s.c.Flush(); err != nil {
			r.s.closing = true
			return nil
		}
	}
	return nil
}

// lastBound returns the bound behind the last record of the range.
func (r *recordStream) lastBound() (string, error) {
	opt := r.opt
	opt.Reverse, opt.KeysOnly, opt.Limit = true, true, 1
	sc, err := r.snap.Scan(r.q.key, opt)
	if err != nil {
		return "", err
	}
	defer sc.Close()
	rows, err := sc.Next()
	if err != nil || rows == nil {
		return "(" + r.last.String(), err
	}
	return "(" + rows.ID(0).String(), nil
}

// countRest returns how many records follow the encoded ones, and the bound of
// the next page.
func (r *recordStream) countRest() (uint64, string, error) {
	opt := r.opt
	opt.Offset, opt.KeysOnly = 0, true
	var some bool
	if opt.Reverse {
		opt.To, some = r.last.Prev()
	} else {
		opt.From, some = r.last.Next()
	}
	if !some || opt.To.Less(opt.From) {
		return 0, "0", nil
	}
	if r.q.limited {
		if r.left == 0 {
			return r.restOfPage(opt, r.last)
		}
		if n, next, err := r.restOfPage(opt, kv.ID{}); err != nil || n > 0 {
			return n, next, err
		}
	}
	n, err := r.snap.Count(r.q.key, opt)
	return n, "0", err
}

// restOfPage looks at the last record of the page and the one behind it. It
// returns 0 and "" if the range ends before the page is full. last is the page's
// last record if all of them are encoded.
func (r *recordStream) restOfPage(opt engine.ScanOptions, last kv.ID) (uint64, string, error) {
	opt.Offset, opt.Limit = r.left, 1
	if r.left > 0 {
		opt.Offset, opt.Limit = r.left-1, 2
	}
	scan, err := r.snap.Scan(r.q.key, opt)
	if err != nil {
		return 0, "", err
	}
	defer scan.Close()
	found := 0
	for uint64(found) < opt.Limit {
		rows, err := scan.Next()
		if err != nil {
			return 0, "", err
		}
		if rows == nil {
			break
		}
		if found == 0 && r.left > 0 {
			last = rows.ID(0)
		}
		found += rows.Len()
	}
	if uint64(found) == opt.Limit {
		return r.left, "(" + last.String(), nil
	}
	if found == 0 {
		return 0, "0", nil
	}
	return r.left, "0", nil
}
