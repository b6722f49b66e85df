package cli

import (
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
)

// based is a method with a role for the base.
type based struct {
	method.LinearMethod
	role recipe.BaseRole
}

func (b based) Base() recipe.BaseRole { return b.role }

// The base of a recipe is measured from where its method does so; elsewhere it is one
// of the models, or there is none.
func TestBaseOfRecipe(t *testing.T) {
	const list = "models:\n  - model: a\n  - model: b\n  - model: c\nparameters: {weight: 1}\n"
	for _, c := range []struct {
		role recipe.BaseRole
		base string
		want int
	}{
		{recipe.BaseIsRequired, "base_model: z\n", 0},
		{recipe.BaseIsRequired, "base_model: b\n", 0}, // which Models lists first
		{recipe.BaseIsOptional, "base_model: z\n", 0},
		{recipe.BaseIsOptional, "", -1},
		{recipe.BaseIsModel, "base_model: a\n", -1},
	} {
		r, err := recipe.Parse("r.yml", []byte("merge_method: linear\n"+c.base+list), []recipe.Rules{based{role: c.role}})
		if err != nil {
			t.Fatal(err)
		}
		if got := baseIn(r); got != c.want {
			t.Errorf("role %d, %q: %d, want %d", c.role, c.base, got, c.want)
		}
	}
}

// A grid that is wider than the screen goes on below, with the heads of its rows.
func TestGrid(t *testing.T) {
	g := grid{corner: "x", rows: []string{"one", "two"}, columns: []string{"a", "wide"}, cells: [][]string{{"1"}, {"22", "3"}}}
	if got, want := printed(&g), "x     a  wide\none   1\ntwo  22     3\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	g.columns, g.cells = []string{long(40), long(41), "c"}, [][]string{{"1", "2", "3"}, {"1"}}
	want := "x    " + long(40) + "\none  " + pad("1", 40) + "\ntwo  " + pad("1", 40) + "\n\nx    " + long(41) + "  c\none  " + pad("2", 41) + "  3\n"
	if got := printed(&g); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWrapped(t *testing.T) {
	for in, want := range map[string]string{"": "", "a b": "a b", long(50) + " " + long(29): long(50) + " " + long(29), long(50) + " " + long(30): long(50) + "\n" + long(30), long(90): long(90)} {
		if got := wrapped(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func printed(g *grid) string {
	var b strings.Builder
	g.print(&b)
	return b.String()
}

func long(n int) string { return strings.Repeat("n", n) }
