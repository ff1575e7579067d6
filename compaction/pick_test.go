package compaction

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"tskv/kv"
	"tskv/manifest"
)

var update = flag.Bool("update", false, "rewrite the expected drawings")

// TestPickScripts runs testdata/pick/*.txt. A script is a list of cases:
//
//	== title
//	options now=40d max=1G split=64M gain=2 idle=100 fit=50M avoid=3,7
//	tombstone key=a* from=0 to=max seq=500
//	file 1 w=0 seq=1-100 size=10M keys=a-z rows=100 del=10 hidden=20 class=11
//	key 1 2 deletes=2 hidden=1
//	steps 3
//	----
//	the drawing
//
// w is the number of a window, or 0-3 for a mixed file that reaches over some. With
// a line "key", files that hold the key are named, and PickKey is asked instead.
//
// The drawing shows each window as a line of files, in the order of sequences, before
// and after each step: [ID sequences size], with keys unless they are a-z, point
// deletes and hidden rows of all rows. Inputs of the plan stand between > and <, a
// damaged file between x and x.
func TestPickScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "pick", "*.txt"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update || os.Getenv("TSKV_UPDATE") == "1" {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("the script gives\n%s", got)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	head, body, _ := strings.Cut("\n"+text, "\n== ")
	out := strings.TrimPrefix(head, "\n")
	if out != "" {
		out += "\n"
	}
	for one := range strings.SplitSeq(body, "\n== ") {
		input, _, ok := strings.Cut(one, "\n----")
		if !ok {
			t.Fatalf("case without ----: %s", one)
		}
		s := &script{t: t, steps: 1, nextID: 100, hidden: make(map[uint64]uint64), avoid: make(map[uint64]bool)}
		for line := range strings.SplitSeq(input, "\n") {
			s.line(line)
		}
		out += "== " + input + "\n----\n" + s.run() + "\n"
	}
	return strings.TrimRight(out, "\n") + "\n"
}

type script struct {
	t      *testing.T
	files  []manifest.File
	opt    PickOptions
	tombs  []kv.Tombstone
	steps  int
	nextID uint64
	hidden map[uint64]uint64  // rows of a file
	avoid  map[uint64]bool    // damaged files
	key    map[uint64]KeyFile // files that hold the key of PickKey, nil without one
}

// line reads one input line; the title and comments say nothing to it.
func (s *script) line(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	args := make(map[string]string)
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = v
	}
	switch words[0] {
	case "options":
		s.opt = PickOptions{
			Now: s.number(args["now"]), IdleSeq: s.number(args["idle"]), MinGain: float64(s.number(args["gain"])),
			MaxFileBytes: int64(s.number(args["max"])), SplitBytes: int64(s.number(args["split"])),
			MaxInputBytes: int64(s.number(args["fit"])),
		}
		for id := range strings.SplitSeq(args["avoid"], ",") {
			s.avoid[s.number(id)] = true
		}
	case "tombstone":
		key, prefix := strings.CutSuffix(args["key"], "*")
		ts := kv.Tombstone{Key: []byte(key), Prefix: prefix, To: kv.MaxID, Seq: s.number(args["seq"])}
		ts.From.Time = s.number(args["from"])
		if to := s.number(args["to"]); to != math.MaxUint64 {
			ts.To = kv.ID{Time: to}
		}
		s.tombs = append(s.tombs, ts)
	case "file":
		s.file(s.number(words[1]), args)
	case "key":
		s.key = make(map[uint64]KeyFile)
		for _, w := range words[1:] {
			if id, what, ok := strings.Cut(w, "="); !ok {
				s.key[s.number(w)] = KeyFile{}
			} else if n := s.number(what); id == "deletes" {
				s.key[n] = KeyFile{Deletes: true, Hidden: s.key[n].Hidden}
			} else {
				s.key[n] = KeyFile{Deletes: s.key[n].Deletes, Hidden: true}
			}
		}
	case "steps":
		s.steps = int(s.number(words[1]))
	}
}

func (s *script) file(id uint64, args map[string]string) {
	f := manifest.File{ID: id, Class: ClassData, MinKey: []byte("a"), MaxKey: []byte("z"), Series: 1}
	if c, ok := args["class"]; ok {
		f.Class = uint8(s.number(c))
	}
	from, to, mixed := strings.Cut(args["w"], "-")
	w := width(f.Class)
	f.Window = int64(s.number(from) * w)
	f.MinTime, f.MaxTime = uint64(f.Window), uint64(f.Window)+w-1
	if mixed {
		f.Window, f.MaxTime = Mixed, (s.number(to)+1)*w-1
	}
	lo, hi, _ := strings.Cut(args["seq"], "-")
	f.MinSeq, f.MaxSeq = s.number(lo), s.number(hi)
	if a, b, ok := strings.Cut(args["keys"], "-"); ok {
		f.MinKey, f.MaxKey = []byte(a), []byte(b)
	}
	f.Size = int64(s.number(args["size"]))
	f.Rows = max(s.number(args["rows"]), 1)
	f.Deletes = s.number(args["del"])
	s.hidden[id] = s.number(args["hidden"])
	s.files = append(s.files, f)
}

// number reads 12, 10M, 40d, max; an empty text is 0.
func (s *script) number(text string) uint64 {
	units := map[string]uint64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "h": hourMS, "d": dayMS}
	if text == "max" {
		return math.MaxUint64
	}
	if text == "" {
		return 0
	}
	unit := strings.TrimLeftFunc(text, unicode.IsDigit)
	n, err := strconv.ParseUint(strings.TrimSuffix(text, unit), 10, 64)
	if err != nil || units[unit] == 0 {
		s.t.Fatalf("not a number: %q", text)
	}
	return n * units[unit]
}

