package tensor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestMutexes finds mutexes of which the declaration does not say what they guard.
func TestMutexes(t *testing.T) {
	found := 0
	eachPackage(t, func(fset *token.FileSet, files []*ast.File) {
		for _, f := range files {
			n, silent := mutexes(f)
			for _, pos := range silent {
				t.Errorf("%s: no comment says what the mutex guards", fset.Position(pos))
			}
			found += n
		}
	})
	if found < 10 {
		t.Errorf("only %d mutexes found: does the test still look at the right files?", found)
	}
}

// TestSilentMutexes shows that TestMutexes can fail.
func TestSilentMutexes(t *testing.T) {
	for code, want := range map[string]int{
		"type T struct { mu sync.Mutex }":                            1,
		"type T struct { mu sync.RWMutex // a lock\n }":              1,
		"type T struct { sync.Mutex }":                               1,
		"type T struct { mu sync.Mutex // guards x\n x int }":        0,
		"type T struct {\n // mu guards x.\n mu sync.Mutex\n x int}": 0,
		"var mu sync.Mutex":                                          1,
		"var mu sync.Mutex // guards the map\n":                      0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport \"sync\"\n"+code, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if n, silent := mutexes(f); n != 1 || len(silent) != want {
			t.Errorf("%s: %d mutexes, %d without a comment; want %d", code, n, len(silent), want)
		}
	}
}

// mutexes counts the mutexes that a file declares, and returns the places of those
// without a comment that says what they guard.
func mutexes(f *ast.File) (n int, silent []token.Pos) {
	look := func(typ ast.Expr, comments ...*ast.CommentGroup) {
		s, ok := typ.(*ast.SelectorExpr)
		if !ok || s.Sel.Name != "Mutex" && s.Sel.Name != "RWMutex" {
			return
		}
		n++
		for _, c := range comments {
			if strings.Contains(c.Text(), "guard") {
				return
			}
		}
		silent = append(silent, typ.Pos())
	}
	ast.Inspect(f, func(node ast.Node) bool {
		switch d := node.(type) {
		case *ast.Field:
			look(d.Type, d.Doc, d.Comment)
		case *ast.ValueSpec:
			look(d.Type, d.Doc, d.Comment)
		}
		return true
	})
	return n, silent
}
