package disk

import (
	"errors"
	"io"
)

// ReadFile returns the content of a small file; a *CorruptError if it has more than
// most bytes, which are never allocated.
func ReadFile(f FS, name string, most int64) (data []byte, err error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, Corrupt(name, 0, "%d bytes, the most is %d", size, most)
	}
	data = make([]byte, size)
	if n, err := file.ReadAt(data, 0); err != nil && (!errors.Is(err, io.EOF) || n < len(data)) {
		return nil, err
	}
	return data, nil
}