func (s *script) run() string {
	var b strings.Builder
	s.opt.Tombstones = kv.NewTombstones(s.tombs)
	s.opt.Hidden = func(id uint64) uint64 { return s.hidden[id] }
	s.opt.Avoid = func(id uint64) bool { return s.avoid[id] }
	for range s.steps {
		if err := CheckOrder(s.files); err != nil {
			fmt.Fprintln(&b, err)
		}
		plan, ok := s.pick()
		s.draw(&b, plan)
		if !ok {
			fmt.Fprintln(&b, "nothing to do")
			return b.String()
		}
		describe(&b, plan)
		s.files = simulate(s.files, plan, s.opt, &s.nextID)
		s.follow(plan)
	}
	s.draw(&b, Plan{})
	return b.String()
}

func (s *script) pick() (Plan, bool) {
	if s.key == nil {
		return Pick(s.files, s.opt)
	}
	return PickKey(s.files, s.opt, func(id uint64) (KeyFile, bool) {
		k, ok := s.key[id]
		return k, ok
	})
}

// follow gives the key to what has come of its files.
func (s *script) follow(plan Plan) {
	if s.key == nil {
		return
	}
	var k KeyFile
	for _, f := range plan.Inputs {
		k.Deletes = k.Deletes || s.key[f.ID].Deletes && !plan.DropDeletes
	}
	s.key[s.nextID] = k
}

// draw draws each window as a line of files.
func (s *script) draw(b *strings.Builder, plan Plan) {
	for _, g := range groups(s.files) {
		window := "mixed"
		if g.window != Mixed {
			window = fmt.Sprint("window ", uint64(g.window)/width(g.class))
		}
		fmt.Fprintf(b, "%3d %-10s", g.class, window)
		for _, f := range g.files {
			left, right := " ", " "
			switch {
			case slices.ContainsFunc(plan.Inputs, func(in manifest.File) bool { return in.ID == f.ID }):
				left, right = ">", "<"
			case s.avoid[f.ID]:
				left, right = "x", "x"
			}
			fmt.Fprintf(b, "%s[%d %d-%d %s", left, f.ID, f.MinSeq, f.MaxSeq, bytesText(f.Size))
			if string(f.MinKey) != "a" || string(f.MaxKey) != "z" {
				fmt.Fprintf(b, " %s-%s", f.MinKey, f.MaxKey)
			}
			if f.Deletes > 0 {
				fmt.Fprintf(b, " del %d/%d", f.Deletes, f.Rows)
			}
			if n := s.hidden[f.ID]; n > 0 {
				fmt.Fprintf(b, " hidden %d/%d", n, f.Rows)
			}
			fmt.Fprintf(b, "]%s", right)
		}
		b.WriteString("\n")
	}
}

func bytesText(n int64) string {
	for _, unit := range []string{"", "K", "M"} {
		if n < 1<<10 {
			return fmt.Sprint(n, unit)
		}
		n >>= 10
	}
	return fmt.Sprint(n, "G")
}

func describe(b *strings.Builder, plan Plan) {
	fmt.Fprintf(b, "-> %s:", plan.Reason)
	var total, largest int64
	for _, f := range plan.Inputs {
		fmt.Fprintf(b, " %d", f.ID)
		total, largest = total+f.Size, max(largest, f.Size)
	}
	fmt.Fprintf(b, ", %s, gain %.2f", bytesText(total), float64(total)/float64(largest))
	for _, flag := range []struct {
		on   bool
		text string
	}{{plan.Split, "split"}, {plan.DropDeletes, "drop deletes"}, {plan.Covered, "no output"}} {
		if flag.on {
			fmt.Fprintf(b, ", %s", flag.text)
		}
	}
	fmt.Fprintln(b)
}

// simulate replaces the inputs of a plan by files as large as they are; a split
// file's bytes are spread evenly over those of its windows that have no sibling.
func simulate(files []manifest.File, plan Plan, opt PickOptions, nextID *uint64) []manifest.File {
	var rest []manifest.File
	var inputs []*manifest.File
	for i := range files {
		f := &files[i]
		isInput := false
		for j := range plan.Inputs {
			isInput = isInput || plan.Inputs[j].ID == f.ID
		}
		if isInput {
			inputs = append(inputs, f)
		} else {
			rest = append(rest, *f)
		}
	}
	if plan.Covered {
		return rest
	}
	out := bounds(inputs)
	out.Size, _ = sizes(inputs)
	out.Rows, out.Deletes = 0, 0
	for _, f := range inputs {
		out.Rows += f.Rows
		if !plan.DropDeletes {
			out.Deletes += f.Deletes
		}
	}
	if plan.Reason == "tombstone" && opt.Tombstones.Len() > 0 { // the scripts cut at the start
		out.MinTime = opt.Tombstones.List()[0].To.Time
	}
	if !plan.Split {
		*nextID++
		out.ID = *nextID
		return append(rest, out)
	}
	w := width(out.Class)
	n := int64(out.MaxTime/w - out.MinTime/w + 1)
	for start := out.MinTime / w * w; start < out.MaxTime; start += w {
		taken := slices.ContainsFunc(rest, func(f manifest.File) bool {
			return sameSeq(&f, &out) && f.Window == int64(start)
		})
		if taken {
			continue
		}
		*nextID++
		part := out
		part.ID, part.Size, part.Window = *nextID, out.Size/n, int64(start)
		part.MinTime, part.MaxTime = start, start+w-1
		rest = append(rest, part)
	}
	return rest
}
