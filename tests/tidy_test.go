package tests

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

const (
	maxFunction     = 70  // lines
	maxTestFunction = 120 // tables of cases are long and flat
	maxFile         = 400
	maxTestFile     = 600
)

var leftovers = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|not implemented)\b`)

func TestTidy(t *testing.T) {
	for _, s := range sources(t) {
		lines, limit := s.line(s.file.End()), maxFile
		if s.isTest() {
			limit = maxTestFile
		}
		if lines > limit {
			t.Errorf("%s has %d lines, the limit is %d", s.path, lines, limit)
		}
		checkDeclarations(t, s)
		for _, group := range s.file.Comments {
			if found := leftovers.FindString(group.Text()); found != "" {
				t.Errorf("%s:%d: a comment says %s", s.path, s.line(group.Pos()), found)
			}
		}
	}
}

func checkDeclarations(t *testing.T, s source) {
	t.Helper()
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			limit := maxFunction
			if s.isTest() {
				limit = maxTestFunction
			}
			if n := s.line(d.End()) - s.line(d.Pos()) + 1; n > limit {
				t.Errorf("%s:%d: %s has %d lines, the limit is %d", s.path, s.line(d.Pos()), d.Name.Name, n, limit)
			}
			if d.Name.Name == "init" && d.Recv == nil {
				t.Errorf("%s:%d: no init functions", s.path, s.line(d.Pos()))
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR && !s.isTest() {
				checkGlobals(t, s, d)
			}
		}
	}
}

// checkGlobals allows package variables that nothing changes: errors, tables
// and compiled things that are set where they are declared.
func checkGlobals(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for _, name := range v.Names {
			_, array := v.Type.(*ast.ArrayType) // zeroes to compare with
			if name.Name != "_" && !array && len(v.Values) == 0 {
				t.Errorf("%s:%d: package variable %s has no value: state belongs into a struct", s.path, s.line(name.Pos()), name.Name)
			}
			if assigned(s.file, name.Name) {
				t.Errorf("%s:%d: package variable %s is changed", s.path, s.line(name.Pos()), name.Name)
			}
		}
	}
}

// assigned reports whether the file assigns to a package variable of that name.
func assigned(file *ast.File, name string) bool {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || a.Tok == token.DEFINE {
			return true
		}
		for _, left := range a.Lhs {
			if id, ok := left.(*ast.Ident); ok && id.Name == name && id.Obj != nil && id.Obj.Kind == ast.Var && isGlobal(file, id) {
				found = true
			}
		}
		return true
	})
	return found
}

func isGlobal(file *ast.File, id *ast.Ident) bool {
	spec, ok := id.Obj.Decl.(*ast.ValueSpec)
	if !ok {
		return false
	}
	for _, decl := range file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok {
			for _, s := range d.Specs {
				if s == spec {
					return true
				}
			}
		}
	}
	return false
}

// TestPackageComments wants a package comment in every room.
func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.file.Doc != nil && strings.HasPrefix(s.file.Doc.Text(), "Package ") || s.file.Name.Name == "main" && s.file.Doc != nil {
			documented[s.room] = true
		} else if !documented[s.room] {
			documented[s.room] = false
		}
	}
	for room, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", room)
		}
	}
}
