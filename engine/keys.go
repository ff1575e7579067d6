package engine

import (
	"encoding/binary"

	"tskv/kv"
)

// Namespaces are the first byte of every internal key: the catalog, one row per
// key, lies before all data.
const (
	spaceCatalog = 0x01
	spaceData    = 0x02
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
}

// internalKey appends the internal form of a user key to dst.
func internalKey(dst []byte, space byte, key []byte) []byte {
	return append(append(dst, space), key...)
}

// catalogEntry is the decoded value of a catalog row.
//
// A key's birth is written as the decimal created<<8 | kind, which packs into a
// few bits per key and tells replay that the number of keys grows by one. Any
// later change is written as raw bytes:
//
//	kind u8 | created u64 | floor time u64 | floor seq u64   (little-endian)
//
// floor is an ID that was given once and deleted since: "*" must not give it
// again.
type catalogEntry struct {
	kind    KeyKind
	created uint64
	floor   kv.ID
}

const catalogRawSize = 1 + 8 + 16

// maxCreated keeps created<<8|kind within the 18 digits of a decimal.
const maxCreated = 999_999_999_999_999_999>>8 - 1

func birthRow(kind KeyKind, created uint64) kv.Row {
	created = min(created, maxCreated)
	return kv.Row{Form: 0, Num: int64(created<<8 | uint64(kind))}
}

func (c *catalogEntry) row() kv.Row {
	raw := make([]byte, 0, catalogRawSize)
	raw = append(raw, byte(c.kind))
	raw = binary.LittleEndian.AppendUint64(raw, c.created)
	raw = binary.LittleEndian.AppendUint64(raw, c.floor.Time)
	raw = binary.LittleEndian.AppendUint64(raw, c.floor.Seq)
	return kv.Row{Form: kv.FormRaw, Raw: raw}
}

// decodeCatalog reads a catalog row; false for a delete or bytes of another
// layout.
func decodeCatalog(row *kv.Row) (catalogEntry, bool) {
	switch {
	case row.Form == 0 && row.Num > 0:
		return catalogEntry{kind: KeyKind(row.Num & 0xff), created: uint64(row.Num) >> 8}, true
	case row.Form == kv.FormRaw && len(row.Raw) == catalogRawSize:
		le := binary.LittleEndian
		return catalogEntry{
			kind:    KeyKind(row.Raw[0]),
			created: le.Uint64(row.Raw[1:]),
			floor:   kv.ID{Time: le.Uint64(row.Raw[9:]), Seq: le.Uint64(row.Raw[17:])},
		}, true
	}
	return catalogEntry{}, false
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
