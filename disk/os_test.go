package disk_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tskv/disk"
)

// lockEnv makes the test binary a process that holds the lock of a directory
// until its standard input ends.
const lockEnv = "TSKV_TEST_LOCK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockEnv); dir != "" {
		os.Exit(holdLock(dir))
	}
	os.Exit(m.Run())
}

func holdLock(dir string) int {
	f, err := disk.NewOS(dir)
	if err == nil {
		_, err = f.Lock(disk.LockName)
	}
	fmt.Println("lock:", err)
	_, _ = io.Copy(io.Discard, os.Stdin) // returns when the test is done
	return 0
}

func newOS(t testing.TB) (disk.FS, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func TestOSLockOtherProcess(t *testing.T) {
	f, dir := newOS(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "lock: <nil>\n" || err != nil {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = f.Lock(disk.LockName)
	pid := fmt.Sprintf("(pid %d)", cmd.Process.Pid)
	if !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(dir, disk.LockName)) ||
		!strings.Contains(err.Error(), pid) {
		t.Errorf("lock: %v, want ErrLocked with the path and %s", err, pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	_ = in.Close() // nobody reads it
	lock, err := f.Lock(disk.LockName)
	if err != nil {
		t.Fatalf("the lock of a killed process stays: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, disk.LockName))
	if want := fmt.Sprintln(os.Getpid()); string(b) != want || err != nil {
		t.Errorf("lock file %q, %v, want %q", b, err, want)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewOS(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 { // absent, then there
		if _, err := disk.NewOS(deep); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(deep); err != nil || !info.IsDir() || info.Mode().Perm() != 0o750 {
		t.Errorf("%v, %v, want a directory of mode 750", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"file", "file/below"} {
		if _, err := disk.NewOS(filepath.Join(dir, root)); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("NewOS(%s): %v, want ENOTDIR", root, err)
		}
	}
	if _, err := disk.NewOS("/proc/tskv-cannot-be-made"); err == nil {
		t.Error("a directory was made where none can be")
	}
}

func TestOSOnlyRegularFiles(t *testing.T) {
	f, dir := newOS(t)
	if err := os.Symlink("/dev/null", filepath.Join(dir, "device")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("device"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("open of a device: %v, want EINVAL", err)
	}
	if _, err := f.Stat("device"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("stat of a device: %v, want EINVAL", err)
	}
}

func TestOSFree(t *testing.T) {
	f, dir := newOS(t)
	free, total, err := f.Free()
	if err != nil || free == 0 || free > total {
		t.Fatalf("free %d of %d, %v", free, total, err)
	}
	out, err := exec.Command("df", "-B1", "--output=size", dir).Output()
	if err != nil {
		t.Skipf("no df: %v", err)
	}
	if fields := strings.Fields(string(out)); fields[len(fields)-1] != fmt.Sprint(total) {
		t.Errorf("total %d, df says %s", total, fields[len(fields)-1])
	}
}

func TestOSAdvice(t *testing.T) {
	f, _ := newOS(t)
	file := fill(t, f, "f", 100_000)
	m, err := file.Map(100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, 100_000}, {5000, 10}, {99_999, 1 << 40}, {100_000, 1}, {-1, 5}, {5, 0}, {5, -5}} {
		m.WillNeed(r[0], r[1])
		file.DropCache(r[0], r[1])
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Bytes()[99_999] != 7 {
		t.Error("the map ended with its file's handle")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	file.DropCache(0, 1)
	if err := file.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("sync after close: %v, want ErrClosed", err)
	}
	if _, err := file.Map(1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("map after close: %v, want ErrClosed", err)
	}
}

// TestOSMapShared: a map must show what write(2) brings later (a reader may
// have the file open while its damage is repaired), not a private copy.
func TestOSMapShared(t *testing.T) {
	f, _ := newOS(t)
	file := fill(t, f, "f", 8192)
	m, err := file.Map(8192)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{9}, 5000); err != nil {
		t.Fatal(err)
	}
	if m.Bytes()[5000] != 9 {
		t.Error("the map does not show the write")
	}
	if err := errors.Join(m.Close(), file.Close()); err != nil {
		t.Error(err)
	}
}

// TestOSFullDisk writes on a small tmpfs until it is full.
func TestOSFullDisk(t *testing.T) {
	dir := t.TempDir()
	const size = 256 << 10
	if err := unix.Mount("tskv-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("SKIPPED: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f, err := disk.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	if free, total, err := f.Free(); total != size || free > size || err != nil {
		t.Errorf("free %d of %d, %v, want %d in total", free, total, err, size)
	}
	file, err := f.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, size*2)
	for i := range p {
		p[i] = byte(i>>8) | 1
	}
	n, err := file.WriteAt(p, 0)
	if !errors.Is(err, syscall.ENOSPC) || n <= 0 || n > size {
		t.Fatalf("wrote %d, %v, want a short write with ENOSPC", n, err)
	}
	got := make([]byte, n)
	if _, err := file.ReadAt(got, 0); err != nil || !slices.Equal(got, p[:n]) {
		t.Errorf("the %d bytes that were written read back wrong: %v", n, err)
	}
	if free, _, err := f.Free(); free != 0 || err != nil {
		t.Errorf("free %d, %v, want 0", free, err)
	}
	lock, err := f.Lock(disk.LockName)
	if err != nil {
		t.Fatalf("a full disk keeps the lock from being taken: %v", err)
	}
	if err := errors.Join(lock.Close(), file.Close()); err != nil {
		t.Error(err)
	}
}

func BenchmarkOSSync(b *testing.B) {
	f, _ := newOS(b)
	file := fill(b, f, "f", 4<<20)
	defer func() { _ = file.Close() }() // only speed is of interest
	p := make([]byte, 4096)
	off := int64(0)
	for b.Loop() {
		if _, err := file.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		off = (off + 4096) % (4 << 20)
	}
}

func BenchmarkReplaceFile(b *testing.B) {
	f, _ := newOS(b)
	p := make([]byte, 4096)
	for b.Loop() {
		if err := disk.ReplaceFile(f, disk.ManifestName, disk.PrevManifestName, p); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWriteAtAllocates: the log writes once per group, so a write costs nothing
// but the system call.
func TestWriteAtAllocates(t *testing.T) {
	fs, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := make([]byte, 100)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := f.WriteAt(p, 0); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// TestReadFile reads whole files and refuses, before it allocates, larger ones.
func TestReadFile(t *testing.T) {
	root, err := disk.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.ReplaceFile(root, "a", "", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if got, err := disk.ReadFile(root, "a", 5); err != nil || string(got) != "12345" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := disk.ReadFile(root, "a", 4); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if _, err := disk.ReadFile(root, "none", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
