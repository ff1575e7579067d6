package manifest

import (
	"encoding/binary"

	"tskv/disk"
	"tskv/kv"
)

// reader decodes with one sticky error: after it everything reads as zero.
type reader struct {
	name string
	data []byte
	off  int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = disk.Corrupt(r.name, int64(r.off), format, args...)
	}
}

// take returns the next n bytes of the input, nil if there are fewer.
func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.data)-r.off {
		r.fail("%d bytes wanted, %d left", n, len(r.data)-r.off)
		return nil
	}
	b := r.data[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) flag() bool {
	n := r.u8()
	if n > 1 {
		r.fail("flags %#x", n)
	}
	return n == 1
}

func (r *reader) zero(n int) {
	for _, b := range r.take(n) {
		if b != 0 {
			r.fail("%#x in unused bytes", b)
		}
	}
}

// keyLen reads a length that may not exceed a key's.
func (r *reader) keyLen() int {
	n := r.u32()
	if n > kv.MaxKey {
		r.fail("key of %d bytes", n)
		return 0
	}
	return int(n)
}

func (r *reader) id() kv.ID { return kv.ID{Time: r.u64(), Seq: r.u64()} }

func (r *reader) file(f *File) {
	f.ID = r.u64()
	f.Size = int64(r.u64())
	f.Class, f.Tier = r.u8(), r.u8()
	r.zero(2)
	f.FooterCRC = r.u32()
	f.Window = int64(r.u64())
	f.MinSeq, f.MaxSeq = r.u64(), r.u64()
	f.MinTime, f.MaxTime = r.u64(), r.u64()
	f.Rows, f.Deletes, f.Series = r.u64(), r.u64(), r.u64()
	minLen, maxLen := r.keyLen(), r.keyLen()
	f.MinKey, f.MaxKey = r.take(minLen), r.take(maxLen)
}

func (r *reader) tombstone(t *kv.Tombstone) {
	t.Seq = r.u64()
	t.From, t.To = r.id(), r.id()
	n := r.keyLen()
	t.Prefix = r.flag()
	r.zero(3)
	t.Key = r.take(n)
}

func (r *reader) rule(u *Rule) {
	u.AgeMS, u.Bytes, u.Records = r.u64(), r.u64(), r.u64()
	n := r.keyLen()
	u.Prefix = r.flag()
	r.zero(3)
	u.Pattern = r.take(n)
}

// entries reads n entries of at least size bytes each; a count that the rest
// of the input cannot hold fails before anything is allocated.
func entries[T any](r *reader, n uint32, size int, what string, read func(*T) error) []T {
	if r.err != nil || n == 0 {
		return nil
	}
	if int64(n)*int64(size) > int64(len(r.data)-r.off) {
		r.fail("%d %s in %d bytes", n, what, len(r.data)-r.off)
		return nil
	}
	list := make([]T, n)
	for i := range list {
		off := r.off
		err := read(&list[i])
		if r.err != nil {
			return nil
		}
		if err != nil {
			r.off = off
			r.fail("%v", err)
			return nil
		}
	}
	return list
}
