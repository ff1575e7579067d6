package kv

import "slices"

// Form says how a row's value is held: 0..MaxScale is a decimal with that
// many digits after the point, FormRaw is bytes, FormDelete is a point delete.
type Form uint8

// The forms that are no decimal.
const (
	FormRaw    Form = 0xF0
	FormDelete Form = 0xFF
)

// IsDecimal reports whether the value is (mantissa, scale).
func (f Form) IsDecimal() bool { return f <= MaxScale }

// Row is one record of a series, without its key. Num holds the mantissa of a
// decimal, Raw the bytes of a raw value; the other one is zero.
type Row struct {
	ID   ID
	Form Form
	Num  int64
	Raw  []byte
	Tags TagSet
}

// AppendValue appends the value exactly as it was written.
func (r *Row) AppendValue(dst []byte) []byte {
	if r.Form.IsDecimal() {
		return AppendDecimal(dst, r.Num, uint8(r.Form))
	}
	return append(dst, r.Raw...)
}

// SetValue stores text as a decimal where it is a canonical one, else as raw
// bytes. Raw shares text's memory.
func (r *Row) SetValue(text []byte) {
	if num, scale, ok := ParseDecimal(text); ok {
		r.Form, r.Num, r.Raw = Form(scale), num, nil
		return
	}
	r.Form, r.Num, r.Raw = FormRaw, 0, text
}

// Rows is a batch of rows of one series as columns of equal length, in ID
// order (ascending, or descending where the source was asked for reverse).
// Raw is empty when no row is FormRaw, Tags is empty when no row has tags; a
// source that was asked for KeysOnly leaves Num, Raw and Tags empty. Whoever reads
// these three checks their length, not for nil, or uses Row.
type Rows struct {
	Time []uint64
	Seq  []uint64
	Form []Form
	Num  []int64
	Raw  [][]byte
	Tags []TagSet
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Time) }

// ID returns the ID of row i.
func (r *Rows) ID(i int) ID { return ID{r.Time[i], r.Seq[i]} }

// Row returns row i. Its Raw and Tags share the batch's memory.
func (r *Rows) Row(i int) Row {
	row := Row{ID: r.ID(i), Form: r.Form[i]}
	if i < len(r.Num) {
		row.Num = r.Num[i]
	}
	if i < len(r.Raw) {
		row.Raw = r.Raw[i]
	}
	if i < len(r.Tags) {
		row.Tags = r.Tags[i]
	}
	return row
}

// Reset empties the batch and keeps its memory.
func (r *Rows) Reset() {
	r.Time, r.Seq, r.Form, r.Num = r.Time[:0], r.Seq[:0], r.Form[:0], r.Num[:0]
	clear(r.Raw)
	clear(r.Tags)
	r.Raw, r.Tags = r.Raw[:0], r.Tags[:0]
}

// Append adds a row at the end; the caller keeps the order. Raw and Tags are
// shared with the row, not copied.
func (r *Rows) Append(row Row) {
	n := len(r.Time)
	r.Time = append(r.Time, row.ID.Time)
	r.Seq = append(r.Seq, row.ID.Seq)
	r.Form = append(r.Form, row.Form)
	r.Num = append(pad(r.Num, n), row.Num)
	if row.Form == FormRaw || len(r.Raw) > 0 {
		r.Raw = append(pad(r.Raw, n), row.Raw)
	}
	if len(row.Tags) > 0 || len(r.Tags) > 0 {
		r.Tags = append(pad(r.Tags, n), row.Tags)
	}
}

// AppendRows adds the rows i to j-1 of src at the end. Raw and Tags are shared,
// not copied.
func (r *Rows) AppendRows(src *Rows, i, j int) {
	n := len(r.Time)
	r.Time = append(r.Time, src.Time[i:j]...)
	r.Seq = append(r.Seq, src.Seq[i:j]...)
	r.Form = append(r.Form, src.Form[i:j]...)
	r.Num = appendColumn(r.Num, src.Num, n, i, j)
	r.Raw = appendColumn(r.Raw, src.Raw, n, i, j)
	r.Tags = appendColumn(r.Tags, src.Tags, n, i, j)
}

