package kv

// The batch encoding: the operations of one group, the payload of one record of
// the log. This comment is its specification; testdata/batch_v1.hex pins it.
//
// A uvarint is a number in groups of 7 bits, lowest first, with the high bit set
// on all bytes but the last (as in encoding/binary), in its shortest form. A
// varint is the uvarint of a signed number n as n<<1 ^ n>>63. Differences of
// times wrap around at 64 bits.
//
//	batch:  version u8 = 1 | operation ...
//
//	        bits 0-1  2-4   5    6     7
//	      +--------+------+-----+------+--------+
//	tag   |  key   | kind | seq | tags | prefix |
//	      +--------+------+-----+------+--------+
//
//	key     0  literal     size uvarint | bytes
//	        1  new         size uvarint | bytes, and the key gets the next
//	                       number of the dictionary: 0, 1, 2 ...
//	        2  number      number uvarint
//	        3  same key as in the previous row operation of the batch
//
//	kind 0  decimal        tag | key | time | [seq] | [tags] | scale u8 | mantissa varint
//	kind 1  raw            tag | key | time | [seq] | [tags] | size uvarint | bytes
//	kind 2  point delete   tag | key | time | [seq]
//	kind 3  range delete   tag | size uvarint | key | from time uvarint | from seq uvarint
//	                           | to time uvarint | to seq uvarint
//	kind 4  meta           tag | meta kind u8 | size uvarint | bytes
//	kind 5  gap            tag | count uvarint, at least 1
//
//	time    varint, difference to the time of the previous row operation of the
//	        batch, the first one's to 0
//	seq     uvarint, only with bit 5; without it the sequence in the ID is 0, so
//	        it is never 0 with the bit
//	tags    size uvarint | TagSet, only with bit 6, and not empty then
//
// Kinds 0 to 2 are the row operations. A range delete with bit 7 hides all keys
// that start with its key. A gap stands for so many operations that were taken
// back: it keeps the positions of the others. Bits that a kind does not use are 0.
//
// The dictionary lives for one segment of the log: both sides forget it with
// StartSegment. Keys have 1 to MaxKey bytes, the one of a prefix may be empty;
// values and meta payloads at most MaxValue; mantissas and scales keep the
// bounds of ParseDecimal.
//
// There is no torn tail in here: the log's checksum covers a whole batch, so
// whatever does not decode is an error (ErrBatch). A reader refuses a batch of
// another version (ErrBatchVersion).
const batchVersion = 1

// The fields of an operation's tag.
const (
	keyLiteral  = 0
	keyNew      = 1
	keyNumber   = 2
	keySame     = 3
	keyMask     = 3
	kindDecimal = 0 << 2
	kindRaw     = 1 << 2
	kindDelete  = 2 << 2
	kindRange   = 3 << 2
	kindMeta    = 4 << 2
	kindGap     = 5 << 2
	kindMask    = 7 << 2
	flagSeq     = 1 << 5
	flagTags    = 1 << 6
	flagPrefix  = 1 << 7
)
