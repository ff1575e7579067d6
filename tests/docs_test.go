package tests

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const maxReadme = 150 // lines

// document is one Markdown file of the repository.
type document struct {
	path  string // relative to this folder
	lines []string
	code  []bool // the line lies in a fenced block
}

func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "bin" || name == "data" || len(name) > 2 && name[0] == '.') {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".md") {
			all = append(all, readDocument(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d documents", len(all))
	}
	return all
}

func readDocument(t *testing.T, path string) document {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := document{path: path, lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}
	inside := false
	for _, line := range d.lines {
		fence := strings.HasPrefix(line, "```")
		d.code = append(d.code, inside || fence)
		if fence {
			inside = !inside
		}
	}
	if inside {
		t.Errorf("%s: a fenced block does not end", path)
	}
	return d
}

var inlineCode = regexp.MustCompile("`[^`]*`")

// snippets returns what stands as code in line i: the line itself, or the parts
// between backquotes.
func (d *document) snippets(i int) []string {
	if d.code[i] {
		return []string{d.lines[i]}
	}
	var parts []string
	for _, s := range inlineCode.FindAllString(d.lines[i], -1) {
		parts = append(parts, strings.Trim(s, "`"))
	}
	return parts
}

// each calls fn with every match of a pattern's first group in code.
func each(docs []document, pattern string, fn func(d *document, line int, found string)) {
	re := regexp.MustCompile(pattern)
	for i := range docs {
		for line := range docs[i].lines {
			for _, s := range docs[i].snippets(line) {
				for _, m := range re.FindAllStringSubmatch(s, -1) {
					fn(&docs[i], line+1, m[1])
				}
			}
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	d := readDocument(t, "../README.md")
	if len(d.lines) > maxReadme {
		t.Errorf("README.md has %d lines, the limit is %d", len(d.lines), maxReadme)
	}
}

// TestLinks wants every relative link to lead to a file or folder.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, d := range documents(t) {
		for i, line := range d.lines {
			if d.code[i] {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
				target, _, _ := strings.Cut(m[1], "#")
				if target == "" || strings.Contains(target, "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(d.path), filepath.FromSlash(target))); err != nil {
					t.Errorf("%s:%d: %v", d.path, i+1, err)
				}
			}
		}
	}
}

func TestMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	each(documents(t), `(?:^|[;&(]\s*)make ([a-z]+)`, func(d *document, line int, target string) {
		if !regexp.MustCompile(`(?m)^` + target + `:`).Match(makefile) {
			t.Errorf("%s:%d: the Makefile has no target %s", d.path, line, target)
		}
	})
}

// flagsOf returns the flags that a source file of cmd/tskv declares.
func flagsOf(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			return true
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(fun.Sel.Name, "Var") {
			return true
		}
		if name, ok := call.Args[1].(*ast.BasicLit); ok && name.Kind == token.STRING {
			text, err := strconv.Unquote(name.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, text)
		}
		return true
	})
	if len(names) == 0 {
		t.Fatalf("%s declares no flag", path)
	}
	return names
}

// TestFlags wants every flag that a document names to exist, and every flag of
// the server to be in the table of docs/operations.md. A flag is named as
// `--name`, or in a line that calls tskv.
func TestFlags(t *testing.T) {
	serve := flagsOf(t, "../cmd/tskv/serve.go")
	known := slices.Concat(serve, flagsOf(t, "../cmd/tskv/cli.go"), flagsOf(t, "../cmd/tskv/backup.go"),
		flagsOf(t, "../cmd/tskv/repository.go"), flagsOf(t, "../cmd/tskv/restore.go"),
		flagsOf(t, "../cmd/tskv/check.go"), flagsOf(t, "../cmd/tskv/dump.go"), []string{"help", "version"})
	others := []string{"scan", "latency", "pipe"} // of redis-cli
	docs := documents(t)
	each(docs, `^--([a-z-]+)`, func(d *document, line int, name string) {
		if !slices.Contains(known, name) && !slices.Contains(others, name) {
			t.Errorf("%s:%d: tskv has no flag --%s", d.path, line, name)
		}
	})
	each(docs, `tskv (?:serve|cli|backup|restore|check|dump)\b(.*)`, func(d *document, line int, rest string) {
		for _, m := range regexp.MustCompile(`\s--([a-z-]+)`).FindAllStringSubmatch(rest, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s:%d: tskv has no flag --%s", d.path, line, m[1])
			}
		}
	})
	table := strings.Join(readDocument(t, "../docs/operations.md").lines, "\n")
	for _, name := range serve {
		if !strings.Contains(table, "\n| `--"+name+"` |") {
			t.Errorf("docs/operations.md: the table of flags lacks --%s", name)
		}
	}
}

// TestMetricNames compares the names in the documents with those in the code.
func TestMetricNames(t *testing.T) {
	declared := map[string]bool{}
	for _, path := range []string{"engine.go", "net.go", "commands.go"} {
		text, err := os.ReadFile("../metrics/" + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`[a-z]\("(?:tskv_)?([a-z_]+)", "[A-Z1]|NewDesc\("tskv_([a-z_]+)"`).FindAllSubmatch(text, -1) {
			declared["tskv_"+string(m[1])+string(m[2])] = true
		}
	}
	if len(declared) < 40 {
		t.Fatalf("found only %d metrics in the code", len(declared))
	}
	named := map[string]bool{}
	each(documents(t), `^(tskv_[a-z_]+)$`, func(d *document, line int, name string) {
		named[name] = true
		if !declared[name] && name != "tskv_version" { // a field of INFO
			t.Errorf("%s:%d: there is no metric %s", d.path, line, name)
		}
	})
	for name := range declared {
		if !named[name] {
			t.Errorf("docs/operations.md lacks the metric %s", name)
		}
	}
}

// TestNamedTests wants every test that a document names to exist.
func TestNamedTests(t *testing.T) {
	known := map[string]bool{}
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.isTest() {
				known[f.Name.Name] = true
			}
		}
	}
	each(documents(t), `^(Test[A-Za-z]+)$`, func(d *document, line int, name string) {
		if !known[name] {
			t.Errorf("%s:%d: there is no test %s", d.path, line, name)
		}
	})
}

// block returns the first fenced block of a language.
func (d *document) block(language string) string {
	start := slices.Index(d.lines, "```"+language)
	if start < 0 {
		return ""
	}
	end := start + 1 + slices.Index(d.lines[start+1:], "```")
	return strings.Join(d.lines[start+1:end], "\n") + "\n"
}

// TestEmbedding builds and runs the program of docs/embedding.md, as a package
// of this module that is there only for the compiler.
func TestEmbedding(t *testing.T) {
	d := readDocument(t, "../docs/embedding.md")
	program, want := d.block("go"), d.block("text")
	if program == "" || want == "" {
		t.Fatal("docs/embedding.md lacks the program or what it prints")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	place, err := filepath.Abs("../docs/program/main.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "-overlay", overlayFile, "./docs/program")
	cmd.Dir = ".."
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run the program of docs/embedding.md: %v\n%s", err, got)
	}
	if string(got) != want {
		t.Errorf("the program of docs/embedding.md prints\n%s\nthe document says\n%s", got, want)
	}
}
