package sstable

// scanBypass is how many bytes of payloads a scan may bring into the cache; what
// it reads beyond is looked up only.
const scanBypass = 8 << 20

// cachedBlock is the cache as one open block uses it; without a cache it is zero.
type cachedBlock struct {
	cache *Cache
	key   cacheKey
	look  bool // never add
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
