package manifest

import "errors"

var (
	// ErrVersion is returned for a manifest of a newer format than this build
	// reads. The file is sound; a newer tskv must open it.
	ErrVersion = errors.New("manifest is of a newer version")
	// ErrInvalid is returned by Store for a state that Load would refuse.
	// Nothing was written.
	ErrInvalid = errors.New("invalid manifest state")
)
