package engine

import (
	"encoding/binary"

	"tskv/compaction"
	"tskv/kv"
)

// Namespaces are the first byte of every internal key: the catalog, one row per
// key, lies before all data, and the index of expiries behind it. In the log the
// data of a key of class c other than compaction.ClassData stands under
// spaceClass+c, so that replay need not look the class up.
const (
	spaceCatalog = 0x01
	spaceData    = 0x02
	spaceExpiry  = 0x03
	spaceClass   = 0x10
)

// KeyKind says what a key holds. A command on a key of another kind gets
// ErrWrongType.
type KeyKind uint8

// KindSeries is the kind of keys written by puts.
const KindSeries KeyKind = 1

// String returns the kind's name as TYPE reports it.
func (k KeyKind) String() string { return "string" }

// KeyInfo is what the catalog knows about a key.
type KeyInfo struct {
	Key     []byte
	Kind    KeyKind
	Created uint64 // milliseconds since 1970
	// ExpireAt is when the key expires, in milliseconds since 1970; 0 = never.
	ExpireAt uint64
}

// internalKey appends the internal form of a user key to dst.
func internalKey(dst []byte, space byte, key []byte) []byte {
	return append(append(dst, space), key...)
}

// catalogEntry is the decoded value of a catalog row.
//
// A key's birth is written as the decimal created<<8 | kind, which packs into a
// few bits per key and tells replay that the number of keys grows by one. Its
// scale is 0 for the class of data that is kept for ever, else the class + 1. Any
// later change is written as raw bytes:
//
//	kind u8 | created u64 | floor time u64 | floor seq u64   (little-endian)
//	class u8 | change u8 (0; 1: the key got an expiry, 2: it lost it)
//	expireAt u64 | indexed u64
//
// Rows without the second and third line were written by version 0.1.
//
// floor is an ID that was given once and deleted since: "*" must not give it
// again. change tells replay how the number of keys with an expiry changes.
type catalogEntry struct {
	kind    KeyKind
	class   uint8 // retention class: it stays as long as the key lives
	created uint64
	floor   kv.ID
	// expireAt is when the key expires, in milliseconds, 0 = never. indexed is the
	// time of the key's first entry in the expiry index, 0 = it has none; it is
	// never after expireAt.
	expireAt uint64
	indexed  uint64
}

const (
	catalogOldSize = 1 + 8 + 16
	catalogRawSize = catalogOldSize + 2 + 16

	expirySame = 0
	expirySet  = 1
	expiryGone = 2
)

// maxCreated keeps created<<8|kind within the 18 digits of a decimal.
const maxCreated = 999_999_999_999_999_999>>8 - 1

func birthRow(kind KeyKind, created uint64, class uint8) kv.Row {
	created = min(created, maxCreated)
	row := kv.Row{Num: int64(created<<8 | uint64(kind))}
	if class != compaction.ClassData {
		row.Form = kv.Form(class + 1)
	}
	return row
}

func (c *catalogEntry) row(change byte) kv.Row {
	le := binary.LittleEndian
	raw := make([]byte, 0, catalogRawSize)
	raw = append(raw, byte(c.kind))
	raw = le.AppendUint64(raw, c.created)
	raw = le.AppendUint64(raw, c.floor.Time)
	raw = le.AppendUint64(raw, c.floor.Seq)
	raw = append(raw, c.class, change)
	raw = le.AppendUint64(raw, c.expireAt)
	raw = le.AppendUint64(raw, c.indexed)
	return kv.Row{Form: kv.FormRaw, Raw: raw}
}

