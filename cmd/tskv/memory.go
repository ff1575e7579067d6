package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"tskv/engine"
)

// byteSize is a flag in bytes that people write as 256MiB, 4g or 1073741824. All
// suffixes are powers of two.
type byteSize int64

// String implements pflag.Value.
func (s *byteSize) String() string {
	n, unit := int64(*s), 0
	for n != 0 && n%1024 == 0 && unit < len(sizeUnits) {
		n, unit = n/1024, unit+1
	}
	text := strconv.FormatInt(n, 10)
	if unit > 0 {
		text += strings.ToUpper(sizeUnits[unit-1:unit]) + "iB"
	}
	return text
}

// sizeUnits are the first letters of the suffixes, each 1,024 times the one before.
const sizeUnits = "kmgt"

// Set implements pflag.Value.
func (s *byteSize) Set(text string) error {
	number := strings.ToLower(strings.TrimSpace(text))
	number = strings.TrimSuffix(strings.TrimSuffix(number, "b"), "i")
	shift := 0
	if n := len(number); n > 0 {
		if unit := strings.IndexByte(sizeUnits, number[n-1]); unit >= 0 {
			number, shift = number[:n-1], 10*(unit+1)
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is no size such as 256MiB or 4GiB", text)
	}
	*s = byteSize(n << shift)
	return nil
}

// Type implements pflag.Value.
func (s *byteSize) Type() string { return "size" }

// The default budget is half of what the process may have, within bounds: a start
// after kill -9 replays up to a quarter of the budget from the log.
const (
	defaultShare  = 2
	leastDefault  = engine.MinMemory
	mostDefault   = 4 << 30
	memoryUnknown = engine.DefaultMemory
)

// memoryBudget returns the budget to use: flag, or the default if that is zero.
func memoryBudget(flag byteSize, root fs.FS) int64 {
	if flag > 0 {
		return int64(flag)
	}
	limit := min(cgroupLimit(root), machineMemory(root))
	if limit == math.MaxInt64 {
		return memoryUnknown
	}
	return min(max(limit/defaultShare, leastDefault), mostDefault)
}

// machineMemory returns the memory of the machine, MaxInt64 if unknown.
func machineMemory(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "MemTotal: %d kB", &kib); n == 1 && kib > 0 && kib < math.MaxInt64>>10 {
			return kib << 10
		}
	}
	return math.MaxInt64
}

// cgroupLimit returns the lowest memory limit of the process's control group and
// those above it, of version 2 or 1; MaxInt64 if there is none.
func cgroupLimit(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return math.MaxInt64
	}
	limit := int64(math.MaxInt64)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		// hierarchy:controllers:path
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			limit = min(limit, readLimit(root, path.Join(dir, at, file)))
			if at == "/" {
				break
			}
		}
	}
	return limit
}

// readLimit reads a number of bytes; MaxInt64 for "max" and for what cannot be
// read, as above the root of a container.
func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// heapPercent is the part of the budget that the Go runtime gets. The maps of table
// files have an eighth, and what is left covers the program itself.
const heapPercent = 85

// limitHeap sets the runtime's soft limit, unless the environment has set one.
func limitHeap(budget int64, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(budget / 100 * heapPercent)
	}
	log.Info("memory", "budget", budget, "heap_limit", debug.SetMemoryLimit(-1))
}

// clientShare is what the input buffers of all clients may take, and what the
// replies that wait for slow ones may.
func clientShare(budget int64) int64 { return min(max(budget/8, 8<<20), 1<<30) }

// checkMemory refuses a budget that the store would refuse, before the doors open.
func checkMemory(budget int64) error {
	if budget < engine.MinMemory || budget > engine.MaxMemory {
		return errors.New("--memory: 64MiB to 1TiB")
	}
	return nil
}
