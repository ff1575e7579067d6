package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"tskv/kv"
)

// maxBlockBytes bounds a block: the largest value and room for its columns.
const maxBlockBytes = kv.MaxValue + 1<<20

// blockReader decodes one block at a time. What it decodes shares the block's
// bytes, its own buffers and the dictionary of the file.
type blockReader struct {
	b           block
	time, seq   column
	num, form   column
	tags        column
	firstTime   column
	firstNum    column
	fileSets    []kv.TagSet
	ownSets     []kv.TagSet
	ends        []uint32 // of each row's bytes in the payload of a raw block
	payload     []byte
	unpacked    []byte // memory for payload
	lengths     []uint64
	few         []uint64 // scratch
	runs        []uint64 // rows of each run, after openRuns
	exceptions  exceptions
	valuesReady bool
	keys        []byte // front-coded, after openKeys
	keysReady   bool
	keyMemory   []byte
	cached      cachedBlock
	trusted     bool // the checksum is known to be right

	z             *decompressor
	inflated      [colTags + 1][]byte // memory of columns under zstd
	inflatedBytes int                 // of the open block
}

// open verifies a block and opens its IDs.
func (d *blockReader) open(data []byte, seed uint32, fileSets []kv.TagSet, z *decompressor) error {
	d.valuesReady, d.keysReady, d.inflatedBytes = false, false, 0
	d.fileSets, d.z = fileSets, z
	if len(data) > maxBlockBytes {
		return fmt.Errorf("%w: %d bytes", errBlock, len(data))
	}
	if d.trusted {
		if err := d.b.parseTrusted(data); err != nil {
			return err
		}
	} else if err := d.b.parse(data, seed); err != nil {
		return err
	}
	if err := d.integers(&d.time, colTime); err != nil {
		return err
	}
	if d.b.packed() != d.b.hasFirsts(colTime) {
		return fmt.Errorf("%w: first times", errBlock)
	}
	if d.b.packed() {
		if err := d.b.firstValues(&d.firstTime, colTime); err != nil {
			return err
		}
	}
	return d.integers(&d.seq, colSeq)
}

// integers opens a column with a value for each row; an absent one is all zeros.
func (d *blockReader) integers(c *column, id uint8) error {
	ref := &d.b.columns[id]
	if !d.b.has(id) || ref.encoding != encForZstd && ref.encoding != encDeltaForZstd {
		return d.b.integers(c, id, d.b.rows)
	}
	if err := d.inflate(c, id, ref.encoding, d.b.rows, d.b.data[ref.off:ref.off+ref.length]); err != nil {
		return fmt.Errorf("%w %d of %d rows under zstd", err, id, d.b.rows)
	}
	return nil
}

// openValues opens forms, mantissas, tags and, unless only keys are wanted, the
// payload.
func (d *blockReader) openValues(z *decompressor, keysOnly bool) error {
	if d.valuesReady {
		return nil
	}
	b := &d.b
	if !keysOnly || b.mode == scaleTrimmed {
		if err := d.integers(&d.num, colNum); err != nil {
			return err
		}
	}
	if err := errors.Join(d.integers(&d.form, colForm), d.integers(&d.tags, colTags)); err != nil {
		return err
	}
	if b.hasFirsts(colNum) {
		if err := b.firstValues(&d.firstNum, colNum); err != nil {
			return err
		}
	}
	d.ownSets = nil
	if sets, _ := b.bytes(colTagSets); sets != nil {
		var err error
		if d.ownSets, err = parseTagSets(sets); err != nil {
			return err
		}
	}
	p, encoding := b.bytes(colExceptions)
	if p != nil && (!b.numeric() || encoding != encBytes) {
		return fmt.Errorf("%w: exceptions", errBlock)
	}
	if err := d.exceptions.parse(p, b.rows); err != nil {
		return err
	}
	if !b.numeric() && !keysOnly {
		if err := d.openPayload(z); err != nil {
			return err
		}
	}
	d.valuesReady = true
	return nil
}