// appendColumn appends src[i:j] to an optional column of a batch with n rows;
// where only one side has the column, zero values fill the other.
func appendColumn[T any](dst, src []T, n, i, j int) []T {
	switch {
	case i == j || len(src) == 0 && len(dst) == 0:
		return dst
	case len(src) == 0:
		return pad(dst, n+j-i)
	}
	return append(pad(dst, n), src[i:j]...)
}

// pad extends a column with zero values to n entries.
func pad[T any](column []T, n int) []T {
	have := len(column)
	if have >= n {
		return column
	}
	column = slices.Grow(column, n-have)[:n]
	clear(column[have:])
	return column
}

// Reverse turns the order of the rows around, in place.
func (r *Rows) Reverse() {
	slices.Reverse(r.Time)
	slices.Reverse(r.Seq)
	slices.Reverse(r.Form)
	slices.Reverse(r.Num)
	slices.Reverse(r.Raw)
	slices.Reverse(r.Tags)
}

// Slice returns the rows i to j-1 as a batch that shares the memory of r.
func (r *Rows) Slice(i, j int) Rows {
	return Rows{
		Time: r.Time[i:j:j], Seq: r.Seq[i:j:j], Form: r.Form[i:j:j],
		Num: sliceColumn(r.Num, i, j), Raw: sliceColumn(r.Raw, i, j), Tags: sliceColumn(r.Tags, i, j),
	}
}

func sliceColumn[T any](column []T, i, j int) []T {
	if len(column) == 0 {
		return nil
	}
	return column[i:j:j]
}

// Search returns the first index of an ascending batch whose ID is id or later;
// Len if there is none.
func (r *Rows) Search(id ID) int { return r.search(id, 0, r.Len(), 0) }

// Seek returns the first index, from i on, whose ID does not lie before id in the
// order of the batch, which is descending if reverse; Len if there is none.
func (r *Rows) Seek(id ID, i int, reverse bool) int {
	var flip uint64
	if reverse {
		flip = ^uint64(0)
	}
	return r.search(id, i, r.Len(), flip)
}

// search returns the first index in [i, j) whose ID does not lie before id in
// the order of the batch; j if there is none. flip is 0 for an ascending batch
// and all ones for a descending one: the complement turns the order of numbers
// around.
func (r *Rows) search(id ID, i, j int, flip uint64) int {
	t, s := id.Time^flip, id.Seq^flip
	for i < j {
		h := int(uint(i+j) >> 1)
		if rt := r.Time[h] ^ flip; rt < t || rt == t && r.Seq[h]^flip < s {
			i = h + 1
		} else {
			j = h
		}
	}
	return i
}

// Source yields the rows of one series in ID order.
//
// Next returns the next non-empty batch, or nil at the end. The batch and all
// that it points to stay valid until the following Next or Close. After an
// error a source yields the same error again. Close releases what the source
// holds and may be called more than once. A source belongs to one goroutine.
type Source interface {
	Next() (*Rows, error)
	Close()
}

// Range asks a source for the rows with From <= ID <= To.
type Range struct {
	From, To ID
	Reverse  bool // descending ID order
	KeysOnly bool // only Time, Seq and Form are needed
}

// Everything is the range of all rows, ascending.
var Everything = Range{From: MinID, To: MaxID}

// Contains reports whether id lies in the range.
func (r *Range) Contains(id ID) bool { return !id.Less(r.From) && !r.To.Less(id) }

// SeriesIterator walks series in ascending key order.
//
// Next moves to the next series and returns its key, or nil at the end; the
// key stays valid until the following Next or Close. Rows opens the rows of
// the current series; the source must be closed before Next is called again.
type SeriesIterator interface {
	Next() (key []byte, err error)
	Rows(r Range) (Source, error)
	Close()
}

// Tombstone hides the rows From <= ID <= To of one key, or of all keys that
// start with Key, that were written with a lower sequence than Seq.
type Tombstone struct {
	Key      []byte
	Prefix   bool
	From, To ID
	Seq      uint64
}
