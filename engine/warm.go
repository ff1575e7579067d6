package engine

import "slices"

// maxWarm is how many flushed memtables stay in the version as a read cache.
const maxWarm = 2

// A version lists its memtables newest first: the active one, the frozen ones, then
// the warm ones, which are flushed already. Readers of the version read the warm
// ones in place of the files of their flushes, which are its newest files. All
// that works on files sees these files as any others.
//
// A memtable whose flush has left rows out because of a retention rule does not stay:
// those would be seen again when the rule is gone, and then vanish with it.
//
// A reader takes every memtable for newer than every file that it reads. So when
// one of its files is merged or dropped a warm memtable leaves, and the older
// ones with it: what was in it lies in files again, and those are newer.

// keepWarm cuts the list of memtables behind those that may stay, when the files in
// gone are about to leave. db.versionMu is held.
func (db *DB) keepWarm(mem []*memory, frozen int, gone map[uint64]bool) []*memory {
	keep := 1 + frozen
	if frozen > 1 || db.recovering {
		return mem[:keep:keep] // their memory is needed
	}
	room := split(db.options.Memory).warm
	for _, m := range mem[keep:] {
		room -= m.Bytes()
		left := slices.ContainsFunc(m.files, func(id uint64) bool { return gone[id] })
		if keep == 1+frozen+maxWarm || room < 0 || len(m.files) == 0 || left {
			break
		}
		keep++
	}
	return mem[:keep:keep]
}

// warm returns the flushed memtables.
func (v *version) warm() []*memory { return v.mem[1+v.frozen:] }

// shadowed returns the files that readers leave to the warm memtables.
func (v *version) shadowed() map[uint64]bool {
	if len(v.warm()) == 0 {
		return nil
	}
	ids := make(map[uint64]bool)
	for _, m := range v.warm() {
		for _, id := range m.files {
			ids[id] = true
		}
	}
	return ids
}
