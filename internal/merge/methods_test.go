package merge_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
)

// sections are the parts of docs/methods.md that have a recipe, by their headings.
func sections(t *testing.T) map[string]string {
	page, err := os.ReadFile("../../docs/methods.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, s := range strings.Split("\n"+string(page), "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		switch m := block.FindAllStringSubmatch(text, -1); len(m) {
		case 0:
		case 1:
			all[name] = m[0][1]
		default:
			t.Errorf("section %s has %d recipes", name, len(m))
		}
	}
	return all
}

// Every method has a section on the page, and its recipe runs without a warning, on
// testdata/models.
func TestMethodsPage(t *testing.T) {
	all := sections(t)
	t.Chdir("../../testdata/models")
	dir := t.TempDir()
	for _, rules := range method.All() {
		name := string(rules.Name())
		t.Run(name, func(t *testing.T) {
			text, ok := all[name]
			if !ok {
				t.Fatal("docs/methods.md has no section with a recipe")
			}
			parsed, err := recipe.Parse("methods.md", []byte(text), method.All())
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Method != rules.Name() {
				t.Errorf("the recipe is of %s", parsed.Method)
			}
			pool := mmapio.NewPool(4 << 20)
			var models []*model.Model
			for _, path := range parsed.Parents() {
				m, err := model.Open(pool, path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				models = append(models, m)
			}
			r := recipe.Request{Recipe: *parsed, Run: recipe.Run{Output: filepath.Join(dir, name), MaxMemory: 64 << 20, Threads: 2}}
			r.ShardSize = 5e9
			p, err := plan.New(r, models...)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Blockers)+len(p.Warnings) > 0 {
				t.Errorf("blockers %q, warnings %q", p.Blockers, p.Warnings)
			}
			if _, err := merge.Run(context.Background(), p, merge.Options{Pool: pool}); err != nil {
				t.Fatal(err)
			}
			out, err := model.Open(pool, r.Output)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(out.Close)
			if len(out.Tensors) == 0 {
				t.Error("no tensors")
			}
			for i := range out.Tensors {
				if x := &out.Tensors[i]; x.DType.String() != "BF16" {
					t.Errorf("%s is %v", x.Name, x.DType)
				} else if v := first(t, out, i); math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s begins with %v", x.Name, v)
				}
			}
		})
		delete(all, name)
	}
	for name := range all {
		t.Errorf("docs/methods.md has a section on %s, which is no method", name)
	}
}

// first is the first element of a BF16 tensor.
func first(t *testing.T, m *model.Model, i int) float64 {
	t.Helper()
	var b [2]byte
	if err := m.Source(i).ReadAt(b[:], 0); err != nil {
		t.Fatal(err)
	}
	return float64(math.Float32frombits(uint32(b[0])<<16 | uint32(b[1])<<24))
}
