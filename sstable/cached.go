package sstable

import "bytes"

// scanBypass is how many bytes of payloads a scan may bring into the cache; what
// it reads beyond is looked up only.
const scanBypass = 8 << 20

// cachedBlock is the cache as one open block uses it; without a cache it is zero.
type cachedBlock struct {
	cache *Cache
	key   cacheKey
	look  bool // never add
	add   bool // the column that was looked for last
}

// cached tells what the cache calls a block.
func (r *Reader) cached(at place) cachedBlock {
	return cachedBlock{cache: r.cache, key: cacheKey{r.cacheID, at.offset}}
}

// unpackPayload returns the payload of the open block: of the cache, in memory of
// its own if the cache shall have it, or in d's memory.
func (d *blockReader) unpackPayload(z *decompressor, packed []byte, encoding uint8, size int) ([]byte, error) {
	if encoding == encBytes {
		return z.unpack(nil, packed, encoding, size)
	}
	add := false
	if d.cached.cache != nil {
		var payload []byte
		if payload, add = d.cached.cache.find(d.cached.key, d.cached.look); payload != nil && len(payload) == size {
			return payload, nil
		}
	}
	if !add {
		payload, err := z.unpack(d.unpacked, packed, encoding, size)
		if err == nil {
			d.unpacked = payload
		}
		return payload, err
	}
	payload, err := z.unpack(nil, packed, encoding, size)
	if err == nil {
		d.cached.cache.add(d.cached.key, payload)
	}
	return payload, err
}

// findColumn returns a column that was under zstd as inflate left it, nil if the
// cache does not have it. Its key is a place inside the block.
func (c *cachedBlock) findColumn(id uint8) []byte {
	c.add = false
	if c.cache == nil {
		return nil
	}
	var data []byte
	data, c.add = c.cache.find(c.columnKey(id), c.look)
	return data
}

// addColumn gives the cache a copy of the column that findColumn did not find.
func (c *cachedBlock) addColumn(id uint8, data []byte) {
	if c.add {
		c.cache.add(c.columnKey(id), bytes.Clone(data))
	}
}

func (c *cachedBlock) columnKey(id uint8) cacheKey {
	return cacheKey{c.key.reader, c.key.offset + int64(id)} // blocks begin at multiples of 8
}
