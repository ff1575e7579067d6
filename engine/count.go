package engine

import "tskv/kv"

// skip passes over the first n live rows of a range, by the numbers of the
// index where it can. It returns how many there were and, if there are more, the
// range that they fill.
func (w view) skip(key []byte, rg kv.Range, n uint64, stop func() error) (passed uint64, rest kv.Range, more bool, err error) {
	rest, rg.KeysOnly = rg, true
	left := n
	k := w.walk(key, rg, walkOptions{count: &left, stop: stop})
	defer k.Close()
	for {
		rows, err := k.Next()
		if rows == nil || err != nil {
			return n - left, rest, false, err
		}
		for i, f := range rows.Form {
			if f == kv.FormDelete {
				continue
			}
			if left > 0 {
				left--
				continue
			}
			if rg.Reverse {
				rest.To = rows.ID(i)
			} else {
				rest.From = rows.ID(i)
			}
			return n, rest, true, nil
		}
	}
}
