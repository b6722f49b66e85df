package tensor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestVariables finds package variables that are state: those that a function
// assigns to, and those of package sync that hold something. Tests could not run in
// parallel, and runs in one process would share them.
func TestVariables(t *testing.T) {
	packages := 0
	eachPackage(t, func(fset *token.FileSet, files []*ast.File) {
		packages++
		for _, pos := range state(files) {
			t.Errorf("%s: a package variable is state", fset.Position(pos))
		}
	})
	if packages < 20 {
		t.Errorf("only %d packages found: does the test still look at the right folders?", packages)
	}
}

// eachPackage calls do with the files of every package of the module, tests aside.
func eachPackage(t *testing.T, do func(fset *token.FileSet, files []*ast.File)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil || !d.IsDir():
			return err
		case name == "testdata" || strings.HasPrefix(name, "_") || len(name) > 2 && name[0] == '.':
			return filepath.SkipDir
		}
		paths, err := filepath.Glob(filepath.Join(path, "*.go"))
		if err != nil || len(paths) == 0 {
			return err
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		do(fset, files)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestState shows that TestVariables can fail.
func TestState(t *testing.T) {
	for code, want := range map[string]int{
		"var a = sync.Pool{}":                               1,
		"var a sync.Map":                                    1,
		"var a, b sync.Mutex":                               2,
		"var a = sync.OnceValue(f)":                         0,
		"var a = 1; func f() { a = 2 }":                     1,
		"var a = 1; func f() { a++ }":                       1,
		"var a = map[int]int{}; func f() { a[1] = 2 }":      1,
		"var a struct{ x int }; func f() { a.x, _ = 1, 2 }": 1,
		"var a *int; func f() { *a = 2 }":                   1,
		"var a = 1; func f(a int) { a = 2 }":                0,
		"var a = 1; func f() { a := 3; a = 2; _ = a }":      0,
		"var _ = 1; func f() { _ = 2 }":                     0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport \"sync\"\n"+code, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := state([]*ast.File{f}); len(got) != want {
			t.Errorf("%s: %d, want %d", code, len(got), want)
		}
	}
}

// state returns the places at which the files of a package declare state in
// package variables, or assign to one.
func state(files []*ast.File) (found []token.Pos) {
	globals := map[string]token.Pos{}
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, n := range v.Names {
					if n.Name == "_" {
						continue
					}
					globals[n.Name] = n.Pos()
					if holds(v.Type) || i < len(v.Values) && holds(v.Values[i]) {
						found = append(found, n.Pos())
					}
				}
			}
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(node ast.Node) bool {
			var targets []ast.Expr
			switch s := node.(type) {
			case *ast.AssignStmt:
				if s.Tok != token.DEFINE {
					targets = s.Lhs
				}
			case *ast.IncDecStmt:
				targets = []ast.Expr{s.X}
			}
			for _, e := range targets {
				id := base(e)
				if id == nil {
					continue
				}
				pos, ok := globals[id.Name]
				if ok && (id.Obj == nil || id.Obj.Pos() == pos) { // not resolved: declared in another file
					found = append(found, id.Pos())
				}
			}
			return true
		})
	}
	return found
}

// holds reports whether a type or value is one of package sync with contents.
func holds(e ast.Expr) bool {
	if lit, ok := e.(*ast.CompositeLit); ok {
		e = lit.Type
	}
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && (pkg.Name == "sync" || pkg.Name == "atomic")
}

// base returns the variable of which an expression is a part.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
