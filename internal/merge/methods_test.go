package merge_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
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
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
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

// pinned are the first digits of the SHA-256 of what the recipes of the page make. Before
// they were pinned, testdata/interop/methods.py found the methods to be right.
var pinned = map[string]string{
	"slerp":            "a1b509bed20267fd",
	"linear":           "ed4494913f2df3a8",
	"passthrough":      "2c8d04d4344860e6",
	"nearswap":         "e34d8b56518fc6bd",
	"ram":              "ed4bdc17409e54a6",
	"ramplus_tl":       "66e6c089c8468779",
	"task_arithmetic":  "a576fa323f9aa660",
	"nuslerp":          "b0c23e1c41d5c690",
	"multislerp":       "6228283a41060c47",
	"karcher":          "5d9b25d21d0e04a2",
	"model_stock":      "4bb2e61be1cc023f",
	"sce":              "5c778373c374b90b",
	"arcee_fusion":     "5e42468e2791a46d",
	"ties":             "8b34f3f183d72173",
	"breadcrumbs":      "354a3b6ba7e4dc68",
	"breadcrumbs_ties": "2480dca40d297b54",
	"dare_linear":      "5579288a8a6e1528",
	"dare_ties":        "07624b3b9d61d68d",
	"della":            "0a5f577764d23914",
	"della_linear":     "199f2d79248e9b2d",
}

// Every method has a section on the page, and its recipe runs without a warning, on
// testdata/models, to bytes that stay.
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
			pool := mmapio.NewPool(4 << 20)
			res := mergeText(t, pool, text, filepath.Join(dir, name))
			if m := res.Plan.Recipe.Method; m != rules.Name() {
				t.Errorf("the recipe is of %s", m)
			}
			if len(res.Warnings) > 0 {
				t.Errorf("warnings %q", res.Warnings)
			}
			out, err := model.Open(pool, filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(out.Close)
			b, err := os.ReadFile(filepath.Join(dir, name, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			if sum := fmt.Sprintf("%x", sha256.Sum256(b))[:16]; sum != pinned[name] {
				t.Errorf("SHA-256 %s, want %s", sum, pinned[name])
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

// mergeText merges by a recipe.
func mergeText(t *testing.T, pool *mmapio.Pool, text, out string) *merge.Result {
	t.Helper()
	parsed, err := recipe.Parse("r.yml", []byte(text), method.All())
	if err != nil {
		t.Fatal(err)
	}
	var models []*model.Model
	for _, path := range parsed.Parents() {
		m, err := model.Open(pool, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		models = append(models, m)
	}
	r := recipe.Request{Recipe: *parsed, Run: recipe.Run{Output: out, MaxMemory: 64 << 20, Threads: 2}}
	r.ShardSize = 5e9
	p, err := plan.New(r, models...)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blockers) > 0 {
		t.Fatalf("blockers %q", p.Blockers)
	}
	res, err := merge.Run(context.Background(), p, merge.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Tensors for which a method has no formula are named, and equal operands are not copied where
// the method makes something else of them.
func TestFallbacks(t *testing.T) {
	infos := []tensor.Info{
		{Name: "model.layers.0.same", DType: tensor.F32, Shape: []uint64{100}},
		{Name: "model.layers.0.turned", DType: tensor.F32, Shape: []uint64{1<<20 + 8}},
		{Name: "model.layers.1.turned", DType: tensor.F32, Shape: []uint64{100}},
	}
	dir, pool := t.TempDir(), mmapio.NewPool(4<<20)
	for i, name := range []string{"a", "b"} {
		sign := 1 - 2*float64(i)
		tensors := append(testmodel.Tensors(testmodel.List(1, 2), infos[0]), testmodel.Tensors(testmodel.List(3*sign, 0, -4*sign), infos[1:]...)...)
		testmodel.Make(t, filepath.Join(dir, name), testmodel.Model{Tensors: tensors})
	}
	t.Chdir(dir)
	for _, c := range []struct {
		name, text, warning string
		same                float64 // the first element of the tensor that is the same in both
		outcomes            map[method.Outcome]int
	}{
		{"karcher", "merge_method: karcher\nmodels: [{model: a}, {model: b}]\n",
			"a model is opposite to the mean of all, to which there is no way on the sphere, so the linear mean is taken: model.layers.0.turned and 1 more", 1,
			map[method.Outcome]int{method.Equal: 1, method.Straight: 2}},
		{"multislerp", "merge_method: multislerp\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 0.5, normalize_weights: false}\n",
			"the directions of the models cancel, so the weighted sum is taken: model.layers.0.turned and 1 more", 1,
			map[method.Outcome]int{"multislerp": 1, method.Straight: 2}},
		{"raw", "merge_method: multislerp\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1, normalize_weights: false}\n",
			"the directions of the models cancel, so the weighted sum is taken: model.layers.0.turned and 1 more", 2,
			map[method.Outcome]int{"multislerp": 1, method.Straight: 2}},
		{"linear", "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n", "", 1, map[method.Outcome]int{method.Straight: 3}},
	} {
		res := mergeText(t, pool, c.text, c.name)
		if got := strings.Join(res.Warnings[len(res.Plan.Warnings):], "; "); got != c.warning {
			t.Errorf("%s: warnings %q, want %q", c.name, got, c.warning)
		}
		if !maps.Equal(res.Outcomes(), c.outcomes) {
			t.Errorf("%s: %v, want %v", c.name, res.Outcomes(), c.outcomes)
		}
		if v := floats(t, c.name, infos[0].Name)[0]; math.Abs(v-c.same) > 1e-7 {
			t.Errorf("%s: %v, want %v", c.name, v, c.same)
		}
		for _, x := range infos[1:] {
			for i, v := range floats(t, c.name, x.Name) {
				if v != 0 {
					t.Fatalf("%s: element %d of %s is %v", c.name, i, x.Name, v)
				}
			}
		}
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
