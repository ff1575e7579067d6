package sstable

import "errors"

// ErrOrder is returned by Writer.Add for keys or rows that do not ascend.
var ErrOrder = errors.New("rows out of order")

// ErrLimit is returned by Writer.Add for a key, value or tag set beyond the
// bounds of package kv, and for a file that would outgrow its format.
var ErrLimit = errors.New("beyond the limits of a table")

// ErrVersion is returned by Open for a file of a newer format version.
var ErrVersion = errors.New("newer table format")

// ErrClosed is returned by a Writer after Finish or Abort.
var ErrClosed = errors.New("table writer closed")
