package disk

import (
	"io"
	"path"
)

// Sub returns the directory dir of f as an FS of its own. dir need not be there
// yet; MkdirAll(".") makes it. Files and errors have names relative to f.
func Sub(f FS, dir string) FS { return &subFS{f: f, dir: dir} }

type subFS struct {
	f   FS
	dir string
}

// in checks a name before it is joined: joining would clean it.
func (s *subFS) in(op, name string) (string, error) {
	if err := CheckName(op, name); err != nil {
		return "", err
	}
	return path.Join(s.dir, name), nil
}

func (s *subFS) inDir(op, dir string) (string, error) {
	dir, err := CheckDir(op, dir)
	if err != nil {
		return "", err
	}
	return path.Join(s.dir, dir), nil
}

func (s *subFS) both(op, from, to string, call func(from, to string) error) error {
	from, err := s.in(op, from)
	if err != nil {
		return err
	}
	if to, err = s.in(op, to); err != nil {
		return err
	}
	return call(from, to)
}

func (s *subFS) file(op, name string, call func(name string) (File, error)) (File, error) {
	name, err := s.in(op, name)
	if err != nil {
		return nil, err
	}
	return call(name)
}

// Create implements FS.
func (s *subFS) Create(name string) (File, error) { return s.file("create", name, s.f.Create) }

// Open implements FS.
func (s *subFS) Open(name string) (File, error) { return s.file("open", name, s.f.Open) }

// OpenWrite implements FS.
func (s *subFS) OpenWrite(name string) (File, error) { return s.file("open", name, s.f.OpenWrite) }

// Rename implements FS.
func (s *subFS) Rename(from, to string) error { return s.both("rename", from, to, s.f.Rename) }

// Link implements FS.
func (s *subFS) Link(from, to string) error { return s.both("link", from, to, s.f.Link) }

// MoveOut implements FS; outside is outside the root of the whole.
func (s *subFS) MoveOut(from, to string) error {
	from, err := s.in("move", from)
	if err != nil {
		return err
	}
	return s.f.MoveOut(from, to)
}

// Remove implements FS.
func (s *subFS) Remove(name string) error {
	name, err := s.in("remove", name)
	if err != nil {
		return err
	}
	return s.f.Remove(name)
}

// List implements FS.
func (s *subFS) List(dir string) ([]string, error) {
	dir, err := s.inDir("list", dir)
	if err != nil {
		return nil, err
	}
	return s.f.List(dir)
}

// MkdirAll implements FS.
func (s *subFS) MkdirAll(dir string) error {
	dir, err := s.inDir("mkdir", dir)
	if err != nil {
		return err
	}
	return s.f.MkdirAll(dir)
}

// SyncDir implements FS.
func (s *subFS) SyncDir(dir string) error {
	dir, err := s.inDir("syncdir", dir)
	if err != nil {
		return err
	}
	return s.f.SyncDir(dir)
}

// Stat implements FS.
func (s *subFS) Stat(name string) (int64, error) {
	name, err := s.in("stat", name)
	if err != nil {
		return 0, err
	}
	return s.f.Stat(name)
}

// Lock implements FS.
func (s *subFS) Lock(name string) (io.Closer, error) {
	name, err := s.in("lock", name)
	if err != nil {
		return nil, err
	}
	return s.f.Lock(name)
}

// Free implements FS.
func (s *subFS) Free() (free, total uint64, err error) { return s.f.Free() }