// openPayload finds the end of each row's bytes and unpacks them.
func (d *blockReader) openPayload(z *decompressor) error {
	var lengths column
	b := &d.b
	if err := d.integers(&lengths, colLength); err != nil {
		return err
	}
	d.lengths = extend(d.lengths[:0], b.rows)
	lengths.decode(d.lengths, 0)
	d.ends = d.ends[:0]
	total, values := uint64(0), 0
	for _, n := range d.lengths {
		if n > kv.MaxValue {
			return fmt.Errorf("%w: value of %d bytes", errBlock, n)
		}
		total += n
		if n > 0 {
			values++
		}
		if total > maxBlockPayload && values > 1 {
			return fmt.Errorf("%w: payload beyond %d bytes", errBlock, maxBlockPayload)
		}
		d.ends = append(d.ends, uint32(total))
	}
	d.payload = nil
	p, encoding := b.bytes(colPayload)
	if total == 0 && p == nil {
		return nil
	}
	payload, err := d.unpackPayload(z, p, encoding, int(total))
	if err != nil {
		return err
	}
	d.payload = payload
	return nil
}

// openKeys unpacks the keys of a packed block.
func (d *blockReader) openKeys() error {
	if d.keysReady {
		return nil
	}
	p, encoding := d.b.bytes(colKeys)
	d.keys = p
	if encoding != encBytes {
		if len(p) < 4 {
			return fmt.Errorf("%w: keys of %d bytes", errBlock, len(p))
		}
		size := binary.LittleEndian.Uint32(p)
		if size > maxBlockPayload+kv.MaxKey+2*binary.MaxVarintLen64 {
			return fmt.Errorf("%w: keys of %d bytes", errBlock, size)
		}
		var err error
		if d.keys, err = d.z.unpack(d.keyMemory, p[4:], encoding, int(size)); err != nil {
			return err
		}
		d.keyMemory = d.keys
	}
	d.keysReady = true
	return nil
}

// window is rows lo to hi of a block, all of one series, whose first row is
// start; run is the number of the series in the block.
type window struct{ run, start, lo, hi int }

func (w *window) len() int { return w.hi - w.lo }

// signedAsUnsigned views mantissas as the columns see them.
func signedAsUnsigned(s []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

func unsignedAsSigned(s []uint64) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(s))), cap(s))[:len(s)]
}

// column decodes a window of a column into buf's memory and returns it and buf,
// grown if needed. first, if not nil, has the first values of the runs.
func (d *blockReader) column(buf []uint64, c, first *column, w *window) (values, memory []uint64) {
	from := w.lo
	if first != nil {
		from = w.start
	}
	from &^= miniblockRows - 1
	if cap(buf) < w.hi-from {
		buf = make([]uint64, w.hi-from+miniblockRows)
	}
	buf = buf[:w.hi-from]
	c.decode(buf, from)
	switch {
	case first == nil:
	case w.run == allRuns:
		at := 0
		d.few = extend(d.few[:0], len(d.runs))
		first.decode(d.few, 0)
		for i, n := range d.runs {
			accumulate(buf[at:at+int(n)], d.few[i])
			at += int(n)
		}
	default:
		accumulate(buf[w.start-from:], first.at(w.run))
	}
	return buf[w.lo-from:], buf
}

// accumulate turns the differences of a run into its values.
func accumulate(run []uint64, v uint64) {
	run[0] = v
	for i := 1; i < len(run); i++ {
		v += run[i]
		run[i] = v
	}
}

// allRuns is the run of a window over a whole packed block.
const allRuns = -1

