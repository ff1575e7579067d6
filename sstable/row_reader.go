package sstable

import (
	"fmt"

	"tskv/kv"
)

// openValue opens what row needs: for numeric blocks without exceptions or tags
// only the mantissas.
func (d *blockReader) openValue(z *decompressor) error {
	b := &d.b
	if !b.numeric() || b.has(colExceptions) || b.has(colTags) {
		return d.openValues(z, false)
	}
	d.exceptions.rows = d.exceptions.rows[:0]
	if b.hasFirsts(colNum) {
		if err := b.firstValues(&d.firstNum, colNum); err != nil {
			return err
		}
	}
	if b.mode >= scaleExplicit {
		if err := d.integers(&d.form, colForm); err != nil {
			return err
		}
	}
	return d.integers(&d.num, colNum)
}

// row decodes row i, the only one of w. Raw bytes are copied behind buf.
func (d *blockReader) row(i int, w *window, row *kv.Row, buf []byte) ([]byte, error) {
	*row = kv.Row{ID: kv.ID{Time: d.timeAt(w), Seq: d.seq.at(i)}}
	if d.b.has(colTags) {
		set, ok := d.tagSet(d.tags.at(i))
		if !ok {
			return buf, fmt.Errorf("%w: tag set of row %d", errBlock, i)
		}
		row.Tags = set
	}
	if !d.b.numeric() {
		return d.rawRow(i, w, row, buf)
	}
	if k := d.exceptions.index(i); k < len(d.exceptions.rows) && int(d.exceptions.rows[k]) == i {
		row.Form = d.exceptions.forms[k]
		if row.Form == kv.FormRaw {
			buf = copyRaw(row, buf, d.exceptions.raw(k))
		}
		return buf, nil
	}
	m := int64(d.valueAt(&d.num, d.numFirsts(), w))
	form := d.b.scale
	switch d.b.mode {
	case scaleTrimmed:
		form = trim(m, d.b.scale)
		m /= powers[d.b.scale-form]
	case scaleExplicit, scaleUnaligned:
		v := d.form.at(i)
		if v > uint64(d.b.scale) {
			return buf, fmt.Errorf("%w: scale %d", errBlock, v)
		}
		form = uint8(v)
		if d.b.mode == scaleExplicit {
			m /= powers[d.b.scale-form]
		}
	}
	row.Form, row.Num = kv.Form(form), m
	return buf, nil
}

func (d *blockReader) rawRow(i int, w *window, row *kv.Row, buf []byte) ([]byte, error) {
	form, ok := rawForm(d.form.at(i))
	if !ok {
		return buf, fmt.Errorf("%w: form of row %d", errBlock, i)
	}
	row.Form = form
	if form == kv.FormRaw {
		start := uint32(0)
		if i > 0 {
			start = d.ends[i-1]
		}
		return copyRaw(row, buf, d.payload[start:d.ends[i]]), nil
	}
	if form.IsDecimal() {
		row.Num = int64(d.valueAt(&d.num, d.numFirsts(), w))
	}
	return buf, nil
}

func copyRaw(row *kv.Row, buf, raw []byte) []byte {
	n := len(buf)
	buf = append(buf, raw...)
	row.Raw = buf[n:len(buf):len(buf)]
	return buf
}

func (d *blockReader) timeAt(w *window) uint64 { return d.valueAt(&d.time, d.timeFirsts(), w) }

// valueAt returns the value of the window's first row.
func (d *blockReader) valueAt(c, first *column, w *window) uint64 {
	if first == nil {
		return c.at(w.lo)
	}
	var values []uint64
	values, d.few = d.column(d.few, c, first, w)
	return values[0]
}
