package sstable

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"tskv/kv"
)

// compressor packs the payloads of a writer.
type compressor struct {
	codec Codec
	zstd  *zstd.Encoder
	buf   []byte
}

func newCompressor(codec Codec) (*compressor, error) {
	c := &compressor{codec: codec}
	if codec != CodecZstd {
		return c, nil
	}
	var err error
	c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	return c, nil
}

// pack returns the payload to store, valid until the next call, and its
// encoding: it stays as it is if less than 10 % would be saved.
func (c *compressor) pack(p []byte) ([]byte, uint8) {
	encoding := uint8(encBytes)
	switch c.codec {
	case CodecS2:
		c.buf = s2.Encode(c.buf[:cap(c.buf)], p)
		encoding = encS2
	case CodecZstd:
		c.buf = c.zstd.EncodeAll(p, c.buf[:0])
		encoding = encZstd
	}
	if encoding == encBytes || len(c.buf) > len(p)-len(p)/10 {
		return p, encBytes
	}
	return c.buf, encoding
}

// decompressor unpacks the payloads of a reader; any goroutine may call it.
type decompressor struct {
	shared *decompressor // that does the work: 150 KB and more are too much for each of thousands of files
	once   sync.Once
	zstd   *zstd.Decoder
	err    error
}

func (d *decompressor) open() {
	d.zstd, d.err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(kv.MaxValue+maxBlockPayload), zstd.WithDecodeAllCapLimit(true))
}

func (d *decompressor) close() {
	d.once.Do(func() {})
	if d.zstd != nil {
		d.zstd.Close()
	}
}

// unpack returns the payload of exactly size bytes: packed itself, or dst's
// memory, grown if needed. The caller has bounded size.
func (d *decompressor) unpack(dst, packed []byte, encoding uint8, size int) ([]byte, error) {
	switch encoding {
	case encBytes:
		if len(packed) != size {
			return nil, fmt.Errorf("%w: payload of %d bytes, want %d", errBlock, len(packed), size)
		}
		return packed, nil
	case encS2:
		if n, err := s2.DecodedLen(packed); err != nil || n != size {
			return nil, fmt.Errorf("%w: s2 payload of %d bytes, want %d", errBlock, n, size)
		}
		out, err := s2.Decode(sized(dst, size), packed)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBlock, err)
		}
		return out, nil
	case encZstd:
		if d.shared != nil {
			d = d.shared
		}
		d.once.Do(d.open)
		if d.err != nil {
			return nil, fmt.Errorf("make zstd decoder: %w", d.err)
		}
		out, err := d.zstd.DecodeAll(packed, sized(dst, size)[:0:size])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBlock, err)
		}
		if len(out) != size {
			return nil, fmt.Errorf("%w: zstd payload of %d bytes, want %d", errBlock, len(out), size)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: payload encoding %d", errBlock, encoding)
}

// sized returns a slice of n bytes, b's memory if it is large enough.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
