package tests

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows lists, for each room, the rooms that its code may import. Tests of a
// room may import, beyond that, what testArrows says. A room that is not listed
// here, or an arrow that is not, fails the test: draw it here first, downwards.
var arrows = map[string][]string{
	"kv":            {},
	"disk":          {},
	"disk/disktest": {"disk"},
	"metrics":       {},
	"memtable":      {"kv"},
	"wal":           {"disk"},
	"sstable":       {"kv", "disk"},
	"manifest":      {"kv", "disk"},
	"compaction":    {"kv", "disk", "sstable", "manifest"},
	"engine":        {"kv", "disk", "metrics", "memtable", "wal", "sstable", "manifest", "compaction"},
	"inspect":       {"kv", "disk", "wal", "sstable", "manifest", "compaction"},
	"backup":        {"disk", "sstable", "manifest", "wal"},
	"net/resp":      {},
	"net/server":    {"net/resp"},
	"net/command":   {"kv", "disk", "metrics", "engine", "net/resp", "net/server"},
	"net/console":   {"metrics", "engine"},
	"cmd/tskv":      {"kv", "disk", "metrics", "engine", "inspect", "backup", "net/resp", "net/server", "net/command", "net/console"},
	"tests":         {},
	"tests/samples": {"kv"},
	"tests/harness": {"net/resp"},
	"tests/e2e":     {"net/resp", "tests/harness"},
	"tests/chaos":   {"net/resp", "tests/harness"},
	"tests/repair":  {"kv", "disk", "compaction", "manifest", "engine", "inspect"},
}

// testArrows are the rooms that tests of any room may use beside its own arrows.
var testArrows = []string{"disk", "disk/disktest", "kv", "net/resp", "tests/samples"}

// libraries lists, for third-party modules that are not for everybody, the rooms
// that may import them.
var libraries = map[string][]string{
	"github.com/tidwall/redcon":         {"net/resp"},
	"github.com/bits-and-blooms":        {"sstable"},
	"github.com/huandu/skiplist":        {"memtable"},
	"github.com/klauspost/compress":     {"sstable", "wal"},
	"github.com/prometheus":             {"metrics", "net/console", "cmd/tskv"},
	"github.com/spf13/cobra":            {"cmd/tskv"},
	"github.com/BurntSushi/toml":        {"cmd/tskv"},
	"github.com/schollz/progressbar":    {"cmd/tskv"},
	"golang.org/x/sys":                  {"disk", "disk/disktest", "net/server", "tests/harness"},
	"golang.org/x/term":                 {"cmd/tskv"},
	"github.com/redis/go-redis":         {"tests/e2e", "net/command"},
	"go.uber.org/goleak":                nil, // any test
	"github.com/anishathalye/porcupine": {"tests/chaos"},
}

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := arrows[s.room]
		if !known {
			t.Errorf("%s: room %s is not on the map in arrows_test.go", s.path, s.room)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if room, own := strings.CutPrefix(path, "tskv/"); own {
				checkArrow(t, s, room, allowed)
			} else if strings.Contains(path, ".") {
				checkLibrary(t, s, path)
			}
		}
	}
}

func checkArrow(t *testing.T, s source, room string, allowed []string) {
	t.Helper()
	inTest := s.isTest() && (slices.Contains(testArrows, room) || room == s.room)
	if !inTest && !slices.Contains(allowed, room) {
		t.Errorf("%s imports tskv/%s: %s may import only %v", s.path, room, s.room, allowed)
	}
}

func checkLibrary(t *testing.T, s source, path string) {
	t.Helper()
	for module, rooms := range libraries {
		if path != module && !strings.HasPrefix(path, module+"/") {
			continue
		}
		if rooms == nil && s.isTest() || slices.Contains(rooms, s.room) {
			return
		}
		t.Errorf("%s imports %s, which is for %v", s.path, path, rooms)
		return
	}
	t.Errorf("%s imports %s: a new library is listed in arrows_test.go first", s.path, path)
}

// TestStreet keeps net a street: no package called net of our own.
func TestStreet(t *testing.T) {
	for _, s := range sources(t) {
		if s.room == "net" || s.file.Name.Name == "net" {
			t.Errorf("%s: no Go file lies directly in net", s.path)
		}
	}
}
