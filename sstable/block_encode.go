package sstable

import "encoding/binary"

// blockEncoder turns runs into blocks.
type blockEncoder struct {
	builder    blockBuilder
	compressor *compressor
	num, form  []uint64
	diffs      []uint64
	firsts     []uint64
	scratch    []byte
	seed       uint32
}

// own encodes a run as a block of one series; valid until the next call.
func (e *blockEncoder) own(r *run) []byte {
	h := blockHeader{kind: kindRaw, rows: r.rows(), series: 1}
	e.builder.start()
	e.builder.integers(colTime, r.time)
	e.builder.integers(colSeq, r.seq)
	if r.numeric() {
		h.kind = kindNumeric
		h.mode, h.scale = e.numeric(r)
		e.builder.integers(colNum, e.num)
	} else {
		e.builder.integers(colNum, r.num)
		e.raw(r)
	}
	return e.finish(r, h)
}

// shared encodes the runs of several series as a packed block; keys are front-coded.
func (e *blockEncoder) shared(r *run, runs []uint64, keys []byte, numeric bool) []byte {
	h := blockHeader{kind: kindPackedRaw, rows: r.rows(), series: len(runs)}
	e.builder.start()
	e.builder.integers(colRuns, runs)
	e.keys(keys)
	e.differences(r.time, runs)
	e.builder.integers(colTime|firstsBit, e.firsts)
	e.builder.integers(colTime, e.diffs)
	e.builder.integers(colSeq, r.seq)
	num := r.num
	if numeric {
		h.kind = kindPackedNumeric
		h.mode, h.scale = e.numeric(r)
		num = e.num
	} else {
		e.raw(r)
	}
	e.packedNum(num, runs)
	return e.finish(r, h)
}

func (e *blockEncoder) finish(r *run, h blockHeader) []byte {
	if r.tagged {
		e.builder.integers(colTags, r.tags)
		if len(r.own.sets) > 0 {
			e.scratch = appendTagSets(e.scratch[:0], r.own.sets)
			e.builder.bytes(colTagSets, encBytes, e.scratch)
		}
	}
	h.minTime, h.maxTime = r.time[0], r.time[len(r.time)-1]
	if h.series > 1 {
		h.minTime, h.maxTime = r.timeBounds()
	}
	return e.builder.finish(h, e.seed)
}

// numeric prepares e.num and adds forms and exceptions.
func (e *blockEncoder) numeric(r *run) (mode, scale uint8) {
	n := r.rows()
	if r.decimals == n && r.sameForms() {
		e.num = append(e.num[:0], r.num...)
		return scaleUniform, uint8(r.form[0])
	}
	e.num, e.form = extend(e.num[:0], n), extend(e.form[:0], n)
	mode, scale = align(r, e.num, e.form)
	if mode >= scaleExplicit {
		e.builder.integers(colForm, e.form)
	}
	if r.decimals < n {
		e.scratch = appendExceptions(e.scratch[:0], r)
		e.builder.bytes(colExceptions, encBytes, e.scratch)
	}
	return mode, scale
}

// raw adds forms, lengths and payload.
func (e *blockEncoder) raw(r *run) {
	e.form = e.form[:0]
	for _, f := range r.form {
		e.form = append(e.form, uint64(f))
	}
	e.builder.integers(colForm, e.form)
	e.builder.integers(colLength, r.length)
	if len(r.payload) > 0 {
		p, encoding := e.compressor.pack(r.payload)
		e.builder.bytes(colPayload, encoding, p)
	}
}

// keys adds the keys of a packed block, with their length if they are compressed.
func (e *blockEncoder) keys(keys []byte) {
	p, encoding := e.compressor.pack(keys)
	if encoding != encBytes {
		e.scratch = binary.LittleEndian.AppendUint32(e.scratch[:0], uint32(len(keys)))
		e.scratch = append(e.scratch, p...)
		p = e.scratch
	}
	e.builder.bytes(colKeys, encoding, p)
}

// packedNum adds the mantissas as they are or as differences, whichever is shorter.
func (e *blockEncoder) packedNum(num, runs []uint64) {
	start, entries := len(e.builder.body), len(e.builder.directory)
	e.builder.integers(colNum, num)
	plain := len(e.builder.body) - start
	if plain == 0 {
		return
	}
	e.differences(num, runs)
	e.builder.integers(colNum|firstsBit, e.firsts)
	e.builder.integers(colNum, e.diffs)
	differences := len(e.builder.body) - start - plain
	added := e.builder.directory[entries:]
	if differences+directorySize < plain {
		copy(e.builder.body[start:], e.builder.body[start+plain:])
		e.builder.body = e.builder.body[:start+differences]
		copy(added, added[directorySize:])
		e.builder.directory = e.builder.directory[:len(e.builder.directory)-directorySize]
		return
	}
	e.builder.body = e.builder.body[:start+plain]
	e.builder.directory = e.builder.directory[:entries+directorySize]
}

// differences splits the values of runs into the first of each and the
// differences to the row before. The slot of a first row repeats the
// difference after it, so that it costs nothing.
func (e *blockEncoder) differences(values, runs []uint64) {
	e.diffs = extend(e.diffs[:0], len(values))
	e.firsts = e.firsts[:0]
	at := 0
	var last uint64
	for _, n := range runs {
		v := values[at : at+int(n)]
		d := e.diffs[at : at+int(n)]
		at += int(n)
		e.firsts = append(e.firsts, v[0])
		for i := 1; i < len(v); i++ {
			d[i] = v[i] - v[i-1]
		}
		if len(v) > 1 {
			last = d[1]
		}
		d[0] = last
	}
}
