package inspect

import (
	"bytes"
	"fmt"
	"strings"

	"tskv/kv"
	"tskv/manifest"
	"tskv/sstable"
)

// Loss is a place that does not verify, and what a salvage leaves out for it.
type Loss struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // -1 if there is no single place
	Length int64  `json:"length"` // bytes; -1 if not known
	What   string `json:"what"`
	// Rows is the number of lost records: 0 if nothing is lost, -1 if not known.
	Rows int64 `json:"rows"`
	// MinKey and MaxKey bound their keys, both inclusive; nil if not known.
	MinKey *KeyView `json:"min_key,omitempty"`
	MaxKey *KeyView `json:"max_key,omitempty"`
	From   string   `json:"from,omitempty"` // bounds of their IDs
	To     string   `json:"to,omitempty"`
	MinSeq uint64   `json:"min_seq,omitempty"` // bounds of their sequences
	MaxSeq uint64   `json:"max_seq,omitempty"`
	// Older says what became of older versions of these records: hidden (left
	// out too, because a lost record may have replaced or deleted them), or "may
	// show"; empty if nothing is lost.
	Older string `json:"older,omitempty"`
}

// What becomes of older versions of lost records.
const (
	olderHidden = "hidden"
	olderShown  = "may show"
)

// String is one line.
func (l *Loss) String() string {
	var b strings.Builder
	offset, kind := "-", "lost"
	if l.Offset >= 0 {
		offset = fmt.Sprint(l.Offset)
	}
	if l.Rows == 0 {
		kind = "damaged"
	}
	_, _ = fmt.Fprintf(&b, "%-7s %s %s %s", kind, l.File, offset, printable(l.What))
	if l.Length >= 0 {
		_, _ = fmt.Fprintf(&b, " (%d bytes)", l.Length)
	}
	switch {
	case l.Rows > 0:
		_, _ = fmt.Fprintf(&b, ", %d records", l.Rows)
	case l.Rows < 0:
		b.WriteString(", an unknown number of records")
	}
	if l.MinKey != nil && l.MaxKey != nil {
		if *l.MinKey == *l.MaxKey {
			_, _ = fmt.Fprintf(&b, " of %s", l.MinKey)
		} else {
			_, _ = fmt.Fprintf(&b, " of keys %s to %s", l.MinKey, l.MaxKey)
		}
	}
	if l.From != "" {
		_, _ = fmt.Fprintf(&b, " from %s to %s", l.From, l.To)
	}
	if l.MaxSeq > 0 {
		_, _ = fmt.Fprintf(&b, ", sequences %d to %d", l.MinSeq, l.MaxSeq)
	}
	if l.Older != "" {
		_, _ = fmt.Fprintf(&b, "; older versions: %s", l.Older)
	}
	return b.String()
}

// region is where records are lost: older versions there may be wrong.
type region struct {
	file           string
	minKey, maxKey []byte
	from, to       kv.ID
	seq            uint64 // of the file: files that end below it are older
}

func (r *region) has(key []byte) bool {
	return bytes.Compare(r.minKey, key) <= 0 && bytes.Compare(key, r.maxKey) <= 0
}

// touches reports whether a file may hold older versions of what is lost.
func (r *region) touches(f *manifest.File) bool {
	return f.MaxSeq < r.seq && bytes.Compare(r.minKey, f.MaxKey) <= 0 && bytes.Compare(f.MinKey, r.maxKey) <= 0 &&
		r.from.Time <= f.MaxTime && f.MinTime <= r.to.Time
}

// tableLoss turns a report on a damaged table into a loss; known bounds what the
// report does not.
func tableLoss(name string, l *sstable.Lost, known *manifest.File) (loss Loss, lost region) {
	loss = Loss{File: name, Offset: l.Offset, Length: l.Length, What: l.Reason, Rows: l.Rows}
	if l.Rows == 0 {
		return loss, lost
	}
	lost = region{file: name, minKey: l.MinKey, maxKey: l.MaxKey, from: l.From, to: l.To}
	if known != nil {
		lost.seq = known.MinSeq
		if len(lost.minKey) == 0 {
			lost.minKey = known.MinKey
		}
		if lost.maxKey == nil {
			lost.maxKey = known.MaxKey
		}
		if known.MinTime <= known.MaxTime {
			lost.from = maxID(lost.from, kv.ID{Time: known.MinTime})
			lost.to = minID(lost.to, kv.ID{Time: known.MaxTime, Seq: kv.MaxID.Seq})
		}
		loss.MinSeq, loss.MaxSeq = known.MinSeq, known.MaxSeq
	}
	loss.From, loss.To = lost.from.String(), lost.to.String()
	if lost.maxKey != nil {
		first, last := viewKey(lost.minKey), viewKey(lost.maxKey)
		loss.MinKey, loss.MaxKey = &first, &last
	}
	return loss, lost
}

func minID(a, b kv.ID) kv.ID {
	if b.Less(a) {
		return b
	}
	return a
}

func maxID(a, b kv.ID) kv.ID {
	if a.Less(b) {
		return b
	}
	return a
}
