package main

import (
	"testing"
	"testing/fstest"
)

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1073741824": 1 << 30, "256MiB": 256 << 20, "4GiB": 4 << 30, "1g": 1 << 30, "1G": 1 << 30, "64mb": 64 << 20,
		" 2 TiB": 2 << 40, "10k": 10 << 10, "7b": 7,
	} {
		var s byteSize
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5g", "9999999999999999999", "9223372036854775807k", "1x", "1ggb"} {
		if err := new(byteSize).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for n, want := range map[byteSize]string{0: "0", 1000: "1000", 64 << 20: "64MiB", 1 << 30: "1GiB", 1<<30 + 1024: "1048577KiB"} {
		if got := n.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(n), got, want)
		}
	}
}

func TestMemoryBudget(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemTotal:        8388608 kB\nMemFree: 1 kB\n")
	for name, c := range map[string]struct {
		root fstest.MapFS
		flag byteSize
		want int64
	}{
		"nothing known": {want: 1 << 30},
		"flag":          {flag: 256 << 20, root: fstest.MapFS{"proc/meminfo": machine}, want: 256 << 20},
		"machine":       {root: fstest.MapFS{"proc/meminfo": machine}, want: 4 << 30},
		"large machine": {root: fstest.MapFS{"proc/meminfo": file("MemTotal: 99999999 kB\n")}, want: mostDefault},
		"version 2": {root: fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("536870912\n"),
		}, want: 256 << 20},
		"version 2 in a container": {root: fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/../x\n"), "sys/fs/cgroup/memory.max": file("1073741824\n"),
		}, want: 512 << 20},
		"version 1": {root: fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("8:pids:/\n4:cpu,memory:/job\n0::/\n"),
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes": file("2147483648"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     file("9223372036854771712"),
		}, want: 1 << 30},
		"tiny":    {root: fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1000")}, want: leastDefault},
		"garbage": {root: fstest.MapFS{"proc/meminfo": file("MemTotal: x"), "proc/self/cgroup": file("0\n::\n0::/\n"), "sys/fs/cgroup/memory.max": file("-1")}, want: 1 << 30},
	} {
		if got := memoryBudget(c.flag, c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
