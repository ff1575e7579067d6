package disk

import "hash/crc32"

// castagnoli is the table of CRC32C, the polynomial that processors compute
// themselves. It never changes.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC continues a CRC32C (Castagnoli, RFC 3720 §B.4) over p: CRC(CRC(0, a), b)
// is the checksum of a followed by b. A seed other than 0 ties a checksum to
// its place, so that bytes of another file or an older life do not verify.
func CRC(seed uint32, p []byte) uint32 { return crc32.Update(seed, castagnoli, p) }
