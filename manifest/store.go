package manifest

import (
	"errors"
	"fmt"
	"io/fs"

	"tskv/disk"
)

// Load reads the current manifest. Errors: fs.ErrNotExist if the directory has
// none and never had one, ErrVersion for a newer format, *disk.CorruptError
// for damage, or what the disk says.
//
// A directory that has MANIFEST.prev but no MANIFEST was not left by tskv: it
// is reported as corrupt, since taking it for an empty one would delete files.
func Load(fsys disk.FS) (*State, error) {
	data, err := disk.ReadFile(fsys, disk.ManifestName, maxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		switch _, prevErr := fsys.Stat(disk.PrevManifestName); {
		case prevErr == nil:
			err = disk.Corrupt(disk.ManifestName, 0, "it is missing, but %s is there", disk.PrevManifestName)
		case !errors.Is(prevErr, fs.ErrNotExist):
			err = prevErr
		}
	}
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	s, err := parseState(disk.ManifestName, data)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	return s, nil
}

// LoadFile reads a manifest file of any name, as tools do. Errors: as of Load,
// but a missing file is just fs.ErrNotExist.
func LoadFile(fsys disk.FS, name string) (*State, error) {
	data, err := disk.ReadFile(fsys, name, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	s, err := parseState(name, data)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	return s, nil
}

// Store makes s the current manifest, durably and at once: after a crash Load
// finds either the old state or s. The one before stays as MANIFEST.prev.
// Errors: ErrInvalid for a state that Load would refuse, else what the disk
// says. After a disk error Load tells which of the two is current; nothing in
// between exists.
func Store(fsys disk.FS, s *State) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("store manifest: %w: %w", ErrInvalid, err)
	}
	size := sizeOf(s)
	if size > maxBytes {
		return fmt.Errorf("store manifest: %w: %d bytes, the most is %d", ErrInvalid, size, maxBytes)
	}
	data := appendState(make([]byte, 0, size), s)
	if err := disk.ReplaceFile(fsys, disk.ManifestName, disk.PrevManifestName, data); err != nil {
		return fmt.Errorf("store manifest: %w", err)
	}
	return nil
}

// sizeOf is the number of bytes that appendState will append.
func sizeOf(s *State) int {
	n := fixedLen + crcLen + len(s.Files)*fileLen + len(s.Tombstones)*tombstoneLen + len(s.Retention)*ruleLen
	for i := range s.Files {
		n += len(s.Files[i].MinKey) + len(s.Files[i].MaxKey)
	}
	for i := range s.Tombstones {
		n += len(s.Tombstones[i].Key)
	}
	for i := range s.Retention {
		n += len(s.Retention[i].Pattern)
	}
	return n
}
