package recipe_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
)

// The recipes of testdata/golden are those of the reference merges. What is
// wrong with the other err-* only shows with the models.
var goldenProblems = map[string]string{
	"err-models-and-slices": `err-models-and-slices.yml:3:1: "slices" and "models" exclude each other; a recipe has exactly one of models, slices and modules
    3 | slices:
      | ^`,
	"err-no-base": `err-no-base.yml:4:15: slerp needs base_model: the one of the two models that t = 0 stands for
    4 | merge_method: slerp
      |               ^`,
	"err-no-t": `err-no-t.yml:4:15: slerp needs t; write parameters: {t: 0.5} for the middle of the two models
    4 | merge_method: slerp
      |               ^`,
	"err-three-models": `err-three-models.yml:4:12: slerp merges two models, and "./models/base" is a third
    4 |   - model: ./models/base
      |            ^`,
}

func TestGoldenRecipes(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.yml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yml")
		t.Run(name, func(t *testing.T) {
			d, err := parseFile(t, file)
			if want := goldenProblems[name]; want != "" {
				if err == nil || err.Error() != want {
					t.Errorf("got\n%v\nwant\n%s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Warnings) > 0 {
				t.Errorf("warnings: %v", d.Warnings)
			}
		})
	}
}

// The plans of testdata/golden give the t, weights or scale of every tensor as
// the reference merges were checked with them, in twelve digits.
func TestGoldenValues(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d plans, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			d, err := parseFile(t, strings.TrimSuffix(file, "json")+"yml")
			if err != nil {
				t.Fatal(err)
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var plan map[string]any
			if err := json.Unmarshal(src, &plan); err != nil {
				t.Fatal(err)
			}
			tensors := place(d, slices.Sorted(maps.Keys(plan)))
			for name, want := range plan {
				if got := values(d, name, tensors[name]); !alike(got, want) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
			unused := d.Unused(func(slice, source int) []string {
				var names []string
				for _, p := range tensors {
					if p.slice == slice {
						names = append(names, p.names[source+1])
					}
				}
				return names
			})
			if len(unused) > 0 {
				t.Errorf("unused: %v", unused)
			}
		})
	}
}

// A placed tensor is where mergekit's planner sees it (plan.py).
type placed struct {
	slice int
	p     float64
	names []string // in the output and in each source
}

func place(d *recipe.Recipe, names []string) map[string]placed {
	depth := 0
	for _, name := range names {
		if n, ok := layer(name); ok {
			depth = max(depth, n+1)
		}
	}
	tensors := map[string]placed{}
	for _, name := range names {
		n, ok := layer(name)
		if !ok {
			slice := 0
			if !strings.Contains(name, "embed_tokens") {
				slice = len(d.Slices) - 1
			}
			tensors[name] = placed{slice, 0, slices.Repeat([]string{name}, 1+len(d.Slices[slice].Sources))}
			continue
		}
		rest := n
		for i, s := range d.Slices {
			size := s.Sources[0].Layers.Len()
			if s.Sources[0].Whole {
				size = depth
			}
			if rest >= size {
				rest -= size
				continue
			}
			at := placed{i, recipe.Position(rest, size), []string{name}}
			for _, src := range s.Sources {
				at.names = append(at.names, strings.Replace(name, "layers."+strconv.Itoa(n)+".", "layers."+strconv.Itoa(src.Layers.From+rest)+".", 1))
			}
			tensors[name] = at
			break
		}
	}
	return tensors
}

func layer(name string) (int, bool) {
	_, rest, ok := strings.Cut(name, "layers.")
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	return n, ok && err == nil
}

func values(d *recipe.Recipe, name string, at placed) any {
	switch d.Method {
	case "slerp":
		if v, ok := d.Value("t", at.slice, name, at.p); ok {
			return v
		}
	case "linear":
		var all []any
		for i := range d.Slices[at.slice].Sources {
			v, _ := d.SourceValue("weight", at.slice, i, at.names[1+i], at.p)
			all = append(all, v)
		}
		return all
	case "passthrough":
		if v, ok := d.SourceValue("scale", at.slice, 0, at.names[1], at.p); ok {
			return v
		}
	}
	return nil
}

func alike(got, want any) bool {
	switch want := want.(type) {
	case float64:
		v, ok := got.(float64)
		return ok && math.Abs(v-want) < 1e-12
	case []any:
		all, ok := got.([]any)
		return ok && slices.EqualFunc(all, want, alike)
	}
	return got == want
}

func parseFile(t *testing.T, file string) (*recipe.Recipe, error) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, filepath.Base(file), string(src))
}

// parse holds Parse to its word on errors.
func parse(t *testing.T, name, src string) (*recipe.Recipe, error) {
	t.Helper()
	d, err := recipe.Parse(name, []byte(src), method.All())
	if e := (*recipe.DocumentError)(nil); err != nil && (!errors.As(err, &e) || len(e.Problems) == 0) {
		t.Fatalf("an error of type %T: %v", err, err)
	}
	if err != nil && d != nil { // good for these
		for _, m := range d.Models() {
			if m.Path == "" || m.Pos.Line < 1 {
				t.Errorf("a model without a name or a place: %+v", m)
			}
		}
	}
	return d, err
}
