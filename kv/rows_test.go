package kv

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// randomRow makes a row of any form.
func randomRow(rng *rand.Rand, id ID) Row {
	row := Row{ID: id}
	switch rng.IntN(8) {
	case 0:
		row.Form = FormDelete
	case 1:
		row.Form, row.Raw = FormRaw, []byte{byte('a' + rng.IntN(26)), byte('a' + rng.IntN(26))}
	default:
		row.Form, row.Num = Form(rng.IntN(4)), rng.Int64N(1000)-500
	}
	if rng.IntN(10) == 0 {
		row.Tags = TagSet{1, byte('a' + rng.IntN(26))}
	}
	return row
}

// texts shows the rows of a batch.
func texts(r *Rows) []string {
	var out []string
	for i := range r.Len() {
		out = append(out, text(r.Row(i)))
	}
	return out
}

func TestRowsAgainstModel(t *testing.T) {
	rng := newRand(t)
	for range 300 {
		var r Rows
		var model []string
		for range rng.IntN(20) {
			switch rng.IntN(10) {
			case 0:
				r.Reset()
				model = nil
			case 1:
				r.Reverse()
				slices.Reverse(model)
			case 2, 3:
				var src Rows
				for i := range rng.IntN(6) {
					src.Append(randomRow(rng, ID{Seq: uint64(i)}))
				}
				if rng.IntN(3) == 0 {
					src.Num, src.Raw, src.Tags = nil, nil, nil
				}
				i := rng.IntN(src.Len() + 1)
				j := i + rng.IntN(src.Len()-i+1)
				r.AppendRows(&src, i, j)
				model = append(model, texts(&src)[i:j]...)
			default:
				row := randomRow(rng, ID{rng.Uint64N(9), rng.Uint64N(9)})
				r.Append(row)
				model = append(model, text(row))
			}
			if r.Len() > 0 {
				checkShape(t, &r)
			}
			if got := texts(&r); !slices.Equal(got, model) {
				t.Fatalf("got  %q\nwant %q", got, model)
			}
			i := rng.IntN(r.Len() + 1)
			j := i + rng.IntN(r.Len()-i+1)
			part := r.Slice(i, j)
			if got := texts(&part); !slices.Equal(got, model[i:j]) {
				t.Fatalf("[%d:%d] %q\nwant %q", i, j, got, model[i:j])
			}
		}
	}
}

func TestRowsColumns(t *testing.T) {
	var r Rows
	r.Append(Row{Num: 1})
	if r.Raw != nil || r.Tags != nil {
		t.Error("columns without use")
	}
	r.Append(Row{Form: FormRaw})
	r.Append(Row{Tags: TagSet("\x01a")})
	if len(r.Raw) != 3 || len(r.Tags) != 3 {
		t.Errorf("%d raw, %d tags", len(r.Raw), len(r.Tags))
	}
	r.Reset()
	r.Append(Row{})
	if len(r.Raw) != 0 || len(r.Tags) != 0 {
		t.Error("columns after Reset")
	}
}

func TestRowsSliceIsCapped(t *testing.T) {
	var r Rows
	for i := range 3 {
		r.Append(Row{ID: ID{Time: uint64(i)}, Form: FormRaw, Raw: []byte{byte('a' + i)}, Tags: TagSet("\x01a")})
	}
	part := r.Slice(0, 1)
	part.Append(Row{ID: ID{Time: 99}})
	if got := text(r.Row(1)); got != `1-0 f0 0 "b" #"a"` {
		t.Errorf("an append to a slice changed the batch: %s", got)
	}
}

func TestRowsSearch(t *testing.T) {
	rng := newRand(t)
	for range 500 {
		var r Rows
		id := ID{}
		for range rng.IntN(20) {
			id = ID{id.Time + rng.Uint64N(2), id.Seq + 1 + rng.Uint64N(2)}
			r.Append(Row{ID: id})
		}
		probe := ID{rng.Uint64N(12), rng.Uint64N(40)}
		want := 0
		for want < r.Len() && r.ID(want).Less(probe) {
			want++
		}
		if got := r.Search(probe); got != want {
			t.Fatalf("Search(%v) = %d, want %d", probe, got, want)
		}
		r.Reverse()
		want = 0
		for want < r.Len() && probe.Less(r.ID(want)) {
			want++
		}
		if got := r.search(probe, 0, r.Len(), ^uint64(0)); got != want {
			t.Fatalf("descending search(%v) = %d, want %d", probe, got, want)
		}
	}
}

func TestRangeContains(t *testing.T) {
	r := Range{From: ID{1, 5}, To: ID{3, 0}}
	for id, want := range map[ID]bool{
		{1, 4}: false, {1, 5}: true, {2, 99}: true, {3, 0}: true, {3, 1}: false, {}: false, MaxID: false,
	} {
		if r.Contains(id) != want {
			t.Errorf("Contains(%v) = %v", id, !want)
		}
	}
	if !Everything.Contains(MinID) || !Everything.Contains(MaxID) {
		t.Error("Everything is not everything")
	}
}
