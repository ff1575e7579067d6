package samples

import (
	"encoding/json"
	"slices"
	"testing"

	"tskv/kv"
)

func TestSamples(t *testing.T) {
	for _, k := range Kinds() {
		rows := slices.Collect(k.Rows(7, 1000))
		if !slices.EqualFunc(rows, slices.Collect(k.Rows(7, 1000)), func(a, b kv.Row) bool { return a.ID == b.ID && a.Num == b.Num }) {
			t.Errorf("%s: one seed, two series", k.Name)
		}
		for i := range rows {
			if i > 0 && !rows[i-1].ID.Less(rows[i].ID) || !rows[i].Form.IsDecimal() {
				t.Fatalf("%s: row %d is %+v", k.Name, i, rows[i])
			}
		}
	}
	for row := range Events(7, 10_000) {
		if len(row.Raw) != EventBytes || !json.Valid(row.Raw) {
			t.Fatalf("%d bytes: %s", len(row.Raw), row.Raw)
		}
	}
}
