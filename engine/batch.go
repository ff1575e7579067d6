package engine

import (
	"time"

	"tskv/kv"
)

// Bounds of what one Apply may carry.
const (
	// MaxKey is the longest key in bytes, as in PUT.
	MaxKey = 65535
	// MaxBatchOps bounds the operations of a batch.
	MaxBatchOps = 65536
	// MaxBatchBytes bounds a batch: its values and tags, twice its keys, 64 bytes
	// an operation, and the same for what its Updates write. One command of the
	// largest allowed size fits, and the log record stays under its own limit.
	MaxBatchBytes = 80 << 20
)

// IDMode says where a record's ID comes from.
type IDMode uint8

const (
	// IDExplicit writes exactly Op.ID, and replaces the record that has it.
	IDExplicit IDMode = iota
	// IDAuto asks for a new ID after every ID of the key: now-0 where that is
	// greater, else the last ID's successor.
	IDAuto
	// IDAutoSeq asks for the next sequence at the time Op.ID.Time.
	IDAutoSeq
)

// Condition says when a put is written.
type Condition uint8

const (
	// Always writes.
	Always Condition = iota
	// IfAbsent writes only if the record ID is absent.
	IfAbsent
	// IfPresent writes only if the record ID is present.
	IfPresent
	// IfLast writes only if Op.After is the key's last ID, else *ConflictError.
	IfLast
)

// Op is one operation of a batch: a put, or an Update function. Byte slices are
// only read, and only until Apply returns.
type Op struct {
	Key   []byte
	Value []byte
	Tags  kv.TagSet
	ID    kv.ID // asked for; after Apply the ID that was written
	Mode  IDMode
	Cond  Condition
	After kv.ID
	// Persist: if the record is written, the key loses its expiry.
	Persist bool
	Update  func(*Tx) error // if set, everything above is unused
	Keys    [][]byte        // the keys that Update reads or writes
	// Blind marks an Update that reads no record and asks for no new ID: of its Keys
	// only the catalog entries must be at hand before it runs, which they are for
	// keys in use. Other Updates pay for a read of the newest record of each key.
	Blind bool
	// Frees marks an Update that only deletes: a batch of nothing else is accepted
	// while the disk is nearly full, because it is the way to make room.
	Frees bool

	Written bool  // after Apply: a record was written
	Err     error // after Apply: why this operation alone failed

	state *keyState
	epoch uint64
}

// Batch is a list of operations that become visible and durable together: one
// log record, whole or absent after any crash. An operation that fails (Op.Err)
// leaves nothing; the others are still written. A Batch may be used again after
// Reset.
type Batch struct {
	Ops []Op
	// Guard, if not nil, runs on the commit goroutine before the operations and
	// only reads. Its error is the result of Apply, and nothing is written.
	Guard func(*Tx) error

	bytes   int64
	updates bool
	frees   bool // all operations do
	warmed  bool
	cold    bool
	queued  time.Time
	err     error
	done    chan struct{}
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Ops)
	b.Ops, b.Guard = b.Ops[:0], nil
}

// Add appends an empty operation and returns it; the pointer is good until the
// next Add.
func (b *Batch) Add() *Op {
	b.Ops = append(b.Ops, Op{})
	return &b.Ops[len(b.Ops)-1]
}

// Put appends an unconditional put with an explicit ID.
func (b *Batch) Put(key []byte, id kv.ID, value []byte) {
	op := b.Add()
	op.Key, op.ID, op.Value = key, id, value
}

// Append appends an unconditional put whose ID follows every ID of the key.
func (b *Batch) Append(key, value []byte) {
	op := b.Add()
	op.Key, op.Mode, op.Value = key, IDAuto, value
}

// Update appends a function that runs on the commit goroutine: it may read and
// write the given keys through the Tx, and sees what earlier operations of the
// same batch wrote. If it returns an error, its writes are undone and the error
// is the operation's. It must not block.
func (b *Batch) Update(fn func(*Tx) error, keys ...[]byte) {
	op := b.Add()
	op.Update, op.Keys = fn, keys
}
