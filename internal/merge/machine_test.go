package merge_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// forms are recipes of methods beside those of docs/methods.md, with the folders of siblings.
var forms = map[string]string{
	"nuslerp by rows":      "merge_method: nuslerp\nbase_model: base\nmodels: [{model: alpha, parameters: {weight: 0.4}}, {model: beta, parameters: {weight: 0.6}}]\nparameters: {nuslerp_flatten: false}\n",
	"nuslerp by columns":   "merge_method: nuslerp\nmodels: [{model: alpha, parameters: {weight: 0.4}}, {model: beta, parameters: {weight: 0.6}}]\nparameters: {nuslerp_flatten: false, nuslerp_row_wise: true}\n",
	"model_stock by rows":  "merge_method: model_stock\nbase_model: base\nmodels: [{model: alpha}, {model: beta}]\nparameters: {filter_wise: true}\n",
	"ties of float32":      "merge_method: ties\nbase_model: base\nmodels: [{model: alpha, parameters: {weight: 1}}, {model: beta, parameters: {weight: 0.5}}]\nparameters: {density: 0.3}\ndtype: float32\n",
	"multislerp of deltas": "merge_method: multislerp\nbase_model: base\nmodels: [{model: alpha}, {model: beta}]\nparameters: {weight: 0.5}\n",
	"sce of a part":        "merge_method: sce\nbase_model: base\nmodels: [{model: alpha}, {model: beta}]\nparameters: {select_topk: 0.2}\n",
}

// Every method makes the same bytes with any number of threads, in buffers of any size, from
// parents of either format, and in a run that was stopped.
func TestMethodsDoNotDependOnTheMachine(t *testing.T) {
	all := sections(t)
	for name, text := range forms {
		all[name] = text
	}
	dir := t.TempDir()
	const tensors = "model.layers.0.big:BF16:1030x1021:noise model.layers.0.f:F32:64x257:rand model.layers.0.norm:F16:333:rand model.layers.1.conv:BF16:6x1x4:rand model.layers.1.big:BF16:90x700:noise model.layers.2.x:BF16:5x7:rand model.layers.3.x:BF16:5x7:rand"
	for seed, name := range []string{"base", "alpha", "beta"} {
		list, err := testmodel.Parse(uint64(seed+1), strings.Fields(tensors)...)
		if err != nil {
			t.Fatal(err)
		}
		m := testmodel.Model{Tensors: list, Config: `{"num_hidden_layers": 4}`}
		testmodel.Make(t, filepath.Join(dir, "st", name), m)
		m.Bin = name != "base"
		testmodel.Make(t, filepath.Join(dir, "bin", name), m)
	}
	stop := errors.New("stop")
	for name, text := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []byte
			for i, c := range []struct {
				what    string
				folder  string
				threads int
				piece   int64
				stop    bool
			}{
				{"whole tensors", "st", 1, 8 << 20, false},
				{"parts of them", "st", 7, 256 << 10, false},
				{"small parts", "st", 2, 16 << 10, false},
				{"stopped", "st", 2, 128 << 10, true},
				{".bin", "bin", 3, 512 << 10, false},
			} {
				text := text
				for _, m := range []string{"base", "alpha", "beta"} {
					for _, before := range []string{"model: ", "base_model: "} {
						text = strings.ReplaceAll(text, before+m, before+filepath.Join(dir, c.folder, m))
					}
				}
				out := filepath.Join(dir, name, c.what)
				set := func(p *plan.Plan) {
					b := &p.Budget
					b.Threads, b.Piece, b.Hold, b.Buffers = c.threads, c.piece, 2*c.piece, c.threads+2
				}
				if c.stop {
					ctx, cancel := context.WithCancelCause(context.Background())
					left := int64(700_000)
					_, err := mergeWith(t, ctx, text, out, set, merge.Options{Fingerprint: "f", Progress: func(n int64) {
						if left -= n; left < 0 {
							cancel(stop)
						}
					}})
					cancel(nil)
					if !errors.Is(err, stop) {
						t.Fatalf("%v, want to be stopped", err)
					}
					c.piece = 1 << 20
				}
				if _, err := mergeWith(t, context.Background(), text, out, set, merge.Options{Fingerprint: "f"}); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(out, "model.safetensors"))
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					want = got
				} else if !bytes.Equal(got, want) {
					t.Errorf("%s: other bytes", c.what)
				}
				os.RemoveAll(out)
			}
		})
	}
}

// mergeWith merges by a recipe, with a plan that is changed.
func mergeWith(t *testing.T, ctx context.Context, text, out string, set func(*plan.Plan), opt merge.Options) (*merge.Result, error) {
	t.Helper()
	parsed, err := recipe.Parse("r.yml", []byte(text), method.All())
	if err != nil {
		t.Fatal(err)
	}
	opt.Pool = mmapio.NewPool(8 << 20)
	var models []*model.Model
	for _, path := range parsed.Parents() {
		m, err := model.Open(opt.Pool, path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		models = append(models, m)
	}
	r := recipe.Request{Recipe: *parsed, Run: recipe.Run{Output: out, MaxMemory: 200 << 20, Threads: 2}}
	r.ShardSize, r.Missing, r.Tokenizer = 5e9, recipe.MissingCopy, recipe.TokenizerPrimary
	p, err := plan.New(r, models...)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blockers) > 0 {
		t.Fatalf("blockers %q", p.Blockers)
	}
	set(p)
	return merge.Run(ctx, p, opt)
}
