package inspect

import (
	"fmt"
	"strconv"
	"strings"

	"tskv/kv"
)

// Emit takes what a dump finds, one thing at a time and in order: *SegmentView,
// *RecordView, *OpView, *LogEndView, *TableView, *BlockView, *RowView,
// *ManifestView, *FileView, *TombstoneView, *RuleView or *DamageView. Each has
// a String for people and marshals to JSON with stable names. Keys and values in
// them are ASCII: other bytes are escaped as in Go, a backslash is doubled.
type Emit func(v fmt.Stringer) error

// KeyView is an internal key.
type KeyView struct {
	// Space is data, catalog, expiries (the index of them), or in the log class-N for
	// data of a retention class; empty for the start of all, or bytes of another layout.
	Space string `json:"space,omitempty"`
	Key   string `json:"key"`
}

func viewKey(key []byte) KeyView {
	space, rest := splitKey(key)
	return KeyView{space, text(rest)}
}

// String is the key in quotes, behind its space unless that is data.
func (k KeyView) String() string {
	quoted := `"` + strings.ReplaceAll(k.Key, `"`, `\"`) + `"`
	switch k.Space {
	case "data":
		return quoted
	case "":
		return "internal " + quoted
	}
	return k.Space + " " + quoted
}

// text escapes all bytes of b.
func text(b []byte) string {
	q := strconv.QuoteToASCII(string(b))
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// ValueView is the value of a row.
type ValueView struct {
	Form  string   `json:"form"`            // decimal, raw or delete
	Value string   `json:"value,omitempty"` // the first bytes of a long one
	Bytes int      `json:"value_bytes"`
	Tags  []string `json:"tags,omitempty"`
}

func viewValue(row *kv.Row) ValueView {
	v := ValueView{Form: "raw"}
	switch {
	case row.Form == kv.FormDelete:
		v.Form = "delete"
	case row.Form.IsDecimal():
		v.Form = "decimal"
	}
	b := row.Raw
	if row.Form.IsDecimal() {
		b = row.AppendValue(nil)
	}
	v.Bytes, v.Value = len(b), text(b[:min(len(b), maxQuoted)])
	for tag := range row.Tags.All() {
		v.Tags = append(v.Tags, text(tag))
	}
	return v
}

// String is the value, quoted unless it is a number.
func (v ValueView) String() string {
	s := v.Value
	switch v.Form {
	case "delete":
		s = "(deleted)"
	case "raw":
		s = `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	if v.Form == "raw" && v.Bytes > maxQuoted {
		s += fmt.Sprintf("...(%d bytes)", v.Bytes)
	}
	if len(v.Tags) > 0 {
		s += fmt.Sprintf(" tags %q", v.Tags)
	}
	return s
}

// DamageView is a place where something does not verify.
type DamageView struct {
	Type string `json:"type"` // damage
	Damage
}

func viewDamage(d Damage) *DamageView { return &DamageView{"damage", d} }

// String is one line.
func (d *DamageView) String() string {
	length := "unknown length"
	if d.Length >= 0 {
		length = fmt.Sprintf("%d bytes", d.Length)
	}
	return fmt.Sprintf("DAMAGE %s offset %d, %s: %s", d.File, d.Offset, length, printable(d.What))
}
