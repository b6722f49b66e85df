package tensor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// public are the packages that other modules can import.
var public = []string{"mmapio", "safetensors", "slerp", "torchbin", "writer"}

const module = "slerpmerge"

// TestPublicSignatures finds types of internal packages in what the public ones
// export. Other modules can name them through an alias alone.
func TestPublicSignatures(t *testing.T) {
	aliases := 0
	for _, pkg := range public {
		files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pkg, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			c := signatures{internal: internalImports(f)}
			c.file(f)
			for _, s := range c.found {
				t.Errorf("%s: %s.%s in the exported API", fset.Position(s.Pos()), s.X, s.Sel)
			}
			aliases += c.aliases
		}
	}
	if aliases < 8 {
		t.Errorf("only %d aliases found: does the test still look at the right files?", aliases)
	}
}

// TestSignatures shows that TestPublicSignatures can fail.
func TestSignatures(t *testing.T) {
	for code, want := range map[string]int{
		`func F(tensor.Info) {}`:                    1,
		`func F() (a []*tensor.Info, err error)`:    1,
		`func f(tensor.Info) {}`:                    0,
		`func F() { var _ tensor.Info }`:            0,
		`func (t T) M(f func(tensor.DType))`:        1,
		`func (t *t) M(tensor.DType)`:               0,
		`type T = tensor.Info`:                      0,
		`type T = []tensor.Info`:                    1,
		`type T tensor.Info`:                        1,
		`type T struct{ tensor.Info }`:              1,
		`type T struct{ a, b tensor.Info }`:         0,
		`type T struct{ a, B map[int]tensor.Info }`: 1,
		`type T interface{ M() tensor.Info }`:       1,
		`type t struct{ A tensor.Info }`:            0,
		`var V tensor.DType`:                        1,
		`var V = tensor.ErrOverflow`:                0,
		`const C = tensor.F32`:                      0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport \""+module+"/internal/tensor\"\n"+code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		c := signatures{internal: internalImports(f)}
		c.file(f)
		if len(c.found) != want {
			t.Errorf("%s: %d internal types, want %d", code, len(c.found), want)
		}
	}
}

// internalImports are the names by which a file knows internal packages.
func internalImports(f *ast.File) []string {
	var names []string
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		if !strings.HasPrefix(path, module+"/internal/") {
			continue
		}
		if i.Name != nil {
			names = append(names, i.Name.Name)
		} else {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}

// signatures collects the internal types in exported declarations.
type signatures struct {
	internal []string
	found    []*ast.SelectorExpr
	aliases  int
}

func (c *signatures) file(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || receiver(d.Recv.List[0].Type).IsExported()) {
				c.look(d.Type)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						c.typeSpec(s)
					}
				case *ast.ValueSpec:
					if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						c.look(s.Type)
					}
				}
			}
		}
	}
}

func (c *signatures) typeSpec(s *ast.TypeSpec) {
	if sel, ok := s.Type.(*ast.SelectorExpr); ok && s.Assign.IsValid() && c.isInternal(sel) {
		c.aliases++
		return
	}
	fields, ok := s.Type.(*ast.StructType)
	if !ok {
		c.look(s.Type)
		return
	}
	for _, f := range fields.Fields.List {
		if len(f.Names) == 0 || slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
			c.look(f.Type)
		}
	}
}

func (c *signatures) isInternal(s *ast.SelectorExpr) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && slices.Contains(c.internal, x.Name)
}

func (c *signatures) look(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && c.isInternal(s) {
			c.found = append(c.found, s)
		}
		return true
	})
}

// receiver is the name of a receiver's type.
func receiver(t ast.Expr) *ast.Ident {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t
	}
	return ast.NewIdent("_")
}

// TestImportable compiles a package of another module that names every type it
// needs to read a model and to write one.
func TestImportable(t *testing.T) {
	if testing.Short() {
		t.Skip("calls the go command")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.test/client\n\ngo 1.26\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + strconv.Quote(root) + "\n",
		"go.sum":    string(sums),
		"client.go": client,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const client = `package client

import (
	"errors"
	"io"

	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/slerp"
	"slerpmerge/torchbin"
	"slerpmerge/writer"
)

var infos = []safetensors.Info{{Name: "w", DType: safetensors.BF16, Shape: []uint64{2, 3}}}

type table []safetensors.Info

func (t table) Len() int                     { return len(t) }
func (t table) Info(i int) safetensors.Info { return t[i] }

type pointers []*safetensors.Info

func (t pointers) Len() int                      { return len(t) }
func (t pointers) Info(i int) *safetensors.Info { return t[i] }

var (
	_ torchbin.Table = table(infos)
	_ writer.Table   = pointers{&infos[0]}
	_ writer.Table   = writer.Infos(infos)
	_ []torchbin.Info = infos
	_ torchbin.File  = (*mmapio.File)(nil)
	_ io.ReaderAt    = (*mmapio.File)(nil)
)

func open(r *mmapio.File) (values []safetensors.Source, err error) {
	var arena safetensors.Arena
	f, err := safetensors.Open(r, r.Size(), safetensors.Options{Arena: &arena})
	if err != nil {
		return nil, err
	}
	for i := range f.Tensors {
		var info safetensors.Info = f.Tensors[i].Info
		_ = info.DType == safetensors.F32 && info.Elems() > 0
		values = append(values, f.Source(i))
	}
	c, err := torchbin.Open(r, r.Size(), torchbin.Options{})
	if err != nil {
		return nil, err
	}
	return append(values, c.Source(r, 0)), nil
}

func measure(d safetensors.DType) *slerp.InnerProducts { return slerp.NewInnerProducts(d, d) }

func write(dir string) error {
	l, err := writer.NewLayout(infos, nil, 5e9, writer.Safetensors)
	if err != nil {
		return err
	}
	var literals []writer.Literal = l.Files[0].Literals
	_ = literals
	o, err := writer.Create(dir, writer.Options{})
	if foreign := (*writer.ForeignError)(nil); errors.As(err, &foreign) {
		return foreign
	}
	return o.Abort()
}
`
