package sstable

import (
	"fmt"

	"tskv/kv"
)

// batch is decoded rows and the memory that they are decoded into.
type batch struct {
	rows kv.Rows

	time, seq, form, tag []uint64
	mantissas            []int64
	forms                []kv.Form
	raw                  [][]byte
	tags                 []kv.TagSet
}

// ids decodes the IDs of a window.
func (d *blockReader) ids(out *batch, w *window) {
	out.rows = kv.Rows{}
	out.rows.Time, out.time = d.column(out.time, &d.time, d.timeFirsts(), w)
	out.rows.Seq, out.seq = d.column(out.seq, &d.seq, nil, w)
}

// decode decodes a window; openValues must have been called. With keysOnly
// it leaves Num, Raw and Tags empty.
func (d *blockReader) decode(out *batch, w *window, keysOnly bool) error {
	d.ids(out, w)
	n := w.len()
	if cap(out.forms) < n {
		out.forms = make([]kv.Form, n+miniblockRows)
	}
	out.rows.Form = out.forms[:n]
	var err error
	if d.b.numeric() {
		err = d.decodeNumeric(out, w, keysOnly)
	} else {
		err = d.decodeRaw(out, w, keysOnly)
	}
	if err != nil {
		return err
	}
	if keysOnly {
		out.rows.Num, out.rows.Raw, out.rows.Tags = nil, nil, nil
		return nil
	}
	return d.decodeTags(out, w)
}

// decodeNum decodes the mantissas of a window.
func (d *blockReader) decodeNum(out *batch, w *window) {
	if cap(out.mantissas) == 0 {
		out.mantissas = make([]int64, w.len()+2*miniblockRows)
	}
	values, memory := d.column(signedAsUnsigned(out.mantissas[:cap(out.mantissas)]), &d.num, d.numFirsts(), w)
	out.mantissas = unsignedAsSigned(memory)
	out.rows.Num = unsignedAsSigned(values)
}

func (d *blockReader) decodeNumeric(out *batch, w *window, keysOnly bool) error {
	if !keysOnly || d.b.mode == scaleTrimmed {
		d.decodeNum(out, w)
	} else {
		out.rows.Num = nil
	}
	num, forms := out.rows.Num, out.rows.Form
	switch d.b.mode {
	case scaleUniform:
		fillForms(forms, kv.Form(d.b.scale))
	case scaleTrimmed:
		for i, m := range num {
			s := trim(m, d.b.scale)
			num[i], forms[i] = m/powers[d.b.scale-s], kv.Form(s)
		}
	default:
		var explicit []uint64
		explicit, out.form = d.column(out.form, &d.form, nil, w)
		for i, v := range explicit {
			if v > uint64(d.b.scale) {
				return fmt.Errorf("%w: scale %d", errBlock, v)
			}
			forms[i] = kv.Form(v)
		}
		if d.b.mode == scaleExplicit {
			for i, m := range num {
				num[i] = m / powers[d.b.scale-uint8(forms[i])]
			}
		}
	}
	e := &d.exceptions
	for k := e.index(w.lo); k < len(e.rows) && int(e.rows[k]) < w.hi; k++ {
		i := int(e.rows[k]) - w.lo
		forms[i] = e.forms[k]
		if keysOnly {
			continue
		}
		num[i] = 0
		if e.forms[k] == kv.FormRaw {
			out.rawColumn(w.len())[i] = e.raw(k)
		}
	}
	return nil
}

// rawColumn returns the column of raw values, made empty at its first use.
func (b *batch) rawColumn(n int) [][]byte {
	if b.rows.Raw == nil {
		if cap(b.raw) < n {
			b.raw = make([][]byte, n+miniblockRows)
		}
		b.rows.Raw = b.raw[:n]
		clear(b.rows.Raw)
	}
	return b.rows.Raw
}

func (d *blockReader) decodeRaw(out *batch, w *window, keysOnly bool) error {
	var values []uint64
	values, out.form = d.column(out.form, &d.form, nil, w)
	for i, v := range values {
		form, ok := rawForm(v)
		if !ok {
			return fmt.Errorf("%w: form %#x", errBlock, v)
		}
		out.rows.Form[i] = form
		if form != kv.FormRaw || keysOnly {
			continue
		}
		row, start := w.lo+i, uint32(0)
		if row > 0 {
			start = d.ends[row-1]
		}
		out.rawColumn(w.len())[i] = d.payload[start:d.ends[row]:d.ends[row]]
	}
	if !keysOnly {
		d.decodeNum(out, w)
	}
	return nil
}

func (d *blockReader) decodeTags(out *batch, w *window) error {
	if !d.b.has(colTags) {
		return nil
	}
	var values []uint64
	values, out.tag = d.column(out.tag, &d.tags, nil, w)
	for i, v := range values {
		if v == 0 {
			continue
		}
		set, ok := d.tagSet(v)
		if !ok {
			return fmt.Errorf("%w: tag set %d", errBlock, v)
		}
		if out.rows.Tags == nil {
			n := w.len()
			if cap(out.tags) < n {
				out.tags = make([]kv.TagSet, n+miniblockRows)
			}
			out.rows.Tags = out.tags[:n]
			clear(out.rows.Tags)
		}
		out.rows.Tags[i] = set
	}
	return nil
}

// release forgets what the batch points to and keeps its memory.
func (b *batch) release() {
	b.rows = kv.Rows{}
	clear(b.raw[:cap(b.raw)])
	clear(b.tags[:cap(b.tags)])
}

func fillForms(forms []kv.Form, f kv.Form) {
	if len(forms) == 0 {
		return
	}
	forms[0] = f
	for n := 1; n < len(forms); n *= 2 {
		copy(forms[n:], forms[:n])
	}
}