// decodeCatalog reads a catalog row; false for a delete or bytes of another
// layout.
func decodeCatalog(row *kv.Row) (catalogEntry, bool) {
	switch {
	case row.Form <= kv.Form(compaction.ClassData) && row.Num > 0:
		class := compaction.ClassData
		if row.Form > 0 {
			class = uint8(row.Form) - 1
		}
		return catalogEntry{kind: KeyKind(row.Num & 0xff), class: class, created: uint64(row.Num) >> 8}, true
	case row.Form == kv.FormRaw && (len(row.Raw) == catalogOldSize || len(row.Raw) == catalogRawSize):
		le := binary.LittleEndian
		entry := catalogEntry{
			kind:    KeyKind(row.Raw[0]),
			class:   compaction.ClassData,
			created: le.Uint64(row.Raw[1:]),
			floor:   kv.ID{Time: le.Uint64(row.Raw[9:]), Seq: le.Uint64(row.Raw[17:])},
		}
		if len(row.Raw) == catalogRawSize {
			entry.class = row.Raw[catalogOldSize]
			entry.expireAt, entry.indexed = le.Uint64(row.Raw[catalogOldSize+2:]), le.Uint64(row.Raw[catalogOldSize+10:])
		}
		return entry, entry.class <= compaction.ClassData
	}
	return catalogEntry{}, false
}

// expiryChange returns how a logged catalog row changes the number of keys with
// an expiry.
func expiryChange(row *kv.Row) int64 {
	if row.Form != kv.FormRaw || len(row.Raw) != catalogRawSize {
		return 0
	}
	switch row.Raw[catalogOldSize+1] {
	case expirySet:
		return 1
	case expiryGone:
		return -1
	}
	return 0
}

// isBirth reports whether a catalog row in the log makes a key, rather than
// changing one.
func isBirth(row *kv.Row) bool { return row.Form.IsDecimal() }

// keyState is what the commit goroutine knows about a hot key. Only the commit
// goroutine touches it.
type keyState struct {
	data   []byte // internal data key
	exists bool
	entry  catalogEntry
	last   kv.ID // highest ID ever given, if lastKnown
	filled bool  // last is the ID of a record, not just the zero ID
	// lastKnown is false for a key found in the catalog whose records were not
	// looked at yet.
	lastKnown bool
	// The state has seen every write to the key after the sequence since; changed is
	// the sequence of the last one it has seen.
	since, changed uint64

	// memory and series are numbers, because pointers would keep dropped memtables.
	memory uint64
	series uint32
	ref    kv.KeyRef
}

func (s *keyState) catalogKey(dst []byte) []byte {
	return internalKey(dst, spaceCatalog, s.data[1:])
}

func (s *keyState) observe(id kv.ID) {
	if s.lastKnown && (!s.filled || s.last.Less(id)) {
		s.last, s.filled = id, true
	}
}

// stateBytes is what a state costs beside its key, which is in the state and in
// the map.
const stateBytes = 200

// hotKeys is a bounded set of key states in two generations: a key found in
// the old one moves to the young one, and a full young one becomes the old one.
type hotKeys struct {
	limit      int // bytes of one generation
	young, old map[string]*keyState
	bytes      int    // of young
	epoch      uint64 // grows when states were dropped: found ones must be looked up again
}

// newHotKeys returns a set of at most limit bytes: in 96 MiB are some 400,000 keys
// of 24 bytes.
func newHotKeys(limit int64) hotKeys {
	return hotKeys{limit: int(limit / 2), young: map[string]*keyState{}}
}

func (h *hotKeys) find(key []byte) *keyState {
	if st := h.young[string(key)]; st != nil {
		return st
	}
	st := h.old[string(key)]
	if st != nil {
		h.add(st)
	}
	return st
}

func (h *hotKeys) add(st *keyState) {
	if h.bytes >= h.limit {
		if h.old != nil {
			h.epoch++
		}
		h.old, h.young, h.bytes = h.young, make(map[string]*keyState, len(h.young)/4), 0
	}
	h.young[string(st.data[1:])] = st
	h.bytes += stateBytes + 2*len(st.data)
}

func (h *hotKeys) clear() {
	*h = hotKeys{limit: h.limit, young: map[string]*keyState{}, epoch: h.epoch + 1}
}
