package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// skipMount ends a test that may not mount, loudly.
func skipMount(t testing.TB, why string) {
	t.Helper()
	t.Skipf("SKIPPED, NOTHING IS PROVED: %s", why)
}

// Tmpfs mounts an empty file system of so many bytes in memory for the test and
// returns its directory. It skips the test where that is not allowed.
func Tmpfs(t testing.TB, size int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		skipMount(t, "only root mounts")
	}
	dir := t.TempDir()
	if err := command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tskv-test", dir); err != nil {
		skipMount(t, err.Error())
	}
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

// Resize gives a Tmpfs another size.
func Resize(t testing.TB, dir string, size int64) {
	t.Helper()
	if err := command("mount", "-o", fmt.Sprintf("remount,size=%d", size), dir); err != nil {
		t.Fatal(err)
	}
}

// Loop is an ext4 file system in a file, mounted for a test.
type Loop struct {
	Dir   string // where it is mounted
	image string
}

// NewLoop makes and mounts an ext4 of so many bytes whose image, a sparse file,
// lies in a directory of the test, or in the one given. It skips the test where
// that is not allowed.
func NewLoop(t testing.TB, in string, size int64) *Loop {
	t.Helper()
	if os.Geteuid() != 0 {
		skipMount(t, "only root mounts")
	}
	if in == "" {
		in = t.TempDir()
	}
	l := &Loop{Dir: t.TempDir(), image: filepath.Join(in, "disk.img")}
	file, err := os.Create(l.image)
	if err == nil {
		err = errors.Join(file.Truncate(size), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", l.image); err != nil {
		skipMount(t, err.Error())
	}
	if err := command("mount", "-o", "loop", l.image, l.Dir); err != nil {
		skipMount(t, err.Error())
	}
	t.Cleanup(func() { unmount(t, l.Dir) })
	return l
}

// Mount mounts it again after Unmount.
func (l *Loop) Mount(t testing.TB) {
	t.Helper()
	if err := command("mount", "-o", "loop", l.image, l.Dir); err != nil {
		t.Fatal(err)
	}
}

// Unmount unmounts it; nobody may have a file of it open.
func (l *Loop) Unmount(t testing.TB) {
	t.Helper()
	if err := retry("umount", l.Dir); err != nil {
		t.Fatal(err)
	}
}

// Repair checks an unmounted file system and mends it, as a machine does that
// starts after an accident.
func (l *Loop) Repair(t testing.TB) {
	t.Helper()
	out, err := exec.Command("fsck.ext4", "-f", "-y", l.image).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 2) {
		t.Fatalf("fsck: %v\n%s", err, out)
	}
}

// The ioctl that takes the power away from a mounted file system, and its flag
// "lose what is in the journal's memory, too".
const (
	iocShutdown = 0x8004587d // _IOR('X', 125, uint32)
	noLogFlush  = 2
)

// Cut takes the power away: nothing that is not on the disk now will be, and every
// further call fails with EIO until the file system is mounted anew.
func (l *Loop) Cut() error {
	dir, err := os.Open(l.Dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlSetPointerInt(int(dir.Fd()), iocShutdown, noLogFlush), dir.Close())
}

func unmount(t testing.TB, dir string) {
	if err := retry("umount", dir); err != nil && !strings.Contains(err.Error(), "not mounted") {
		t.Error(err)
	}
}

// retry runs a command up to ten times: a process that was just killed may still
// have its files open.
func retry(name string, args ...string) error {
	var err error
	for range 10 {
		if err = command(name, args...); err == nil || strings.Contains(err.Error(), "not mounted") {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
