package compaction

import (
	"fmt"

	"tskv/kv"
)

// InputError says which input of a merge could not be read.
type InputError struct {
	File uint64 // its ID
	Err  error
}

// Error names the file and what went wrong.
func (e *InputError) Error() string { return fmt.Sprintf("read file %d: %v", e.File, e.Err) }

// Unwrap returns what went wrong.
func (e *InputError) Unwrap() error { return e.Err }

// named turns every error of an iterator into an InputError.
type named struct {
	kv.SeriesIterator
	file uint64
}

func (n *named) wrap(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{File: n.file, Err: err}
}

func (n *named) Next() ([]byte, error) {
	key, err := n.SeriesIterator.Next()
	return key, n.wrap(err)
}

func (n *named) Rows(r kv.Range) (kv.Source, error) {
	src, err := n.SeriesIterator.Rows(r)
	if err != nil {
		return nil, n.wrap(err)
	}
	return &namedSource{src, n}, nil
}

type namedSource struct {
	kv.Source
	name *named
}

func (s *namedSource) Next() (*kv.Rows, error) {
	rows, err := s.Source.Next()
	return rows, s.name.wrap(err)
}