// openRuns reads how many rows each run of a packed block has, which allows a
// window over all of them.
func (d *blockReader) openRuns() (window, error) {
	var c column
	if err := d.b.integers(&c, colRuns, d.b.series); err != nil {
		return window{}, err
	}
	d.runs = extend(d.runs[:0], d.b.series)
	c.decode(d.runs, 0)
	total := uint64(0)
	for _, n := range d.runs {
		if n == 0 || n >= minOwnRows {
			return window{}, fmt.Errorf("%w: run of %d rows", errBlock, n)
		}
		total += n
	}
	if !d.b.packed() || total != uint64(d.b.rows) {
		return window{}, fmt.Errorf("%w: runs of %d rows, want %d", errBlock, total, d.b.rows)
	}
	return window{run: allRuns, hi: d.b.rows}, nil
}

func (d *blockReader) timeFirsts() *column {
	if d.b.packed() {
		return &d.firstTime
	}
	return nil
}

func (d *blockReader) numFirsts() *column {
	if d.b.hasFirsts(colNum) {
		return &d.firstNum
	}
	return nil
}

// search returns the first row of an own block with an ID >= id, its row count
// if there is none.
func (d *blockReader) search(id kv.ID) int {
	lo, hi := 0, d.time.miniblocks() // the row lies in miniblock lo-1 or at the start of lo
	for lo < hi {
		mid := (lo + hi) / 2
		if d.before(mid*miniblockRows, id) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0
	}
	var times, seqs [miniblockRows]uint64
	base := (lo - 1) * miniblockRows
	t := d.time.miniblock(&times, lo-1)
	i, j := 0, len(t)
	for i < j {
		mid := (i + j) / 2
		if t[mid] < id.Time {
			i = mid + 1
		} else {
			j = mid
		}
	}
	if i == len(t) || t[i] > id.Time || id.Seq == 0 {
		return base + i
	}
	s := d.seq.miniblock(&seqs, lo-1)
	for i < len(t) && t[i] == id.Time && s[i] < id.Seq {
		i++
	}
	return base + i
}

// before reports whether the ID of a row is less than id.
func (d *blockReader) before(row int, id kv.ID) bool {
	if t := d.time.at(row); t != id.Time {
		return t < id.Time
	}
	return d.seq.at(row) < id.Seq
}

// clip narrows a window to the rows from <= ID <= to.
func (d *blockReader) clip(w *window, from, to kv.ID, scratch *batch) {
	after, more := to.Next()
	if !d.b.packed() {
		if from != kv.MinID {
			w.lo = max(w.lo, d.search(from))
		}
		if more {
			w.hi = min(w.hi, d.search(after))
		}
		w.lo = min(w.lo, w.hi)
		return
	}
	d.ids(scratch, w)
	rows := kv.Rows{Time: scratch.rows.Time, Seq: scratch.rows.Seq}
	start := w.lo
	w.lo = start + lowerBound(&rows, from)
	if more {
		w.hi = start + lowerBound(&rows, after)
	}
	w.hi = max(w.lo, w.hi)
}

// lowerBound returns the first row with an ID >= id of a short run.
func lowerBound(rows *kv.Rows, id kv.ID) int {
	for i := range rows.Time {
		if !rows.ID(i).Less(id) {
			return i
		}
	}
	return len(rows.Time)
}

// tagSet returns the set of a tags column's value; false if there is none.
func (d *blockReader) tagSet(v uint64) (kv.TagSet, bool) {
	switch {
	case v == 0:
		return nil, true
	case v%2 == 1 && v/2 < uint64(len(d.fileSets)):
		return d.fileSets[v/2], true
	case v%2 == 0 && v/2-1 < uint64(len(d.ownSets)):
		return d.ownSets[v/2-1], true
	}
	return nil, false
}

// rawForm checks the form of a row of a raw block.
func rawForm(v uint64) (kv.Form, bool) {
	return kv.Form(v), v <= math.MaxUint8 && (kv.Form(v).IsDecimal() || kv.Form(v) == kv.FormRaw || kv.Form(v) == kv.FormDelete)
}
